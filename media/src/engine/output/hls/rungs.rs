//! Makes the rungs of an adaptive stream in parallel. Each encoded rung has a thread of its own; a copied one is written on this
//! thread before the others get the same frames, because they follow its segment boundaries.

use crate::engine::context::OutputContext;
use crate::engine::demux::copy_source::Medium;
use crate::engine::error::{self, unsupported_output};
use crate::engine::fanout::channel::{Inbox, Piece, hand_over};
use crate::engine::ffi::{frame, packet};
use crate::engine::mux::container::Container;
use crate::engine::mux::muxer::{MovieMuxer, Muxer};
use crate::engine::mux::segment_boundaries::SegmentBoundaries;
use crate::engine::mux::segmenter::{Rendition, RenditionTarget, SegmentRule};
use crate::engine::output::hls::media_playlist::{AUDIO, stem_of};
use crate::engine::output::movie::{self, MovieSpec};
use crate::engine::output::remux::{Remux, RemuxSpec};
use domain::plan::{AudioTrack, Hls, Rung, VideoTrack};
use domain::protocol::Made;
use domain::recipe::VideoCodec;
use domain::{Failure, FailureKind};
use ffmpeg_next::Packet;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// Pieces that wait for one rung, besides those that wait for all of them.
const WAITING: usize = 4;

/// What one rung became: its frames and length, and the renditions of its pictures and of the sound.
pub(crate) type RungResult = (Made, Vec<Rendition>);

/// Makes all rungs of an output from the pieces that come, in a directory, largest first. The first one also makes the sound, in step with its
/// pictures.
pub(crate) fn make_rungs(
    context: &OutputContext<'_>,
    order: &Hls,
    (file, folder): (&str, &Path),
    from: &Inbox,
) -> Result<Vec<RungResult>, Failure> {
    let mut audio = order.audio.filter(|_| context.audio().is_some());
    let (mut copied, mut cuts, mut encoded) = (None, None, Vec::new());
    for rung in &order.rungs {
        match &rung.video {
            VideoTrack::Encode(video) if video.codec == VideoCodec::H264 => encoded.push((rung, &**video)),
            VideoTrack::Copy { .. } if copied.is_none() && encoded.is_empty() => {
                let borders = SegmentBoundaries::default();
                let cut = SegmentRule::Multiples(order.segment_us.max(1), borders.clone());
                let audio = audio.take();
                let muxer = open_muxer(order, (folder, rung), cut, audio)?;
                let order = RemuxSpec {
                    container: Container::Mp4,
                    video: true,
                    audio,
                };
                copied = Some(Remux::open(context, muxer, &order, 0)?);
                cuts = Some(borders);
            }
            VideoTrack::Encode(_) | VideoTrack::Copy { .. } => {
                return Err(unsupported_output("adaptive streams of this kind"));
            }
        }
    }
    thread::scope(|scope| {
        let (mut rungs, mut makers) = (Vec::new(), Vec::new());
        for (rung, video) in encoded {
            let (to, pieces) = sync_channel(WAITING);
            rungs.push(to);
            let pieces = Inbox::new(pieces, context.meter.of_stage(context.stages.stage()));
            let (audio, cuts) = (audio.take(), cuts.clone());
            makers.push(scope.spawn(move || {
                let muxer = open_muxer(
                    order,
                    (folder, rung),
                    SegmentRule::Keyframes(SegmentBoundaries::default()),
                    audio,
                )?;
                let made = movie::encode_movie(context, muxer, &MovieSpec { video, audio, cuts }, &pieces);
                pieces.meter().stage().waits();
                made
            }));
        }
        let handed = forward(context, from, (&mut copied, &rungs));
        // No piece follows: the rungs end.
        drop(rungs);
        context.meter.stage().waits();
        let made = makers
            .into_iter()
            .map(|maker| maker.join().unwrap_or_else(|_| Err(error::thread_panicked())));
        let mut made: Vec<_> = made.collect();
        context.meter.stage().works();
        let copied = handed.and_then(|()| copied.map(|copied| copied.finish(file)).transpose());
        made.splice(..0, copied.transpose());
        let (made, mut failures): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
        // Those that were only told to stop come last.
        failures.sort_by_key(|failure| matches!(failure, Err(failure) if failure.kind == FailureKind::Infrastructure));
        failures.into_iter().chain(made).collect()
    })
}

/// Hands every piece to all rungs, sound to the first one; stops when one of them is gone.
fn forward(
    context: &OutputContext<'_>,
    from: &Inbox,
    (copied, encoded): (&mut Option<Remux<'_>>, &[SyncSender<Piece>]),
) -> Result<(), Failure> {
    for piece in from {
        context.check()?;
        if let Some(copied) = copied
            && matches!(piece, Piece::Packets(_) | Piece::Audio { .. })
        {
            copied.take(piece)?;
            continue;
        }
        for (place, rung) in encoded.iter().enumerate() {
            if let Some(twin) = share_piece(&piece, place == 0)?
                && !hand_over(rung, twin, context.meter.stage())
            {
                return Ok(());
            }
        }
    }
    context.check()
}

/// The same piece for one of the rungs; `None` when it is only for the first one.
fn share_piece(piece: &Piece, first: bool) -> Result<Option<Piece>, Failure> {
    let twin = match piece {
        Piece::Frame {
            frame,
            at_us,
            duration_us,
        } => Piece::Frame {
            frame: frame.clone(),
            at_us: *at_us,
            duration_us: *duration_us,
        },
        Piece::Part(part) => Piece::Part(*part),
        Piece::VideoEnd { until_us } => Piece::VideoEnd { until_us: *until_us },
        Piece::Packets(_) | Piece::Audio { .. } if !first => return Ok(None),
        Piece::Packets(taken) => Piece::Packets(share_all(taken)?),
        Piece::Audio { audio, at_us } => Piece::Audio {
            audio: frame::share_audio(audio).map_err(|error| error::engine("sound", error))?,
            at_us: *at_us,
        },
    };
    Ok(Some(twin))
}

fn share_all(taken: &[(Packet, Medium)]) -> Result<Vec<(Packet, Medium)>, Failure> {
    let shared = taken.iter().map(|(packet, medium)| {
        let packet = packet::share_packet(packet).map_err(|error| error::engine("packet", error))?;
        Ok((packet, *medium))
    });
    shared.collect()
}

/// Begins the renditions of a rung: its pictures, and the sound that is cut with them.
fn open_muxer(
    order: &Hls,
    (folder, rung): (&Path, &Rung),
    cut: SegmentRule,
    audio: Option<AudioTrack>,
) -> Result<MovieMuxer, Failure> {
    let rendition = |stem: String, cut: SegmentRule| {
        Muxer::rendition(RenditionTarget {
            folder: folder.to_owned(),
            stem,
            single_file: order.single_file,
            cut,
        })
    };
    let beside = cut.beside();
    let video = rendition(stem_of(rung), cut)?;
    let audio = audio.map(|_| rendition(AUDIO.to_owned(), beside)).transpose()?;
    Ok(MovieMuxer::new(video, audio))
}
