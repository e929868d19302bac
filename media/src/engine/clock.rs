//! Repairs the time of containers that may jump (MPEG-TS and the like): after a jump the source goes on where it was.

use super::facts::to_us;
use ffmpeg_next::{Packet, Rational};

/// A step of more than this between two packets of a stream is a jump.
const JUMP_US: i64 = 10_000_000;

/// The repaired clock of a source.
#[derive(Debug, Default)]
pub(super) struct Clock {
    may_jump: bool,
    offset_us: i64,
    /// When the next packet of each stream should come.
    expected_us: Vec<Option<i64>>,
}

impl Clock {
    /// A clock for a source of some streams; one that may not jump is never repaired.
    pub(super) fn new(may_jump: bool, streams: usize) -> Self {
        Self {
            may_jump,
            offset_us: 0,
            expected_us: vec![None; streams],
        }
    }

    /// Forgets what was expected, after a seek.
    pub(super) fn restart(&mut self) {
        self.offset_us = 0;
        self.expected_us.fill(None);
    }

    /// Repairs the times of a packet whose stream counts in `base`.
    pub(super) fn repair(&mut self, packet: &mut Packet, base: Rational) {
        let Some(time) = packet.dts().or_else(|| packet.pts()).filter(|_| self.may_jump) else {
            return;
        };
        let Some(expected) = self.expected_us.get_mut(packet.stream()) else {
            return;
        };
        let mut us = to_us(time, base).saturating_add(self.offset_us);
        if let Some(expected) = *expected
            && us.saturating_sub(expected).abs() > JUMP_US
        {
            self.offset_us = self.offset_us.saturating_add(expected.saturating_sub(us));
            us = expected;
        }
        *expected = Some(us.saturating_add(to_us(packet.duration().max(0), base)));
        if self.offset_us != 0 {
            let shift = in_base(self.offset_us, base);
            packet.set_pts(packet.pts().map(|pts| pts.saturating_add(shift)));
            packet.set_dts(packet.dts().map(|dts| dts.saturating_add(shift)));
        }
    }
}

fn in_base(us: i64, base: Rational) -> i64 {
    let (num, den) = (i128::from(base.numerator().max(1)), i128::from(base.denominator()));
    i64::try_from(i128::from(us) * den / (num * 1_000_000)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_jump_the_source_goes_on_where_it_was() {
        let base = Rational::new(1, 1_000);
        let mut clock = Clock::new(true, 1);
        let mut repaired = Vec::new();
        for dts in [0, 40, 80, 5_000_080, 5_000_120, 40, 80] {
            let mut packet = Packet::empty();
            packet.set_dts(Some(dts));
            packet.set_duration(40);
            clock.repair(&mut packet, base);
            repaired.push(packet.dts().unwrap());
        }
        assert_eq!(repaired, [0, 40, 80, 120, 160, 200, 240]);
    }
}
