//! Makes an adaptive stream (RFC 8216) of fragmented MP4: one decode feeds all rungs, each on a thread of its own; the
//! sound is a rendition for all of them.

mod check;
mod flush;
mod joined;
mod master;
mod plain;
mod playlist;
mod segments;

pub(super) use check::run as check;
pub(super) use joined::Joined;
pub(super) use segments::{Place, Rendition, Segments};

use super::feed::Piece;
use super::mux::{self, Mux, Reel};
use super::transcode::{Job, unsupported};
use super::{av, fault, movie};
use domain::plan::{Hls, Rung, VideoOrder, VideoTrack};
use domain::protocol::Made;
use domain::recipe::VideoCodec;
use domain::{Failure, FailureKind};
use master::{MASTER, Master, Variant};
use plain::Plain;
use playlist::Media;
use segments::Cut;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// What the files of the sound are named after.
const AUDIO: &str = "audio";

/// Pieces that wait for one rung, besides those that wait for all of them.
const WAITING: usize = 4;

/// What one rung became: its frames and length, and the renditions of its pictures and of the sound.
type Shot = (Made, Vec<Rendition>);

/// Makes the stream in a directory of its own from the pieces that come.
pub(super) fn run(job: &Job<'_>, file: &str, order: &Hls, from: &Receiver<Piece>) -> Result<Made, Failure> {
    let folder = mux::place(job.scratch, file)?;
    fs::create_dir(&folder).map_err(|error| fault::disk(file, &error))?;
    let shots = shoot(job, order, &folder, from)?;
    write_playlists(job, order, &folder, &shots)?;
    let (first, _) = shots
        .into_iter()
        .next()
        .ok_or_else(|| unsupported("streams without rungs"))?;
    Ok(Made {
        file: file.to_owned(),
        ..first
    })
}

/// Runs a thread for every rung. The first one also makes the sound, in step with its pictures.
fn shoot(job: &Job<'_>, order: &Hls, folder: &Path, from: &Receiver<Piece>) -> Result<Vec<Shot>, Failure> {
    thread::scope(|scope| {
        let (mut rungs, mut makers) = (Vec::new(), Vec::new());
        for rung in &order.rungs {
            let (to, pieces) = sync_channel(WAITING);
            let first = rungs.is_empty();
            rungs.push(to);
            makers.push(scope.spawn(move || make(job, folder, (order, rung, first), &pieces)));
        }
        let handed = hand_on(job, order, from, &rungs);
        // No piece follows: the rungs end.
        drop(rungs);
        let made = makers
            .into_iter()
            .map(|maker| maker.join().unwrap_or_else(|_| Err(fault::broken_down())));
        let (made, mut failures): (Vec<_>, Vec<_>) = made.collect::<Vec<_>>().into_iter().partition(Result::is_ok);
        // Those that were only told to stop come last.
        failures.sort_by_key(|failure| matches!(failure, Err(failure) if failure.kind == FailureKind::Infrastructure));
        failures
            .into_iter()
            .chain(made)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|shots| handed.map(|()| shots))
    })
}

/// Hands every piece to all rungs, sound to the first one; stops when one of them is gone.
fn hand_on(job: &Job<'_>, order: &Hls, from: &Receiver<Piece>, rungs: &[SyncSender<Piece>]) -> Result<(), Failure> {
    let largest = order.rungs.first().filter(|_| rungs.len() > 1);
    let mut plain = match largest.map(|rung| &rung.video) {
        Some(VideoTrack::Encode(largest)) => Some(Plain::new(job.threads, largest)),
        _ => None,
    };
    for mut piece in from {
        if let Some(plain) = &mut plain {
            piece = plain.apply(piece)?;
        }
        for (place, rung) in rungs.iter().enumerate() {
            let twin = match &piece {
                Piece::Picture {
                    picture,
                    at_us,
                    duration_us,
                } => Piece::Picture {
                    picture: av::share_picture(picture).map_err(|error| fault::engine("picture", error))?,
                    at_us: *at_us,
                    duration_us: *duration_us,
                },
                Piece::Part(part) => Piece::Part(*part),
                Piece::Packet { packet, medium } => Piece::Packet {
                    packet: av::packets::share_packet(packet).map_err(|error| fault::engine("packet", error))?,
                    medium: *medium,
                },
                Piece::PicturesEnd { goes_on } => Piece::PicturesEnd { goes_on: *goes_on },
                Piece::Sound { .. } if place > 0 => continue,
                Piece::Sound { sound, at_us } => Piece::Sound {
                    sound: av::share_sound(sound).map_err(|error| fault::engine("sound", error))?,
                    at_us: *at_us,
                },
            };
            if rung.send(twin).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Makes one rung.
fn make(
    job: &Job<'_>,
    folder: &Path,
    (order, rung, first): (&Hls, &Rung, bool),
    from: &Receiver<Piece>,
) -> Result<Shot, Failure> {
    let video = match &rung.video {
        VideoTrack::Encode(video) if video.codec == VideoCodec::H264 => video,
        VideoTrack::Encode(_) => return Err(unsupported("adaptive streams of this codec")),
        VideoTrack::Copy { .. } => return Err(unsupported("copied adaptive streams")),
    };
    let rendition = |stem: String, cut: Cut| {
        Mux::rendition(Place {
            folder: folder.to_owned(),
            stem,
            single_file: order.single_file,
            cut,
        })
    };
    let audio = order.audio.filter(|_| first && job.sound().is_some());
    let pictures = rendition(stem_of(rung), Cut::Keyframes)?;
    let sound = audio
        .map(|_| rendition(AUDIO.to_owned(), beside(job, video)))
        .transpose()?;
    movie::shoot(job, Reel::new(pictures, sound), &movie::Order { video, audio }, from)
}

/// What the files of a rung are named after.
fn stem_of(rung: &Rung) -> String {
    format!("{}p", rung.short_side_px)
}

/// Sound is cut where the pictures are, whose groups all have the same length.
fn beside(job: &Job<'_>, video: &VideoOrder) -> Cut {
    Cut::Frames {
        fps: job.plan.fps,
        each: u64::from(video.gop_frames.max(1)),
    }
}

/// Writes a playlist for every rendition, and the one that names them all.
fn write_playlists(job: &Job<'_>, order: &Hls, folder: &Path, shots: &[Shot]) -> Result<(), Failure> {
    let renditions = || shots.iter().flat_map(|(_, renditions)| renditions);
    let longest_us = renditions()
        .flat_map(|rendition| &rendition.segments)
        .map(|segment| segment.duration_us)
        .max();
    // The same for all, as RFC 8216 (section 6.2.4) wants it.
    let target_s = longest_us.unwrap_or(0).div_ceil(1_000_000).max(1);
    let write =
        |file: &str, text: String| fs::write(folder.join(file), text).map_err(|error| fault::disk(file, &error));
    for rendition in renditions() {
        write(
            &playlist::file_of(&rendition.stem),
            Media::of(rendition, target_s).to_string(),
        )?;
    }
    let sound = shots.iter().flat_map(|(_, renditions)| renditions.get(1)).next();
    let variants = order.rungs.iter().zip(shots).filter_map(|(rung, (_, renditions))| {
        let pictures = renditions.first()?;
        Some(Variant::of(
            pictures,
            sound,
            (rung.video.size(), job.plan.fps),
            target_s,
        ))
    });
    let master = Master {
        channels: sound.and(job.sound()).map(|sound| sound.channels),
        variants: variants.collect(),
    };
    write(MASTER, master.to_string())
}
