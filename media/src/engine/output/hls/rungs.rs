//! Writes the rungs of an adaptive stream in parallel.
//!
//! *Problem.* All rungs get the same decoded frames and must have the same segment boundaries. The slowest encoder must
//! not make the others buffer without limit.
//!
//! *Mechanism.* The thread of the output forwards each received item to one thread per encoded rung over bounded
//! channels; frames are shared, not copied. Encoded rungs have keyframes at the same frame numbers, so their segments
//! align by themselves. If the first rung is copied, the keyframes of the source decide: its packets are written on the
//! forwarding thread, and its boundaries are published before the other rungs get the frames of the same time.
//!
//! *Invariants.* Audio is written once, beside the first rung. When a rung fails, its channel closes, forwarding stops
//! and all rungs end; the failure of the rung that failed first is reported.

use crate::engine::context::OutputContext;
use crate::engine::demux::copy_source::TrackKind;
use crate::engine::error::{self, unsupported_output};
use crate::engine::fanout::channel::{MediaItem, MediaReceiver, send_or_wait};
use crate::engine::ffi::{frame, packet};
use crate::engine::mux::container::Container;
use crate::engine::mux::muxer::{MovieMuxer, Muxer};
use crate::engine::mux::segment_boundaries::SegmentBoundaries;
use crate::engine::mux::segmenter::{RenditionTarget, SegmentRule};
use crate::engine::output::hls::media_playlist::{AUDIO_STEM, rung_stem};
use crate::engine::output::movie::{self, MovieOutput, MovieSpec};
use crate::engine::output::remux::{Remux, RemuxSpec};
use domain::plan::{AudioTrack, Hls, Rung, VideoTrack};
use domain::recipe::VideoCodec;
use domain::{Code, Failure};
use ffmpeg_next::Packet;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// Capacity of the channel to one rung, in items.
const CHANNEL_CAPACITY: usize = 4;

/// The directory of an adaptive stream that is being written.
#[derive(Clone, Copy)]
pub(crate) struct HlsTarget<'a> {
    /// Name of the output in the scratch directory.
    pub(crate) file: &'a str,
    /// Path of the directory.
    pub(crate) directory: &'a Path,
}

/// Writes all rungs of an output, largest first. The first rung also writes the audio.
///
/// # Errors
/// The first failure that is not a consequence of another one.
pub(crate) fn encode_rungs(
    context: &OutputContext<'_>,
    hls: &Hls,
    target: &HlsTarget<'_>,
    receiver: &MediaReceiver,
) -> Result<Vec<MovieOutput>, Failure> {
    let mut audio = hls.audio.filter(|_| context.audio().is_some());
    let (mut copied, mut boundaries, mut encoded) = (None, None, Vec::new());
    for rung in &hls.rungs {
        match &rung.video {
            VideoTrack::Encode(video) if video.codec == VideoCodec::H264 => encoded.push((rung, &**video)),
            VideoTrack::Copy { .. } if copied.is_none() && encoded.is_empty() => {
                let published = SegmentBoundaries::default();
                let rule = SegmentRule::Interval {
                    interval_us: hls.segment_us.max(1),
                    boundaries: published.clone(),
                };
                let audio = audio.take();
                let muxer = open_muxer(hls, target.directory, rung, rule, audio)?;
                let remux_spec = RemuxSpec {
                    container: Container::Mp4,
                    video: true,
                    audio,
                };
                copied = Some(Remux::open(context, muxer, &remux_spec, 0)?);
                boundaries = Some(published);
            }
            VideoTrack::Encode(_) | VideoTrack::Copy { .. } => {
                return Err(unsupported_output("adaptive streams with these rungs"));
            }
        }
    }
    thread::scope(|scope| {
        let (mut senders, mut workers) = (Vec::new(), Vec::new());
        for (rung, video) in encoded {
            let (sender, items) = sync_channel(CHANNEL_CAPACITY);
            senders.push(sender);
            let items = MediaReceiver::new(items, context.progress.with_stage(context.stages.add_stage()));
            let (audio, boundaries) = (audio.take(), boundaries.clone());
            workers.push(thread::Builder::new().spawn_scoped(scope, move || {
                let rule = SegmentRule::Keyframes(SegmentBoundaries::default());
                let muxer = open_muxer(hls, target.directory, rung, rule, audio)?;
                let movie_spec = MovieSpec {
                    video,
                    audio,
                    boundaries,
                };
                let output = movie::encode_movie(context, muxer, &movie_spec, &items);
                items.progress().stage().set_idle();
                output
            }));
        }
        let forwarded = forward(context, receiver, copied.as_mut(), &senders);
        // Closed channels tell the rungs to finish.
        drop(senders);
        context.progress.stage().set_idle();
        let mut outputs: Vec<_> = workers.into_iter().map(error::join).collect();
        context.progress.stage().set_active();
        let copied = forwarded.and_then(|()| copied.map(|copied| copied.finish(target.file)).transpose());
        outputs.splice(..0, copied.transpose());
        let (outputs, mut failures): (Vec<_>, Vec<_>) = outputs.into_iter().partition(Result::is_ok);
        // Failures of rungs that were only canceled come last: they are a consequence of the first failure.
        failures.sort_by_key(|failure| matches!(failure, Err(failure) if failure.code == Code::Unavailable));
        failures.into_iter().chain(outputs).collect()
    })
}

/// Forwards the received items to all rungs, and audio to the first rung alone. Returns early if a rung has ended.
fn forward(
    context: &OutputContext<'_>,
    receiver: &MediaReceiver,
    mut copied: Option<&mut Remux<'_>>,
    encoded: &[SyncSender<MediaItem>],
) -> Result<(), Failure> {
    for item in receiver {
        context.check()?;
        if let Some(copied) = &mut copied
            && matches!(item, MediaItem::Packets(_) | MediaItem::Audio { .. })
        {
            copied.push(item)?;
            continue;
        }
        for (index, sender) in encoded.iter().enumerate() {
            if let Some(shared) = share_item(&item, index == 0)?
                && !send_or_wait(sender, shared, context.progress.stage())
            {
                return Ok(());
            }
        }
    }
    context.check()
}

/// Clones an item for a rung without copying pixels or samples; `None` if it is only for the first rung.
fn share_item(item: &MediaItem, is_first_rung: bool) -> Result<Option<MediaItem>, Failure> {
    let shared = match item {
        MediaItem::Frame {
            frame,
            at_us,
            duration_us,
        } => MediaItem::Frame {
            frame: frame.clone(),
            at_us: *at_us,
            duration_us: *duration_us,
        },
        MediaItem::Part(part) => MediaItem::Part(*part),
        MediaItem::VideoEnd { until_us } => MediaItem::VideoEnd { until_us: *until_us },
        MediaItem::Packets(_) | MediaItem::Audio { .. } if !is_first_rung => return Ok(None),
        MediaItem::Packets(packets) => MediaItem::Packets(share_packets(packets)?),
        MediaItem::Audio { audio, at_us } => MediaItem::Audio {
            audio: frame::share_audio(audio).map_err(|error| error::engine_failure("audio frame", error))?,
            at_us: *at_us,
        },
    };
    Ok(Some(shared))
}

fn share_packets(packets: &[(Packet, TrackKind)]) -> Result<Vec<(Packet, TrackKind)>, Failure> {
    let shared = packets.iter().map(|(packet, kind)| {
        let packet = packet::share_packet(packet).map_err(|error| error::engine_failure("packet", error))?;
        Ok((packet, *kind))
    });
    shared.collect()
}

/// Creates the video rendition of a rung, and an audio rendition with the same boundaries if `audio` is set.
fn open_muxer(
    hls: &Hls,
    directory: &Path,
    rung: &Rung,
    rule: SegmentRule,
    audio: Option<AudioTrack>,
) -> Result<MovieMuxer, Failure> {
    let rendition = |stem: String, rule: SegmentRule| {
        Muxer::create_rendition(RenditionTarget {
            directory: directory.to_owned(),
            stem,
            single_file: hls.single_file,
            rule,
        })
    };
    let audio_rule = rule.follower();
    let video = rendition(rung_stem(rung), rule)?;
    let audio = audio
        .map(|_| rendition(AUDIO_STEM.to_owned(), audio_rule))
        .transpose()?;
    Ok(MovieMuxer::new(video, audio))
}
