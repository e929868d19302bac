//! Fan-out: hands decoded frames, samples and packets to the outputs, each of which works on a thread of its own.

pub(crate) mod channel;
pub(crate) mod frame_sampler;
pub(crate) mod stream_needs;

use crate::engine::cancel::Cancel;
use crate::engine::decode::sink::Sink;
use crate::engine::decode::timeline::{Part, Role};
use crate::engine::demux::copy_source::Medium;
use crate::engine::error;
use crate::engine::fanout::channel::{Inbox, Piece, Sender};
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
const MAX_WAITING_BYTES: u64 = 96 << 20;

/// Packets are handed over in batches of so many, because to wake a thread costs more than to copy one; a packet of so
/// many bytes ends its batch, which bounds what waits.
const BATCH_PACKETS: usize = 64;
const LARGE_BYTES: usize = 64 << 10;

/// Most batches of packets that wait for an output that is given nothing else.
const MAX_WAITING_BATCHES: u64 = 2;

/// The way to one output.
pub(crate) struct OutputQueue {
    to: Sender,
    wants: DecodedNeeds,
    /// Whether the output shows the clips before and after.
    shows_bumpers: bool,
    /// Whose packets are copied.
    copies: Vec<Medium>,
    /// Those of them that are not handed over yet.
    packets: Vec<(Packet, Medium)>,
}

impl OutputQueue {
    /// A way to an output, whose pictures are of about `picture_bytes`.
    pub(crate) fn new(
        planned: &PlannedOutput,
        frame_bytes: u64,
        meter: &OutputProgress,
        reading: &Stage,
    ) -> (Self, Inbox) {
        let room = (MAX_WAITING_BYTES / frame_bytes.max(1)).clamp(1, 16);
        let (video, audio) = stream_needs(&planned.content);
        let wants = DecodedNeeds::of(&planned.content);
        let copies = [(video, Medium::Video), (audio, Medium::Audio)];
        let copies = copies.into_iter().filter(|(take, _)| take.copied);
        let copies = copies.map(|(_, medium)| medium).collect();
        let room = if matches!(wants, DecodedNeeds::Nothing) {
            MAX_WAITING_BATCHES
        } else {
            room
        };
        let shows_bumpers = matches!(planned.content, Content::Movie(_) | Content::Hls(_));
        let (to, from) = sync_channel(usize::try_from(room).unwrap_or(2));
        (
            Self {
                to: Sender {
                    to,
                    reading: reading.clone(),
                },
                wants,
                shows_bumpers,
                copies,
                packets: Vec::new(),
            },
            Inbox::new(from, meter.clone()),
        )
    }

    /// Hands over the packets that were kept for a batch, and then a piece; `false` when the output is gone.
    fn send(&mut self, piece: Option<Piece>) -> bool {
        let packets = std::mem::take(&mut self.packets);
        let batch = (!packets.is_empty()).then_some(Piece::Packets(packets));
        batch.into_iter().chain(piece).all(|piece| self.to.send(piece))
    }
}

/// The ways to all outputs.
pub(crate) struct FanOut {
    outputs: Vec<OutputQueue>,
    /// The stage that reads and decodes.
    reading: Stage,
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
        reading: Stage,
        halt: Cancel,
        cascade_plan: CascadePlan,
    ) -> Self {
        Self {
            outputs,
            reading,
            halt,
            cascade_plan,
            part: None,
            cascade: None,
        }
    }

    /// Announces the part that is read next.
    pub(crate) fn begin(&mut self, part: Part) -> Result<(), Failure> {
        self.part = Some(part);
        self.cascade = self.cascade_plan.cascade(&part).map(Arc::new);
        let seen = if self.cascade.is_some() {
            ScalingCascade::below(part)
        } else {
            part
        };
        self.send(
            |output| {
                matches!(
                    output.wants,
                    DecodedNeeds::Everything | DecodedNeeds::Video | DecodedNeeds::Audio
                )
            },
            || Ok(Piece::Part(seen)),
        )
    }

    /// Whether a card is being read, which is not for every output.
    fn is_bumper(&self) -> bool {
        self.part.is_some_and(|part| !part.is_span())
    }

    /// A time of the part along the joined spans.
    fn joined_us(&self, at_us: i64) -> i64 {
        let begin_us = self.part.map_or(0, |part| part.at_us);
        at_us.saturating_add(i64::try_from(begin_us).unwrap_or(i64::MAX))
    }

    /// Sends a piece to every output that wants it; an output that is gone stops the rest.
    fn send(
        &mut self,
        wanted: impl Fn(&OutputQueue) -> bool,
        mut piece: impl FnMut() -> Result<Piece, Failure>,
    ) -> Result<(), Failure> {
        let bumper = self.is_bumper();
        let ready = |output: &OutputQueue| wanted(output) && (output.shows_bumpers || !bumper);
        for output in self.outputs.iter_mut().filter(|output| ready(output)) {
            if !output.send(Some(piece()?)) {
                self.halt.raise();
            }
        }
        Ok(())
    }

    /// Notes that nothing is read any more.
    pub(crate) fn rest(&self) {
        self.reading.waits();
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
    fn offer(&mut self, frame: &Video, at_us: i64, duration_us: i64) -> Result<(), Failure> {
        if self.is_bumper() {
            return Ok(());
        }
        for OutputQueue { to, wants, .. } in &mut self.outputs {
            match wants {
                DecodedNeeds::Stills(sampler) => sampler.offer(frame, at_us, to)?,
                DecodedNeeds::Range(range) => range.offer((frame, at_us), duration_us, to)?,
                DecodedNeeds::Everything | DecodedNeeds::Video | DecodedNeeds::Audio | DecodedNeeds::Nothing => {}
            }
            wants.settle();
        }
        Ok(())
    }

    /// Tells the same that no picture follows.
    fn end_offers(&mut self, until_us: Option<i64>) -> Result<(), Failure> {
        for OutputQueue { to, wants, .. } in &mut self.outputs {
            match wants {
                DecodedNeeds::Stills(sampler) => sampler.end(to)?,
                DecodedNeeds::Range(range) => range.end(until_us, to),
                DecodedNeeds::Everything | DecodedNeeds::Video | DecodedNeeds::Audio | DecodedNeeds::Nothing => {
                    continue;
                }
            }
            *wants = DecodedNeeds::Nothing;
        }
        Ok(())
    }
}

impl Sink for FanOut {
    fn frame(&mut self, frame: Video, at_us: i64, duration_us: i64) -> Result<(), Failure> {
        self.reading.moves();
        let at_us = self.joined_us(at_us);
        self.offer(&frame, at_us, duration_us)?;
        let frame = SharedFrame::new(frame, self.cascade.clone());
        self.send(
            |output| matches!(output.wants, DecodedNeeds::Everything | DecodedNeeds::Video),
            || {
                Ok(Piece::Frame {
                    frame: frame.clone(),
                    at_us,
                    duration_us,
                })
            },
        )
    }

    fn video_end(&mut self, until_us: Option<i64>) -> Result<(), Failure> {
        let until_us = until_us.map(|us| self.joined_us(us));
        // To who shows no cards, the spans are one run.
        let last = self.part.is_some_and(|part| part.role == Role::Span { last: true });
        if last {
            self.end_offers(until_us)?;
        }
        let decoded = |output: &OutputQueue| {
            matches!(output.wants, DecodedNeeds::Everything | DecodedNeeds::Video) && (output.shows_bumpers || last)
        };
        self.send(
            |output| decoded(output) || last && output.copies.contains(&Medium::Video),
            || Ok(Piece::VideoEnd { until_us }),
        )
    }

    fn audio(&mut self, audio: Audio, at_us: i64) -> Result<(), Failure> {
        let at_us = self.joined_us(at_us);
        self.send(
            |output| matches!(output.wants, DecodedNeeds::Everything | DecodedNeeds::Audio),
            || {
                let audio = frame::share_audio(&audio).map_err(|error| error::engine("sound", error))?;
                Ok(Piece::Audio { audio, at_us })
            },
        )
    }

    fn packet(&mut self, packet: &Packet, medium: Medium) -> Result<(), Failure> {
        if self.is_bumper() {
            return Ok(());
        }
        for output in self.outputs.iter_mut().filter(|output| output.copies.contains(&medium)) {
            let packet = packet::share_packet(packet).map_err(|error| error::engine("packet", error))?;
            let large = packet.size() >= LARGE_BYTES;
            output.packets.push((packet, medium));
            if (large || output.packets.len() >= BATCH_PACKETS) && !output.send(None) {
                self.halt.raise();
            }
        }
        Ok(())
    }

    fn decodes(&self, medium: Medium) -> bool {
        self.outputs.iter().any(|output| match (&output.wants, medium) {
            (DecodedNeeds::Everything, _) => true,
            (DecodedNeeds::Video | DecodedNeeds::Stills(_) | DecodedNeeds::Range(_), medium) => medium == Medium::Video,
            (DecodedNeeds::Audio, medium) => medium == Medium::Audio,
            (DecodedNeeds::Nothing, _) => false,
        })
    }

    fn goes_on(&mut self) -> bool {
        self.reading.moves();
        let wants = |output: &OutputQueue| !matches!(output.wants, DecodedNeeds::Nothing) || !output.copies.is_empty();
        !self.halt.is_raised() && self.outputs.iter().any(wants)
    }
}
