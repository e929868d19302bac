//! Packets of a source on their way into a file as they are: which of them, and when they are shown there.

use super::av::packets;
use super::facts::to_us;
use super::imprint::Stamp;
use super::mux::Mux;
use super::originals::{Cut, Original};
use domain::Failure;
use domain::protocol::Imprint;
use ffmpeg_next::{Packet, Rational};

/// Packets of pictures behind the end that wait for one before it, which may need them.
const MAX_TAIL: usize = 32;

/// Packets that wait for the last keyframe before the start: a group of pictures of ten seconds has fewer.
const MAX_HELD: usize = 4_096;

/// One stream of the file.
struct Lane {
    base: Rational,
    place: usize,
    last_dts: Option<i64>,
    stamp: Stamp,
}

impl Lane {
    fn open(original: &Original, padding: u32, mux: &mut Mux) -> Result<Self, Failure> {
        Ok(Self {
            base: original.base,
            place: mux.add_copy(original.parameters.moved_out(padding), original.base)?,
            last_dts: None,
            stamp: Stamp::default(),
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
    fn write(&mut self, mut packet: Packet, zero: i64, mux: &mut Mux) -> Result<(), Failure> {
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
        self.stamp.press(&packet);
        mux.write(packet, self.place, self.base)
    }
}

/// When a packet is shown, in units of its stream.
fn shown(packet: &Packet) -> i64 {
    packet.pts().or_else(|| packet.dts()).unwrap_or(0)
}

/// The pictures: from the last keyframe at or before the start, until nothing before the end needs another one.
pub(super) struct Pictures {
    lane: Lane,
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
    /// Behind the end, in the order of decoding.
    tail: Vec<Packet>,
    /// Whether some of the tail had to be written.
    hidden_tail: bool,
    frames: u64,
    shown_until: i64,
}

impl Pictures {
    /// Adds the stream to the file.
    pub(super) fn open(original: &Original, cut: Cut, mux: &mut Mux) -> Result<Self, Failure> {
        let lane = Lane::open(original, 0, mux)?;
        Ok(Self {
            start: lane.ticks(cut.start_us),
            end: cut.end_us.map(|end| lane.ticks(end)),
            hides: cut.hides,
            held: Vec::new(),
            zero: None,
            key: 0,
            tail: Vec::new(),
            hidden_tail: false,
            frames: 0,
            shown_until: i64::MIN,
            lane,
        })
    }

    /// What of the source's clock is shown at 0, in microseconds, once it is known.
    pub(super) fn zero_us(&self) -> Option<i64> {
        self.zero.map(|zero| self.lane.us(zero))
    }

    /// Takes the next packet.
    pub(super) fn push(&mut self, packet: Packet, mux: &mut Mux) -> Result<(), Failure> {
        if self.zero.is_some() {
            return self.copy(packet, mux);
        }
        if packet.is_key() && (shown(&packet) <= self.start || self.held.is_empty()) {
            self.held.clear();
        } else if self.held.is_empty() {
            // Nothing can be decoded from here.
            return Ok(());
        }
        // Nothing is shown before it is decoded: no keyframe at or before the start follows.
        let settled = packet.dts().is_some_and(|dts| dts > self.start) || self.held.len() >= MAX_HELD;
        self.held.push(packet);
        if settled { self.begin(mux) } else { Ok(()) }
    }

    /// Begins with what is held.
    fn begin(&mut self, mux: &mut Mux) -> Result<(), Failure> {
        let mut held = std::mem::take(&mut self.held);
        let Some(first) = held.first() else { return Ok(()) };
        self.key = shown(first);
        self.zero = Some(if self.hides { self.start } else { self.key });
        date(&mut held);
        held.into_iter().try_for_each(|packet| self.copy(packet, mux))
    }

    fn copy(&mut self, packet: Packet, mux: &mut Mux) -> Result<(), Failure> {
        let (at, zero) = (shown(&packet), self.zero.unwrap_or(self.start));
        let behind = self.end.is_some_and(|end| at >= end) || at >= self.start && packets::is_hidden(&packet);
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
            self.lane.write(needed, zero, mux)?;
        }
        self.frames += u64::from(at >= zero);
        self.shown_until = self.shown_until.max(at.saturating_add(packet.duration()));
        self.lane.write(packet, zero, mux)
    }

    /// Writes what is still held.
    pub(super) fn finish(&mut self, mux: &mut Mux) -> Result<(), Failure> {
        self.begin(mux)
    }

    /// Pictures that are shown.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Where the last one ends, in microseconds of the file.
    pub(super) fn length_us(&self) -> u64 {
        let length = self.shown_until.saturating_sub(self.zero.unwrap_or(self.shown_until));
        u64::try_from(self.lane.us(length)).unwrap_or(0)
    }

    /// The packets that were written.
    pub(super) fn imprint(&self) -> Imprint {
        self.lane.stamp.imprint()
    }

    /// Where the packets begin on the source's clock, in microseconds.
    pub(super) fn key_us(&self) -> i64 {
        self.lane.us(self.key)
    }

    /// Whether the file has pictures behind its end that must be hidden.
    pub(super) const fn has_hidden_tail(&self) -> bool {
        self.hidden_tail
    }
}

/// Gives times of decoding to the first packets, which Matroska leaves without: before the first one that has one, as
/// far apart as pictures are.
fn date(packets: &mut [Packet]) {
    let known = packets.iter().position(|packet| packet.dts().is_some());
    let Some(place) = known else { return };
    let mut dts = packets.get(place).and_then(Packet::dts).unwrap_or(0);
    for packet in packets.iter_mut().take(place).rev() {
        dts = dts.saturating_sub(packet.duration().max(1));
        packet.set_dts(Some(dts));
    }
}

/// The sound under it.
pub(super) struct Sounds {
    lane: Lane,
    end: Option<i64>,
    hides: bool,
    /// What came before it was known what is heard first.
    waiting: Vec<Packet>,
    heard_until: i64,
}

impl Sounds {
    /// Adds the stream to the file. `padding` samples at its beginning are not heard.
    pub(super) fn open(original: &Original, cut: Cut, padding: u32, mux: &mut Mux) -> Result<Self, Failure> {
        let lane = Lane::open(original, padding, mux)?;
        Ok(Self {
            end: cut.end_us.map(|end| lane.ticks(end)),
            hides: cut.hides,
            waiting: Vec::new(),
            heard_until: 0,
            lane,
        })
    }

    /// Takes the next packet.
    pub(super) fn hear(&mut self, packet: Packet) {
        self.waiting.push(packet);
    }

    /// Writes what was taken, once it is known what of the source's clock is 0 in the file.
    pub(super) fn release(&mut self, zero_us: Option<i64>, mux: &mut Mux) -> Result<(), Failure> {
        let Some(zero_us) = zero_us else { return Ok(()) };
        let zero = self.lane.ticks(zero_us);
        for packet in std::mem::take(&mut self.waiting) {
            if self.is_wanted(&packet, zero) {
                let until = shown(&packet).saturating_add(packet.duration().max(0));
                self.heard_until = self.heard_until.max(until.saturating_sub(zero));
                self.lane.write(packet, zero, mux)?;
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
        let behind = self.end.is_some_and(|end| at >= end) || at >= zero && packets::is_hidden(packet);
        late_enough && !behind
    }

    /// The packets that were written.
    pub(super) fn imprint(&self) -> Imprint {
        self.lane.stamp.imprint()
    }

    /// Where the sound ends, in microseconds of the file.
    pub(super) fn length_us(&self) -> u64 {
        u64::try_from(self.lane.us(self.heard_until)).unwrap_or(0)
    }
}
