//! Fan-out: hands decoded frames, samples and packets to the outputs, each of which works on a thread of its own.

pub(crate) mod channel;
pub(crate) mod frame_sampler;
pub(crate) mod stream_needs;

use crate::engine::cancel::Cancel;
use crate::engine::decode::sink::Sink;
use crate::engine::decode::timeline::{Part, Role};
use crate::engine::demux::copy_source::TrackKind;
use crate::engine::error;
use crate::engine::fanout::channel::{MediaReceiver, MediaItem, MediaSender};
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

/// Most bytes of pictures that wait for one output.
const MAX_QUEUED_BYTES: u64 = 96 << 20;

/// Packets are handed over in batches of so many, because to wake a thread costs more than to copy one; a packet of so
/// many bytes ends its batch, which bounds what waits.
const BATCH_PACKETS: usize = 64;
const LARGE_PACKET_BYTES: usize = 64 << 10;

/// Most batches of packets that wait for an output that is given nothing else.
const MAX_QUEUED_BATCHES: u64 = 2;

/// The way to one output.
pub(crate) struct OutputQueue {
    to: MediaSender,
    needs: DecodedNeeds,
    /// Whether the output shows the clips before and after.
    shows_bumpers: bool,
    /// Whose packets are copied.
    copies: Vec<TrackKind>,
    /// Those of them that are not handed over yet.
    packets: Vec<(Packet, TrackKind)>,
}

impl OutputQueue {
    /// A way to an output, whose pictures are of about `picture_bytes`.
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
        let (to, from) = sync_channel(usize::try_from(capacity).unwrap_or(2));
        (
            Self {
                to: MediaSender {
                    to,
                    reader_stage: reader_stage.clone(),
                },
                needs,
                shows_bumpers,
                copies,
                packets: Vec::new(),
            },
            MediaReceiver::new(from, progress.clone()),
        )
    }

    /// Hands over the packets that were kept for a batch, and then a piece; `false` when the output is gone.
    fn send(&mut self, item: Option<MediaItem>) -> bool {
        let packets = std::mem::take(&mut self.packets);
        let batch = (!packets.is_empty()).then_some(MediaItem::Packets(packets));
        batch.into_iter().chain(item).all(|item| self.to.send(item))
    }
}

/// The ways to all outputs.
pub(crate) struct FanOut {
    outputs: Vec<OutputQueue>,
    /// The stage that reads and decodes.
    reader_stage: Stage,
    /// Raised when an output has failed and the rest need not go on.
    halt: Cancel,
    cascade_plan: CascadePlan,
    /// What is being read, and how its pictures come down.
    part: Option<Part>,
    cascade: Option<Arc<ScalingCascade>>,
}

impl FanOut {
    pub(crate) const fn new(
        outputs: Vec<OutputQueue>,
        reader_stage: Stage,
        halt: Cancel,
        cascade_plan: CascadePlan,
    ) -> Self {
        Self {
            outputs,
            reader_stage,
            halt,
            cascade_plan,
            part: None,
            cascade: None,
        }
    }

    /// Announces the part that is read next.
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

    /// Whether a card is being read, which is not for every output.
    fn is_bumper(&self) -> bool {
        self.part.is_some_and(|part| !part.is_span())
    }

    /// A time of the part along the joined spans.
    fn timeline_us(&self, at_us: i64) -> i64 {
        let begin_us = self.part.map_or(0, |part| part.timeline_us);
        at_us.saturating_add(i64::try_from(begin_us).unwrap_or(i64::MAX))
    }

    /// Sends a piece to every output that wants it; an output that is gone stops the rest.
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

    /// Notes that nothing is read any more.
    pub(crate) fn mark_reader_idle(&self) {
        self.reader_stage.set_idle();
    }

    /// Hands over what is left: nothing follows.
    pub(crate) fn end(&mut self) {
        for output in &mut self.outputs {
            if !output.send(None) {
                self.halt.raise();
            }
        }
    }

    /// Lets those look at a picture who want only some.
    fn offer_to_samplers(&mut self, frame: &Video, at_us: i64, duration_us: i64) -> Result<(), Failure> {
        if self.is_bumper() {
            return Ok(());
        }
        for OutputQueue { to, needs, .. } in &mut self.outputs {
            match needs {
                DecodedNeeds::Stills(sampler) => sampler.offer(frame, at_us, to)?,
                DecodedNeeds::Range(range) => range.offer((frame, at_us), duration_us, to)?,
                DecodedNeeds::Everything | DecodedNeeds::Video | DecodedNeeds::Audio | DecodedNeeds::Nothing => {}
            }
            needs.clear_when_satisfied();
        }
        Ok(())
    }

    /// Tells the same that no picture follows.
    fn end_samplers(&mut self, until_us: Option<i64>) -> Result<(), Failure> {
        for OutputQueue { to, needs, .. } in &mut self.outputs {
            match needs {
                DecodedNeeds::Stills(sampler) => sampler.end(to)?,
                DecodedNeeds::Range(range) => range.end(until_us, to),
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
        // To who shows no cards, the spans are one run.
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
                let audio = frame::share_audio(&audio).map_err(|error| error::engine_failure("sound", error))?;
                Ok(MediaItem::Audio { audio, at_us })
            },
        )
    }

    fn packet(&mut self, packet: &Packet, kind: TrackKind) -> Result<(), Failure> {
        if self.is_bumper() {
            return Ok(());
        }
        for output in self.outputs.iter_mut().filter(|output| output.copies.contains(&kind)) {
            let packet = packet::share_packet(packet).map_err(|error| error::engine_failure("packet", error))?;
            let large = packet.size() >= LARGE_PACKET_BYTES;
            output.packets.push((packet, kind));
            if (large || output.packets.len() >= BATCH_PACKETS) && !output.send(None) {
                self.halt.raise();
            }
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
