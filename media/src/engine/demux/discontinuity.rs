//! Repairs the time of sources whose clock jumps: after a jump the source goes on where it was.
//!
//! Multiplexes of MPEG, chained Ogg and recordings of RTMP streams may jump to any time. In other containers a long step
//! forward is a picture that stands still; only a step back is a jump, because times of decoding never fall.

use crate::engine::time::{from_us, to_us};
use ffmpeg_next::{Packet, Rational};

/// A step forward of more than this between two packets of a stream is a jump.
pub(crate) const FORWARD_US: i64 = 10_000_000;

/// So is a step back of more than this: packets come in the order of decoding, whose times only grow.
const BACK_US: i64 = 300_000;

/// A stream that follows another one over a jump is at most so far from it, in microseconds: pictures and sound of a part do
/// not begin and end together.
const APART_US: i64 = 10_000_000;

/// The repaired clock of a source. Its time falls into sections; each has an offset, and every stream enters the next
/// section when its own packets jump, so that all of them are shifted alike.
#[derive(Debug, Default)]
pub(crate) struct DiscontinuityRepair {
    may_jump: bool,
    /// Offset of each section in microseconds.
    sections: Vec<i64>,
    streams: Vec<StreamPosition>,
}

/// Where a stream is.
#[derive(Clone, Copy, Debug, Default)]
struct StreamPosition {
    section: usize,
    /// When its next packet should come.
    expected_us: Option<i64>,
}

impl StreamPosition {
    fn is_near(&self, us: i64, may_jump: bool) -> bool {
        let forward_us = if may_jump { FORWARD_US } else { i64::MAX };
        self.expected_us
            .is_none_or(|expected| (-BACK_US..=forward_us).contains(&us.saturating_sub(expected)))
    }

    /// Whether it may go on in a section that another stream has begun.
    fn may_enter(&self, us: i64) -> bool {
        self.expected_us
            .is_none_or(|expected| us.saturating_sub(expected).abs() <= APART_US)
    }
}

impl DiscontinuityRepair {
    /// A clock for a source of some streams, which may jump forward or not.
    pub(crate) fn new(may_jump: bool, streams: usize) -> Self {
        Self {
            may_jump,
            sections: vec![0],
            streams: vec![StreamPosition::default(); streams],
        }
    }

    /// Whether it jumped.
    pub(crate) const fn has_jumped(&self) -> bool {
        self.sections.len() > 1
    }

    /// Forgets what was, after a seek.
    pub(crate) fn restart(&mut self) {
        self.sections = vec![0];
        self.streams.fill(StreamPosition::default());
    }

    /// Repairs the times of a packet whose stream counts in `base`.
    pub(crate) fn repair(&mut self, packet: &mut Packet, base: Rational) {
        // Without a time of decoding, pictures that are shown later than they are decoded would look like a jump.
        let shown = packet.pts().filter(|_| self.may_jump);
        let Some(time) = packet.dts().or(shown) else {
            return;
        };
        let Some(place) = self.streams.get_mut(packet.stream()) else {
            return;
        };
        let raw = to_us(time, base);
        let at = |section: usize| raw.saturating_add(self.sections.get(section).copied().unwrap_or(0));
        if !place.is_near(at(place.section), self.may_jump) {
            let known = (place.section + 1..self.sections.len()).find(|section| place.may_enter(at(*section)));
            place.section = known.unwrap_or(self.sections.len());
            if known.is_none() {
                self.sections.push(place.expected_us.unwrap_or(raw).saturating_sub(raw));
            }
        }
        let offset = self.sections.get(place.section).copied().unwrap_or(0);
        place.expected_us = Some(
            raw.saturating_add(offset)
                .saturating_add(to_us(packet.duration().max(0), base)),
        );
        if offset != 0 {
            let shift = from_us(offset, base);
            packet.set_pts(packet.pts().map(|pts| pts.saturating_add(shift)));
            packet.set_dts(packet.dts().map(|dts| dts.saturating_add(shift)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(packets: &[(usize, i64)]) -> Vec<i64> {
        let mut discontinuities = DiscontinuityRepair::new(true, 2);
        let times = packets.iter().map(|(stream, dts)| {
            let mut packet = Packet::empty();
            packet.set_stream(*stream);
            packet.set_dts(Some(*dts));
            packet.set_duration(40);
            discontinuities.repair(&mut packet, Rational::new(1, 1_000));
            packet.dts().unwrap()
        });
        times.collect()
    }

    #[test]
    fn after_a_jump_the_source_goes_on_where_it_was() {
        let packets = [0, 40, 80, 5_000_080, 5_000_120, 40, 80].map(|dts| (0, dts));
        assert_eq!(repaired(&packets), [0, 40, 80, 120, 160, 200, 240]);
    }

    #[test]
    fn all_streams_are_shifted_alike_though_they_jump_one_after_the_other() {
        // The second stream is 10 ms late before and after the jump back to 0.
        let packets = [
            (0, 960),
            (1, 970),
            (0, 0),
            (1, 1_010),
            (0, 40),
            (1, 10),
            (0, 80),
            (1, 50),
        ];
        assert_eq!(repaired(&packets), [960, 970, 1_000, 1_010, 1_040, 1_010, 1_080, 1_050]);
    }
}
