//! Packets of sound on their way into a file: those that are heard with its pictures.

use super::{Lane, shown};
use crate::engine::av::packets;
use crate::engine::mux::Mux;
use crate::engine::originals::{Cut, Original};
use domain::Failure;
use domain::protocol::Imprint;
use ffmpeg_next::Packet;

/// The sound under it.
pub(in crate::engine) struct Sounds {
    lane: Lane,
    end: Option<i64>,
    hides: bool,
    /// What came before it was known what is heard first.
    waiting: Vec<Packet>,
    heard_until: i64,
}

impl Sounds {
    /// Adds the stream to the file. `padding` samples at its beginning are not heard.
    pub(in crate::engine) fn open(original: &Original, cut: Cut, padding: u32, mux: &mut Mux) -> Result<Self, Failure> {
        let lane = Lane::open(original, padding, mux)?;
        mux.speak(original.language.as_deref());
        Ok(Self {
            end: cut.end_us.map(|end| lane.ticks(end)),
            hides: cut.hides,
            waiting: Vec::new(),
            heard_until: 0,
            lane,
        })
    }

    /// Takes the next packet.
    pub(in crate::engine) fn hear(&mut self, packet: Packet) {
        self.waiting.push(packet);
    }

    /// Writes what was taken, once it is known what of the source's clock is 0 in the file.
    pub(in crate::engine) fn release(&mut self, zero_us: Option<i64>, mux: &mut Mux) -> Result<(), Failure> {
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
    pub(in crate::engine) fn imprint(&self) -> Imprint {
        self.lane.stamp.imprint()
    }

    /// Where the sound ends, in microseconds of the file.
    pub(in crate::engine) fn length_us(&self) -> u64 {
        u64::try_from(self.lane.us(self.heard_until)).unwrap_or(0)
    }
}
