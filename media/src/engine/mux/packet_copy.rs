//! Copies packets of a source into a file: selects them and shifts their timestamps.

use crate::engine::demux::copy_source::{CopySpan, CopyStream};
use crate::engine::ffi::packet;
use crate::engine::mux::muxer::Muxer;
use crate::engine::mux::packet_digest::PacketDigest;
use crate::engine::time::to_us;
use domain::Failure;
use domain::protocol::Imprint;
use ffmpeg_next::{Packet, Rational};

/// Packets of pictures behind the end that wait for one before it, which may need them.
const MAX_TAIL: usize = 32;

/// Packets that wait for the last keyframe before the start: a group of pictures of ten seconds has fewer.
const MAX_HELD: usize = 4_096;

/// One stream of the file.
struct CopiedStream {
    base: Rational,
    place: usize,
    last_dts: Option<i64>,
    digest: PacketDigest,
}

impl CopiedStream {
    fn open(source: &CopyStream, padding: u32, muxer: &mut Muxer) -> Result<Self, Failure> {
        Ok(Self {
            base: source.base,
            place: muxer.add_copy(source.parameters.for_muxer(padding), source.base)?,
            last_dts: None,
            digest: PacketDigest::default(),
        })
    }

    fn us(&self, time: i64) -> i64 {
        to_us(time, self.base)
    }

    /// A time of the source's clock in units of the stream, to the nearest.
    fn ticks(&self, us: i64) -> i64 {
        let (num, den) = (
            i128::from(self.base.numerator().max(1)),
            i128::from(self.base.denominator()),
        );
        let half = num * 500_000;
        i64::try_from((i128::from(us) * den + half).div_euclid(num * 1_000_000)).unwrap_or(0)
    }

    /// Writes a packet; what is shown at `zero` is shown at 0. Muxers want times of decoding that grow.
    fn write(&mut self, mut packet: Packet, zero: i64, muxer: &mut Muxer) -> Result<(), Failure> {
        let own = packet
            .dts()
            .or_else(|| packet.pts())
            .unwrap_or(zero)
            .saturating_sub(zero);
        let dts = self.last_dts.map_or(own, |last| own.max(last.saturating_add(1)));
        let pts = packet.pts().map_or(dts, |pts| pts.saturating_sub(zero).max(dts));
        self.last_dts = Some(dts);
        packet.set_dts(Some(dts));
        packet.set_pts(Some(pts));
        packet.set_position(-1);
        self.digest.add(&packet);
        muxer.write(packet, self.place, self.base)
    }
}

/// When a packet is shown, in units of its stream.
fn shown(packet: &Packet) -> i64 {
    packet.pts().or_else(|| packet.dts()).unwrap_or(0)
}

/// The pictures: from the last keyframe at or before the start, until nothing before the end needs another one.
pub(crate) struct VideoCopy {
    stream: CopiedStream,
    /// Start and end, in units of the stream.
    start: i64,
    end: Option<i64>,
    hides: bool,
    /// From the latest keyframe on, while a later one may still be at or before the start.
    held: Vec<Packet>,
    /// What is shown at 0, once it is known.
    zero: Option<i64>,
    /// Where the packets begin.
    key: i64,
    /// The latest packet, which waits for the next one: the last picture may stand longer than it tells.
    last: Option<Packet>,
    /// Behind the end, in the order of decoding.
    tail: Vec<Packet>,
    /// Whether some of the tail had to be written.
    hidden_tail: bool,
    frames: u64,
    shown_until: i64,
}

impl VideoCopy {
    /// Adds the stream to the file.
    pub(crate) fn open(source: &CopyStream, cut: CopySpan, muxer: &mut Muxer) -> Result<Self, Failure> {
        let stream = CopiedStream::open(source, 0, muxer)?;
        if source.alpha {
            muxer.set_tag("alpha_mode", "1");
        }
        Ok(Self {
            start: stream.ticks(cut.start_us),
            end: cut.end_us.map(|end| stream.ticks(end)),
            hides: cut.hides,
            held: Vec::new(),
            zero: None,
            key: 0,
            last: None,
            tail: Vec::new(),
            hidden_tail: false,
            frames: 0,
            shown_until: i64::MIN,
            stream,
        })
    }

    /// What of the source's clock is shown at 0, in microseconds, once it is known.
    pub(crate) fn zero_us(&self) -> Option<i64> {
        self.zero.map(|zero| self.stream.us(zero))
    }

    /// Takes the next packet.
    pub(crate) fn push(&mut self, packet: Packet, muxer: &mut Muxer) -> Result<(), Failure> {
        if self.zero.is_some() {
            return self.copy(packet, muxer);
        }
        if packet.is_key() && (shown(&packet) <= self.start || self.held.is_empty()) {
            self.held.clear();
        } else if self.held.is_empty() {
            // Nothing can be decoded from here.
            return Ok(());
        }
        // Nothing is shown before it is decoded: no keyframe at or before the start follows, or nothing of the span.
        let decoded = |at: i64| packet.dts().is_some_and(|dts| dts > at);
        let (started, ended) = (decoded(self.start), self.end.is_some_and(decoded));
        self.held.push(packet);
        if self.is_overfull() || ended || (started && self.begins_in_span()) {
            self.begin(muxer)
        } else {
            Ok(())
        }
    }

    fn is_overfull(&self) -> bool {
        self.held.len() >= MAX_HELD
    }

    /// Whether a picture that is held begins in the span.
    fn begins_in_span(&self) -> bool {
        let in_span = |at: i64| at >= self.start && self.end.is_none_or(|end| at < end);
        self.held.iter().map(shown).any(in_span)
    }

    /// Begins with what is held.
    fn begin(&mut self, muxer: &mut Muxer) -> Result<(), Failure> {
        let Some(first) = self.held.first() else { return Ok(()) };
        self.key = shown(first);
        self.zero = Some(self.choose_zero());
        let mut held = std::mem::take(&mut self.held);
        fill_missing_dts(&mut held);
        held.into_iter().try_for_each(|packet| self.copy(packet, muxer))
    }

    /// The start of the span; where no picture begins in it, the one that is shown meanwhile.
    fn choose_zero(&self) -> i64 {
        let lasts = |packet: &&Packet| shown(packet).saturating_add(packet.duration()) > self.start;
        let meanwhile = || {
            self.held
                .iter()
                .filter(lasts)
                .map(shown)
                .filter(|at| *at < self.start)
                .max()
        };
        match self.hides {
            // Sound may begin before the pictures.
            false => self.key.min(self.start),
            true if self.is_overfull() || self.begins_in_span() => self.start,
            true => meanwhile().unwrap_or(self.start),
        }
    }

    fn copy(&mut self, packet: Packet, muxer: &mut Muxer) -> Result<(), Failure> {
        let (at, zero) = (shown(&packet), self.zero.unwrap_or(self.start));
        let behind = self.end.is_some_and(|end| at >= end) || at >= self.start && packet::is_hidden(&packet);
        if behind {
            if self.tail.len() < MAX_TAIL {
                self.tail.push(packet);
            }
            return Ok(());
        }
        if self.tail.len() >= MAX_TAIL {
            return Ok(());
        }
        for needed in std::mem::take(&mut self.tail) {
            self.hidden_tail = true;
            self.write(needed, muxer)?;
        }
        self.frames += u64::from(at >= zero);
        self.shown_until = self.shown_until.max(at.saturating_add(packet.duration()));
        self.write(packet, muxer)
    }

    /// Writes the packet before this one.
    fn write(&mut self, packet: Packet, muxer: &mut Muxer) -> Result<(), Failure> {
        let zero = self.zero.unwrap_or(self.start);
        match self.last.replace(packet) {
            Some(before) => self.stream.write(before, zero, muxer),
            None => Ok(()),
        }
    }

    /// Writes what is still held. The last picture stands until `until_us` after the start of the span, if that is longer
    /// than its packet tells.
    pub(crate) fn finish(&mut self, until_us: Option<i64>, muxer: &mut Muxer) -> Result<(), Failure> {
        self.begin(muxer)?;
        let Some(mut last) = self.last.take() else {
            return Ok(());
        };
        let until = until_us.map(|us| self.start.saturating_add(self.stream.ticks(us)));
        if let Some(until) = until.filter(|until| *until > self.shown_until && !self.hidden_tail) {
            last.set_duration(until.saturating_sub(shown(&last)));
            self.shown_until = until;
        }
        self.stream.write(last, self.zero.unwrap_or(self.start), muxer)
    }

    /// Pictures that are shown.
    pub(crate) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Where the last one ends, in microseconds of the file.
    pub(crate) fn length_us(&self) -> u64 {
        let length = self.shown_until.saturating_sub(self.zero.unwrap_or(self.shown_until));
        u64::try_from(self.stream.us(length)).unwrap_or(0)
    }

    /// The packets that were written.
    pub(crate) fn digest(&self) -> Imprint {
        self.stream.digest.digest()
    }

    /// Where the packets begin on the source's clock, in microseconds.
    pub(crate) fn key_us(&self) -> i64 {
        self.stream.us(self.key)
    }

    /// Whether the file has pictures behind its end that must be hidden.
    pub(crate) const fn has_hidden_tail(&self) -> bool {
        self.hidden_tail
    }
}

/// Gives times of decoding to the first packets, which Matroska leaves without: before the first one that has one, as
/// far apart as pictures are.
fn fill_missing_dts(packets: &mut [Packet]) {
    let known = packets.iter().position(|packet| packet.dts().is_some());
    let Some(place) = known else { return };
    let mut dts = packets.get(place).and_then(Packet::dts).unwrap_or(0);
    for packet in packets.iter_mut().take(place).rev() {
        dts = dts.saturating_sub(packet.duration().max(1));
        packet.set_dts(Some(dts));
    }
}

/// The sound under it.
pub(crate) struct AudioCopy {
    stream: CopiedStream,
    end: Option<i64>,
    hides: bool,
    /// What came before it was known what is heard first.
    waiting: Vec<Packet>,
    heard_until: i64,
}

impl AudioCopy {
    /// Adds the stream to the file. `padding` samples at its beginning are not heard.
    pub(crate) fn open(source: &CopyStream, cut: CopySpan, padding: u32, muxer: &mut Muxer) -> Result<Self, Failure> {
        let stream = CopiedStream::open(source, padding, muxer)?;
        muxer.set_language(source.language.as_deref());
        Ok(Self {
            end: cut.end_us.map(|end| stream.ticks(end)),
            hides: cut.hides,
            waiting: Vec::new(),
            heard_until: 0,
            stream,
        })
    }

    /// Takes the next packet.
    pub(crate) fn push(&mut self, packet: Packet) {
        self.waiting.push(packet);
    }

    /// Writes what was taken, once it is known what of the source's clock is 0 in the file.
    pub(crate) fn release(&mut self, zero_us: Option<i64>, muxer: &mut Muxer) -> Result<(), Failure> {
        let Some(zero_us) = zero_us else { return Ok(()) };
        let zero = self.stream.ticks(zero_us);
        for packet in std::mem::take(&mut self.waiting) {
            if self.is_wanted(&packet, zero) {
                let until = shown(&packet).saturating_add(packet.duration().max(0));
                self.heard_until = self.heard_until.max(until.saturating_sub(zero));
                self.stream.write(packet, zero, muxer)?;
            }
        }
        Ok(())
    }

    /// Whether a packet is heard. Where the file hides what lies before, one more goes first: decoders need it to
    /// begin.
    fn is_wanted(&self, packet: &Packet, zero: i64) -> bool {
        let (at, length) = (shown(packet), packet.duration().max(0));
        let run_up = if self.hides { length } else { 0 };
        let late_enough = at.saturating_add(length).saturating_add(run_up) > zero;
        let behind = self.end.is_some_and(|end| at >= end) || at >= zero && packet::is_hidden(packet);
        late_enough && !behind
    }

    /// The packets that were written.
    pub(crate) fn digest(&self) -> Imprint {
        self.stream.digest.digest()
    }

    /// Where the sound ends, in microseconds of the file.
    pub(crate) fn length_us(&self) -> u64 {
        u64::try_from(self.stream.us(self.heard_until)).unwrap_or(0)
    }
}
