//! Copies packets of the source into an output: selects those of the span and shifts their timestamps.
//!
//! *Problem.* A span may begin and end anywhere, but decoding can only begin at a keyframe, and packets come in decode
//! order. The output must contain every packet that frames of the span refer to, and few others.
//!
//! *Mechanism.* Video begins with the last keyframe at or before the start of the span. Packets are held from each such
//! candidate on until a dts shows that no later keyframe qualifies. If the container has an edit list, the start of the
//! span becomes 0 in the file, and the frames before it have negative timestamps and are hidden; otherwise the keyframe
//! becomes 0. At the end, packets with a pts past the end wait; they are written only if a frame of the span follows in
//! decode order, because that frame may refer to them. Audio waits until the zero point of the video is known.
//!
//! *Invariants.* dts increases strictly, and no pts is before its dts. Every written packet is in the digest that
//! verification compares. Held video is bounded by [`MAX_HELD_PACKETS`] and
//! [`MAX_TAIL_PACKETS`].

use crate::engine::demux::copy_source::{CopySpan, CopyStream};
use crate::engine::ffi::packet;
use crate::engine::mux::muxer::Muxer;
use crate::engine::mux::packet_digest::PacketDigest;
use crate::engine::time::to_us;
use domain::Failure;
use domain::protocol::StreamDigest;
use ffmpeg_next::{Packet, Rational};

/// Maximum number of video packets past the end that wait for a frame of the span. More than the reorder depth of any
/// codec (16 frames).
const MAX_TAIL_PACKETS: usize = 32;

/// Maximum number of packets that are held while the last keyframe before the start is searched. A GOP of ten seconds
/// has fewer.
const MAX_HELD_PACKETS: usize = 4_096;

/// A copied stream of the output.
struct CopiedStream {
    time_base: Rational,
    stream_index: usize,
    last_dts: Option<i64>,
    digest: PacketDigest,
}

impl CopiedStream {
    fn open(source: &CopyStream, padding: u32, muxer: &mut Muxer) -> Result<Self, Failure> {
        Ok(Self {
            time_base: source.base,
            stream_index: muxer.add_copied_stream(source.parameters.for_muxer(padding), source.base)?,
            last_dts: None,
            digest: PacketDigest::default(),
        })
    }

    fn ticks_to_us(&self, time: i64) -> i64 {
        to_us(time, self.time_base)
    }

    /// Converts microseconds to the nearest timestamp in the time base of the stream.
    fn us_to_ticks(&self, us: i64) -> i64 {
        let (num, den) = (
            i128::from(self.time_base.numerator().max(1)),
            i128::from(self.time_base.denominator()),
        );
        let half = num * 500_000;
        i64::try_from((i128::from(us) * den + half).div_euclid(num * 1_000_000)).unwrap_or(0)
    }

    /// Writes a packet with its timestamps shifted by `zero`, the pts that becomes 0. Muxers require increasing dts,
    /// which sources do not always have.
    fn write(&mut self, mut packet: Packet, zero: i64, muxer: &mut Muxer) -> Result<(), Failure> {
        let source_dts = packet
            .dts()
            .or_else(|| packet.pts())
            .unwrap_or(zero)
            .saturating_sub(zero);
        let dts = self
            .last_dts
            .map_or(source_dts, |last| source_dts.max(last.saturating_add(1)));
        let pts = packet.pts().map_or(dts, |pts| pts.saturating_sub(zero).max(dts));
        self.last_dts = Some(dts);
        packet.set_dts(Some(dts));
        packet.set_pts(Some(pts));
        // The byte position in the source has no meaning in the output.
        packet.set_position(-1);
        self.digest.add(&packet);
        muxer.write_packet(packet, self.stream_index, self.time_base)
    }
}

/// Returns the pts of a packet, or its dts if it has none, in the time base of its stream.
fn pts_or_dts(packet: &Packet) -> i64 {
    packet.pts().or_else(|| packet.dts()).unwrap_or(0)
}

/// The copied video: from the last keyframe at or before the start to the last packet that frames before the end need.
pub(crate) struct VideoCopy {
    stream: CopiedStream,
    /// Start of the span, in the time base of the stream.
    start: i64,
    /// End of the span; `None` for the end of the source.
    end: Option<i64>,
    has_edit_list: bool,
    /// Packets from the latest candidate keyframe on, while a later keyframe may still be at or before the start.
    held: Vec<Packet>,
    /// The pts that becomes 0 in the output; `None` until it is known.
    zero: Option<i64>,
    /// The pts of the first copied packet, a keyframe.
    first_pts: i64,
    /// The latest packet, not written yet: if it is the last one, its duration may have to be extended.
    last: Option<Packet>,
    /// Packets past the end of the span, in decode order.
    tail: Vec<Packet>,
    /// Set if packets of the tail were written, because a frame of the span may refer to them.
    has_hidden_tail: bool,
    frames: u64,
    /// End of the last shown frame, in the time base of the stream.
    end_pts: i64,
}

impl VideoCopy {
    /// Adds the stream to the output.
    pub(crate) fn open(source: &CopyStream, span: CopySpan, muxer: &mut Muxer) -> Result<Self, Failure> {
        let stream = CopiedStream::open(source, 0, muxer)?;
        if source.alpha {
            // Matroska and WebM mark VP8 and VP9 with alpha by this tag.
            muxer.set_tag("alpha_mode", "1");
        }
        Ok(Self {
            start: stream.us_to_ticks(span.start_us),
            end: span.end_us.map(|end| stream.us_to_ticks(end)),
            has_edit_list: span.has_edit_list,
            held: Vec::new(),
            zero: None,
            first_pts: 0,
            last: None,
            tail: Vec::new(),
            has_hidden_tail: false,
            frames: 0,
            end_pts: i64::MIN,
            stream,
        })
    }

    /// Returns the source timestamp that becomes 0 in the output, in microseconds; `None` until it is known.
    pub(crate) fn zero_us(&self) -> Option<i64> {
        self.zero.map(|zero| self.stream.ticks_to_us(zero))
    }

    /// Adds the next packet in decode order.
    pub(crate) fn push(&mut self, packet: Packet, muxer: &mut Muxer) -> Result<(), Failure> {
        if self.zero.is_some() {
            return self.copy(packet, muxer);
        }
        if packet.is_key() && (pts_or_dts(&packet) <= self.start || self.held.is_empty()) {
            self.held.clear();
        } else if self.held.is_empty() {
            // Nothing can be decoded before the first keyframe.
            return Ok(());
        }
        // A later packet is not shown before this dts. So after the start of the span no better keyframe follows, and
        // after its end no frame of the span.
        let is_past = |at: i64| packet.dts().is_some_and(|dts| dts > at);
        let (started, ended) = (is_past(self.start), self.end.is_some_and(is_past));
        self.held.push(packet);
        if self.is_full() || ended || (started && self.has_frame_in_span()) {
            self.write_held(muxer)
        } else {
            Ok(())
        }
    }

    fn is_full(&self) -> bool {
        self.held.len() >= MAX_HELD_PACKETS
    }

    /// Returns `true` if the pts of a held frame is in the span.
    fn has_frame_in_span(&self) -> bool {
        let in_span = |at: i64| at >= self.start && self.end.is_none_or(|end| at < end);
        self.held.iter().map(pts_or_dts).any(in_span)
    }

    /// Chooses the zero point and writes the held packets.
    fn write_held(&mut self, muxer: &mut Muxer) -> Result<(), Failure> {
        let Some(first) = self.held.first() else { return Ok(()) };
        self.first_pts = pts_or_dts(first);
        self.zero = Some(self.choose_zero());
        let mut held = std::mem::take(&mut self.held);
        fill_missing_dts(&mut held);
        held.into_iter().try_for_each(|packet| self.copy(packet, muxer))
    }

    /// Chooses the pts that becomes 0: the start of the span, or if no frame begins in the span, the pts of the frame
    /// that is shown then.
    fn choose_zero(&self) -> i64 {
        let lasts_past_start = |packet: &&Packet| pts_or_dts(packet).saturating_add(packet.duration()) > self.start;
        let shown_frame = || {
            self.held
                .iter()
                .filter(lasts_past_start)
                .map(pts_or_dts)
                .filter(|at| *at < self.start)
                .max()
        };
        match self.has_edit_list {
            // Without an edit list nothing can be hidden: all packets are shown. If audio begins before the first
            // frame, the start of the span is earlier than the keyframe.
            false => self.first_pts.min(self.start),
            true if self.is_full() || self.has_frame_in_span() => self.start,
            true => shown_frame().unwrap_or(self.start),
        }
    }

    fn copy(&mut self, packet: Packet, muxer: &mut Muxer) -> Result<(), Failure> {
        let (at, zero) = (pts_or_dts(&packet), self.zero.unwrap_or(self.start));
        // Frames that an edit list of the source hides after the start are past the source's own end.
        let is_past_end = self.end.is_some_and(|end| at >= end) || at >= self.start && packet::is_hidden(&packet);
        if is_past_end {
            if self.tail.len() < MAX_TAIL_PACKETS {
                self.tail.push(packet);
            }
            return Ok(());
        }
        // A full tail means that packets were dropped that this frame may refer to. No valid stream reorders that far.
        if self.tail.len() >= MAX_TAIL_PACKETS {
            return Ok(());
        }
        for referenced in std::mem::take(&mut self.tail) {
            self.has_hidden_tail = true;
            self.write(referenced, muxer)?;
        }
        self.frames += u64::from(at >= zero);
        self.end_pts = self.end_pts.max(at.saturating_add(packet.duration()));
        self.write(packet, muxer)
    }

    /// Writes the previous packet and keeps this one.
    fn write(&mut self, packet: Packet, muxer: &mut Muxer) -> Result<(), Failure> {
        let zero = self.zero.unwrap_or(self.start);
        match self.last.replace(packet) {
            Some(previous) => self.stream.write(previous, zero, muxer),
            None => Ok(()),
        }
    }

    /// Writes the remaining packets. Extends the duration of the last frame to `until_us` after the start of the span,
    /// if that is later than the end of its packet.
    pub(crate) fn finish(&mut self, until_us: Option<i64>, muxer: &mut Muxer) -> Result<(), Failure> {
        self.write_held(muxer)?;
        let Some(mut last) = self.last.take() else {
            return Ok(());
        };
        let until = until_us.map(|us| self.start.saturating_add(self.stream.us_to_ticks(us)));
        if let Some(until) = until.filter(|until| *until > self.end_pts && !self.has_hidden_tail) {
            last.set_duration(until.saturating_sub(pts_or_dts(&last)));
            self.end_pts = until;
        }
        self.stream.write(last, self.zero.unwrap_or(self.start), muxer)
    }

    /// Returns the number of shown frames.
    pub(crate) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Returns the end of the last shown frame in microseconds after the start of the output.
    pub(crate) fn duration_us(&self) -> u64 {
        let duration = self.end_pts.saturating_sub(self.zero.unwrap_or(self.end_pts));
        u64::try_from(self.stream.ticks_to_us(duration)).unwrap_or(0)
    }

    /// Returns the digest of the written packets.
    pub(crate) fn digest(&self) -> StreamDigest {
        self.stream.digest.digest()
    }

    /// Returns the pts of the first copied packet, a keyframe, in microseconds of the source's timestamps.
    pub(crate) fn first_keyframe_us(&self) -> i64 {
        self.stream.ticks_to_us(self.first_pts)
    }

    /// Returns `true` if the output contains frames past its end, which must be hidden.
    pub(crate) const fn has_hidden_tail(&self) -> bool {
        self.has_hidden_tail
    }
}

/// Sets the dts of the first packets, which Matroska leaves out: counted back from the first known dts by the durations
/// of the packets.
fn fill_missing_dts(packets: &mut [Packet]) {
    let known = packets.iter().position(|packet| packet.dts().is_some());
    let Some(known) = known else { return };
    let mut dts = packets.get(known).and_then(Packet::dts).unwrap_or(0);
    for packet in packets.iter_mut().take(known).rev() {
        dts = dts.saturating_sub(packet.duration().max(1));
        packet.set_dts(Some(dts));
    }
}

/// The copied audio: the packets that overlap the span.
pub(crate) struct AudioCopy {
    stream: CopiedStream,
    /// End of the span, in the time base of the stream; `None` for the end of the source.
    end: Option<i64>,
    has_edit_list: bool,
    /// Packets that arrived before the zero point was known.
    pending: Vec<Packet>,
    /// End of the last written packet after the start of the output, in the time base of the stream.
    end_pts: i64,
}

impl AudioCopy {
    /// Adds the stream to the output. The first `padding` samples are encoder delay and are not played.
    pub(crate) fn open(source: &CopyStream, span: CopySpan, padding: u32, muxer: &mut Muxer) -> Result<Self, Failure> {
        let stream = CopiedStream::open(source, padding, muxer)?;
        muxer.set_language(source.language.as_deref());
        Ok(Self {
            end: span.end_us.map(|end| stream.us_to_ticks(end)),
            has_edit_list: span.has_edit_list,
            pending: Vec::new(),
            end_pts: 0,
            stream,
        })
    }

    /// Adds the next packet.
    pub(crate) fn push(&mut self, packet: Packet) {
        self.pending.push(packet);
    }

    /// Writes the pending packets once the zero point is known: the source timestamp that becomes 0 in the output.
    pub(crate) fn write_pending(&mut self, zero_us: Option<i64>, muxer: &mut Muxer) -> Result<(), Failure> {
        let Some(zero_us) = zero_us else { return Ok(()) };
        let zero = self.stream.us_to_ticks(zero_us);
        for packet in std::mem::take(&mut self.pending) {
            if self.is_in_span(&packet, zero) {
                let end = pts_or_dts(&packet).saturating_add(packet.duration().max(0));
                self.end_pts = self.end_pts.max(end.saturating_sub(zero));
                self.stream.write(packet, zero, muxer)?;
            }
        }
        Ok(())
    }

    /// Returns `true` if a packet belongs to the output: it ends after `zero` and begins before the end. If the output
    /// has an edit list, one hidden packet before `zero` is included as preroll for the decoder.
    fn is_in_span(&self, packet: &Packet, zero: i64) -> bool {
        let (at, duration) = (pts_or_dts(packet), packet.duration().max(0));
        let preroll = if self.has_edit_list { duration } else { 0 };
        let ends_after_start = at.saturating_add(duration).saturating_add(preroll) > zero;
        let is_past_end = self.end.is_some_and(|end| at >= end) || at >= zero && packet::is_hidden(packet);
        ends_after_start && !is_past_end
    }

    /// Returns the digest of the written packets.
    pub(crate) fn digest(&self) -> StreamDigest {
        self.stream.digest.digest()
    }

    /// Returns the end of the last packet in microseconds after the start of the output.
    pub(crate) fn duration_us(&self) -> u64 {
        u64::try_from(self.stream.ticks_to_us(self.end_pts)).unwrap_or(0)
    }
}
