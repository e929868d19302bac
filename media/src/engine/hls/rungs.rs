//! Makes the rungs of an adaptive stream side by side. Each that is encoded has a thread of its own; the one that is
//! copied costs so little that it is made in passing, before the others see the same pictures: its borders are theirs.

use super::cuts::Cuts;
use super::segments::{Cut, Place};
use super::{AUDIO, Shot, stem_of};
use crate::engine::feed::{Inbox, Piece, hand_over};
use crate::engine::mux::{Container, Mux, Reel};
use crate::engine::originals::Medium;
use crate::engine::remux::{self, Remux};
use crate::engine::transcode::{Job, unsupported};
use crate::engine::{av, fault, movie};
use domain::plan::{AudioTrack, Hls, Rung, VideoTrack};
use domain::recipe::VideoCodec;
use domain::{Failure, FailureKind};
use ffmpeg_next::Packet;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// Pieces that wait for one rung, besides those that wait for all of them.
const WAITING: usize = 4;

/// Makes all rungs of an output from the pieces that come, in a directory, largest first. The first one also makes the sound, in step with its
/// pictures.
pub(super) fn shoot(
    job: &Job<'_>,
    order: &Hls,
    (file, folder): (&str, &Path),
    from: &Inbox,
) -> Result<Vec<Shot>, Failure> {
    let mut audio = order.audio.filter(|_| job.sound().is_some());
    let (mut copied, mut cuts, mut encoded) = (None, None, Vec::new());
    for rung in &order.rungs {
        match &rung.video {
            VideoTrack::Encode(video) if video.codec == VideoCodec::H264 => encoded.push((rung, &**video)),
            VideoTrack::Copy { .. } if copied.is_none() && encoded.is_empty() => {
                let borders = Cuts::default();
                let cut = Cut::Multiples(order.segment_us.max(1), borders.clone());
                let audio = audio.take();
                let reel = reel(order, (folder, rung), cut, audio)?;
                let order = remux::Order {
                    container: Container::Mp4,
                    pictures: true,
                    audio,
                };
                copied = Some(Remux::open(job, reel, &order, 0)?);
                cuts = Some(borders);
            }
            VideoTrack::Encode(_) | VideoTrack::Copy { .. } => {
                return Err(unsupported("adaptive streams of this kind"));
            }
        }
    }
    thread::scope(|scope| {
        let (mut rungs, mut makers) = (Vec::new(), Vec::new());
        for (rung, video) in encoded {
            let (to, pieces) = sync_channel(WAITING);
            rungs.push(to);
            let pieces = Inbox::new(pieces, job.meter.of_stage(job.stages.stage()));
            let (audio, cuts) = (audio.take(), cuts.clone());
            makers.push(scope.spawn(move || {
                let reel = reel(order, (folder, rung), Cut::Keyframes(Cuts::default()), audio)?;
                let made = movie::shoot(job, reel, &movie::Order { video, audio, cuts }, &pieces);
                pieces.meter().stage().waits();
                made
            }));
        }
        let handed = hand_on(job, from, (&mut copied, &rungs));
        // No piece follows: the rungs end.
        drop(rungs);
        job.meter.stage().waits();
        let made = makers
            .into_iter()
            .map(|maker| maker.join().unwrap_or_else(|_| Err(fault::broken_down())));
        let mut made: Vec<_> = made.collect();
        job.meter.stage().works();
        let copied = handed.and_then(|()| copied.map(|copied| copied.finish(file)).transpose());
        made.splice(..0, copied.transpose());
        let (made, mut failures): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
        // Those that were only told to stop come last.
        failures.sort_by_key(|failure| matches!(failure, Err(failure) if failure.kind == FailureKind::Infrastructure));
        failures.into_iter().chain(made).collect()
    })
}

/// Hands every piece to all rungs, sound to the first one; stops when one of them is gone.
fn hand_on(
    job: &Job<'_>,
    from: &Inbox,
    (copied, encoded): (&mut Option<Remux<'_>>, &[SyncSender<Piece>]),
) -> Result<(), Failure> {
    for piece in from {
        job.check()?;
        if let Some(copied) = copied
            && matches!(piece, Piece::Packets(_) | Piece::Sound { .. })
        {
            copied.take(piece)?;
            continue;
        }
        for (place, rung) in encoded.iter().enumerate() {
            if let Some(twin) = twin(&piece, place == 0)?
                && !hand_over(rung, twin, job.meter.stage())
            {
                return Ok(());
            }
        }
    }
    job.check()
}

/// The same piece for one of the rungs; `None` when it is only for the first one.
fn twin(piece: &Piece, first: bool) -> Result<Option<Piece>, Failure> {
    let twin = match piece {
        Piece::Picture {
            picture,
            at_us,
            duration_us,
        } => Piece::Picture {
            picture: picture.clone(),
            at_us: *at_us,
            duration_us: *duration_us,
        },
        Piece::Part(part) => Piece::Part(*part),
        Piece::PicturesEnd { until_us } => Piece::PicturesEnd { until_us: *until_us },
        Piece::Packets(_) | Piece::Sound { .. } if !first => return Ok(None),
        Piece::Packets(taken) => Piece::Packets(share_all(taken)?),
        Piece::Sound { sound, at_us } => Piece::Sound {
            sound: av::share_sound(sound).map_err(|error| fault::engine("sound", error))?,
            at_us: *at_us,
        },
    };
    Ok(Some(twin))
}

fn share_all(taken: &[(Packet, Medium)]) -> Result<Vec<(Packet, Medium)>, Failure> {
    let shared = taken.iter().map(|(packet, medium)| {
        let packet = av::packets::share_packet(packet).map_err(|error| fault::engine("packet", error))?;
        Ok((packet, *medium))
    });
    shared.collect()
}

/// Begins the renditions of a rung: its pictures, and the sound that is cut with them.
fn reel(order: &Hls, (folder, rung): (&Path, &Rung), cut: Cut, audio: Option<AudioTrack>) -> Result<Reel, Failure> {
    let rendition = |stem: String, cut: Cut| {
        Mux::rendition(Place {
            folder: folder.to_owned(),
            stem,
            single_file: order.single_file,
            cut,
        })
    };
    let beside = cut.beside();
    let pictures = rendition(stem_of(rung), cut)?;
    let sound = audio.map(|_| rendition(AUDIO.to_owned(), beside)).transpose()?;
    Ok(Reel::new(pictures, sound))
}
