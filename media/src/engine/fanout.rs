//! Fan-out: distributes decoded frames, samples and packets to the outputs.
//!
//! *Problem.* Decoding is expensive, so a source is read and decoded once for all outputs. Outputs differ in speed, and
//! a frame of 8K (8 bit, 4:2:0) takes 50 MB, so the memory must not grow with that difference.
//!
//! *Mechanism.* The thread that reads a source calls [`FanOut`], its [`Sink`]. Each output has a thread of its own and
//! a bounded channel ([`channel`]). Frames are shared by reference count, not copied. An output of posters, sprites or
//! animations gets only the frames that it samples ([`frame_sampler`]); an output that copies gets packets in batches.
//! Frames that several outputs need in smaller sizes carry a [`ScalingCascade`], which scales each size once.
//!
//! *Invariants.*
//! - The bytes of frames in a channel are bounded, so the slowest output sets the pace.
//! - Packets stay in order with the items after them: a pending batch is sent before any other item.
//! - Times are timeline times: microseconds after the start of the joined spans.
//! - When an output ends early, the shared `halt` flag stops the others; its error is returned when its thread is
//!   joined.
//!
//! Rejected: a queue without bounds, and one decoder per output, which multiplies the most expensive step.

pub(crate) mod channel;
mod copied_packets;
pub(crate) mod frame_sampler;
pub(crate) mod stream_needs;

use crate::engine::cancel::Cancel;
use crate::engine::decode::sink::Sink;
use crate::engine::decode::timeline::{Part, Role};
use crate::engine::demux::copy_source::TrackKind;
use crate::engine::error;
use crate::engine::fanout::channel::{MediaItem, MediaReceiver, MediaSender};
use crate::engine::fanout::copied_packets::CopiedPackets;
use crate::engine::fanout::stream_needs::{DecodedNeeds, stream_needs};
use crate::engine::ffi::{frame, packet};
use crate::engine::progress::OutputProgress;
use crate::engine::stage::Stage;
use crate::engine::video::scaled_frames::{CascadePlan, ScalingCascade, SharedFrame};
use domain::Failure;
use domain::plan::{Content, PlannedOutput};
use ffmpeg_next::Packet;
use ffmpeg_next::frame::{Audio, Video};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// Maximum bytes of frames in the channel of one output.
const MAX_QUEUED_BYTES: u64 = 96 << 20;

/// Packets per batch: to wake a thread costs more than to copy a packet.
const BATCH_PACKETS: usize = 64;

/// A packet of this size ends its batch, which bounds the bytes of a batch.
const LARGE_PACKET_BYTES: usize = 64 << 10;

/// Maximum batches in the channel of an output that only copies packets.
const MAX_QUEUED_BATCHES: u64 = 2;

/// The channel to one output, and what the output needs.
pub(crate) struct OutputQueue {
    sender: MediaSender,
    needs: DecodedNeeds,
    /// `true` when the output shows intro and outro.
    shows_bumpers: bool,
    /// Tracks whose packets are copied.
    copies: Vec<TrackKind>,
    /// Packets of the pending batch.
    packets: Vec<(Packet, TrackKind)>,
}

impl OutputQueue {
    /// Creates the channel to an output. `frame_bytes` is the approximate size of a decoded frame.
    pub(crate) fn new(
        planned: &PlannedOutput,
        frame_bytes: u64,
        progress: &OutputProgress,
        reader_stage: &Stage,
    ) -> (Self, MediaReceiver) {
        let capacity = (MAX_QUEUED_BYTES / frame_bytes.max(1)).clamp(1, 16);
        let (video, audio) = stream_needs(&planned.content);
        let needs = DecodedNeeds::new(&planned.content);
        let copies = [(video, TrackKind::Video), (audio, TrackKind::Audio)];
        let copies = copies.into_iter().filter(|(needs, _)| needs.copied);
        let copies = copies.map(|(_, kind)| kind).collect();
        let capacity = if matches!(needs, DecodedNeeds::Nothing) {
            MAX_QUEUED_BATCHES
        } else {
            capacity
        };
        let shows_bumpers = matches!(planned.content, Content::Movie(_) | Content::Hls(_));
        let (sender, receiver) = sync_channel(usize::try_from(capacity).unwrap_or(2));
        (
            Self {
                sender: MediaSender {
                    sender,
                    reader_stage: reader_stage.clone(),
                },
                needs,
                shows_bumpers,
                copies,
                packets: Vec::new(),
            },
            MediaReceiver::new(receiver, progress.clone()),
        )
    }

    /// Sends the pending batch, then the item; returns `false` when the output has ended.
    fn send(&mut self, item: Option<MediaItem>) -> bool {
        let packets = std::mem::take(&mut self.packets);
        let batch = (!packets.is_empty()).then_some(MediaItem::Packets(packets));
        batch.into_iter().chain(item).all(|item| self.sender.send(item))
    }
}

/// Distributes what the reader delivers to all outputs.
pub(crate) struct FanOut {
    outputs: Vec<OutputQueue>,
    copied_packets: CopiedPackets,
    /// The stage that reads and decodes.
    reader_stage: Stage,
    /// Set when an output has failed: the others need not go on.
    halt: Cancel,
    cascade_plan: CascadePlan,
    /// The part that is being read.
    part: Option<Part>,
    /// Scales the frames of the part, where several outputs need smaller sizes.
    cascade: Option<Arc<ScalingCascade>>,
}

impl FanOut {
    pub(crate) fn new(outputs: Vec<OutputQueue>, reader_stage: Stage, halt: Cancel, cascade_plan: CascadePlan) -> Self {
        Self {
            outputs,
            copied_packets: CopiedPackets::default(),
            reader_stage,
            halt,
            cascade_plan,
            part: None,
            cascade: None,
        }
    }

    /// Announces the next part to outputs that take decoded media.
    pub(crate) fn begin_part(&mut self, part: Part) -> Result<(), Failure> {
        self.part = Some(part);
        self.cascade = self.cascade_plan.cascade(&part).map(Arc::new);
        let part = if self.cascade.is_some() {
            ScalingCascade::normalized_part(part)
        } else {
            part
        };
        self.send(
            |output| {
                matches!(
                    output.needs,
                    DecodedNeeds::Everything | DecodedNeeds::Video | DecodedNeeds::Audio
                )
            },
            || Ok(MediaItem::Part(part)),
        )
    }

    /// Returns `true` while an intro or outro is read, which not every output shows.
    fn is_bumper(&self) -> bool {
        self.part.is_some_and(|part| !part.is_span())
    }

    /// Converts a time of the part to a timeline time, in microseconds.
    fn timeline_us(&self, at_us: i64) -> i64 {
        let begin_us = self.part.map_or(0, |part| part.timeline_us);
        at_us.saturating_add(i64::try_from(begin_us).unwrap_or(i64::MAX))
    }

    /// Sends an item to every output for which `wanted` holds. An output that has ended stops the others.
    fn send(
        &mut self,
        wanted: impl Fn(&OutputQueue) -> bool,
        mut item: impl FnMut() -> Result<MediaItem, Failure>,
    ) -> Result<(), Failure> {
        let bumper = self.is_bumper();
        let ready = |output: &OutputQueue| wanted(output) && (output.shows_bumpers || !bumper);
        for output in self.outputs.iter_mut().filter(|output| ready(output)) {
            if !output.send(Some(item()?)) {
                self.halt.raise();
            }
        }
        Ok(())
    }

    /// Marks the reader's stage as idle, after its last item.
    pub(crate) fn mark_reader_idle(&self) {
        self.reader_stage.set_idle();
    }

    /// Sends the pending batches, after the last part.
    pub(crate) fn end(&mut self) {
        for output in &mut self.outputs {
            if !output.send(None) {
                self.halt.raise();
            }
        }
    }

    /// Offers the frame to outputs that sample frames: posters, sprites and animations.
    fn offer_to_samplers(&mut self, frame: &Video, at_us: i64, duration_us: i64) -> Result<(), Failure> {
        if self.is_bumper() {
            return Ok(());
        }
        for OutputQueue { sender, needs, .. } in &mut self.outputs {
            match needs {
                DecodedNeeds::Stills(sampler) => sampler.offer(frame, at_us, sender)?,
                DecodedNeeds::Range(range) => range.offer(frame, at_us, duration_us, sender)?,
                DecodedNeeds::Everything | DecodedNeeds::Video | DecodedNeeds::Audio | DecodedNeeds::Nothing => {}
            }
            needs.clear_when_satisfied();
        }
        Ok(())
    }

    /// Ends the video of outputs that sample frames.
    fn end_samplers(&mut self, until_us: Option<i64>) -> Result<(), Failure> {
        for OutputQueue { sender, needs, .. } in &mut self.outputs {
            match needs {
                DecodedNeeds::Stills(sampler) => sampler.end(sender)?,
                DecodedNeeds::Range(range) => range.end(until_us, sender),
                DecodedNeeds::Everything | DecodedNeeds::Video | DecodedNeeds::Audio | DecodedNeeds::Nothing => {
                    continue;
                }
            }
            *needs = DecodedNeeds::Nothing;
        }
        Ok(())
    }
}

impl Sink for FanOut {
    fn frame(&mut self, frame: Video, at_us: i64, duration_us: i64) -> Result<(), Failure> {
        self.reader_stage.count_item();
        let at_us = self.timeline_us(at_us);
        self.offer_to_samplers(&frame, at_us, duration_us)?;
        let frame = SharedFrame::new(frame, self.cascade.clone());
        self.send(
            |output| matches!(output.needs, DecodedNeeds::Everything | DecodedNeeds::Video),
            || {
                Ok(MediaItem::Frame {
                    frame: frame.clone(),
                    at_us,
                    duration_us,
                })
            },
        )
    }

    fn video_end(&mut self, until_us: Option<i64>) -> Result<(), Failure> {
        let until_us = until_us.map(|us| self.timeline_us(us));
        // For outputs without bumpers, the joined spans are one video, which ends with the last span.
        let last = self.part.is_some_and(|part| part.role == Role::Span { last: true });
        if last {
            self.end_samplers(until_us)?;
        }
        let decoded = |output: &OutputQueue| {
            matches!(output.needs, DecodedNeeds::Everything | DecodedNeeds::Video) && (output.shows_bumpers || last)
        };
        self.send(
            |output| decoded(output) || last && output.copies.contains(&TrackKind::Video),
            || Ok(MediaItem::VideoEnd { until_us }),
        )
    }

    fn audio(&mut self, audio: Audio, at_us: i64) -> Result<(), Failure> {
        let at_us = self.timeline_us(at_us);
        self.send(
            |output| matches!(output.needs, DecodedNeeds::Everything | DecodedNeeds::Audio),
            || {
                let audio = frame::share_audio(&audio).map_err(|error| error::engine_failure("audio", error))?;
                Ok(MediaItem::Audio { audio, at_us })
            },
        )
    }

    fn packet(&mut self, packet: &Packet, kind: TrackKind) -> Result<(), Failure> {
        if self.is_bumper() {
            return Ok(());
        }
        let failure = |error| error::engine_failure("packet", error);
        let mut is_copied = false;
        for output in self.outputs.iter_mut().filter(|output| output.copies.contains(&kind)) {
            is_copied = true;
            let packet = packet::share_packet(packet).map_err(failure)?;
            let large = packet.size() >= LARGE_PACKET_BYTES;
            output.packets.push((packet, kind));
            if (large || output.packets.len() >= BATCH_PACKETS) && !output.send(None) {
                self.halt.raise();
            }
        }
        if is_copied {
            self.copied_packets.hold(packet).map_err(failure)?;
        }
        Ok(())
    }

    fn needs_decoded(&self, kind: TrackKind) -> bool {
        self.outputs.iter().any(|output| match (&output.needs, kind) {
            (DecodedNeeds::Everything, _) => true,
            (DecodedNeeds::Video | DecodedNeeds::Stills(_) | DecodedNeeds::Range(_), kind) => kind == TrackKind::Video,
            (DecodedNeeds::Audio, kind) => kind == TrackKind::Audio,
            (DecodedNeeds::Nothing, _) => false,
        })
    }

    fn wants_more(&mut self) -> bool {
        self.reader_stage.count_item();
        let needs = |output: &OutputQueue| !matches!(output.needs, DecodedNeeds::Nothing) || !output.copies.is_empty();
        !self.halt.is_raised() && self.outputs.iter().any(needs)
    }
}
