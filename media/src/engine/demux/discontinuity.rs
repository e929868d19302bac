//! Repairs the time of sources whose clock jumps: after a jump the source goes on where it was.
//!
//! Multiplexes of MPEG, chained Ogg and recordings of RTMP streams may jump to any time. In other containers a long step
//! forward is a picture that stands still; only a step back is a jump, because times of decoding never fall.

use crate::engine::demux::container;
use crate::engine::demux::early_times::EarlyTimes;
use crate::engine::demux::packet_times::PacketTimes;
use crate::engine::time::{from_us, to_us};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Packet, Rational};
use std::collections::VecDeque;

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
    /// Corrects the times of each stream first.
    times: Vec<PacketTimes>,
}

/// Where a stream is.
#[derive(Clone, Copy, Debug, Default)]
struct StreamPosition {
    section: usize,
    /// When its next packet should come.
    expected_us: Option<i64>,
    /// When the last of its pictures ends.
    shown_until_us: Option<i64>,
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
    /// A clock for a source.
    pub(crate) fn of(input: &Input) -> Self {
        let times = input.streams().map(|stream| PacketTimes::of(input, &stream)).collect();
        Self::new(container::may_jump(input), times)
    }

    fn new(may_jump: bool, times: Vec<PacketTimes>) -> Self {
        Self {
            may_jump,
            sections: vec![0],
            streams: vec![StreamPosition::default(); times.len()],
            times,
        }
    }

    /// Returns `true` when the clock jumped, or when it has to be counted from the first packet on because the sample rate changed.
    pub(crate) fn has_jumped(&self) -> bool {
        self.sections.len() > 1 || self.times.iter().any(|times| times.changed)
    }

    /// Gives the first packets of a stream their times before 0.
    pub(crate) fn begin_with(&mut self, early: EarlyTimes) {
        if let Some(times) = self.times.get_mut(early.stream) {
            times.begin_with(early.times);
        }
    }

    /// Forgets what was, after a seek.
    pub(crate) fn restart(&mut self) {
        self.times
            .iter_mut()
            .for_each(|times| times.begin_with(VecDeque::new()));
        self.sections = vec![0];
        self.streams.fill(StreamPosition::default());
    }

    /// Repairs the times of a packet whose stream counts in `base`.
    pub(crate) fn repair(&mut self, packet: &mut Packet, base: Rational) {
        if let Some(times) = self.times.get_mut(packet.stream()) {
            times.correct(packet, base);
        }
        let Some(time) = packet.dts().or_else(|| packet.pts()) else {
            return;
        };
        let Some(place) = self.streams.get_mut(packet.stream()) else {
            return;
        };
        let raw = to_us(time, base);
        let duration_us = to_us(packet.duration().max(0), base);
        // The first packets of Matroska have no time of decoding. Pictures that are shown later than they are decoded would look
        // like a jump there; but nothing is shown before it is decoded, so that a step back of the time of showing is one.
        let is_shown_only = packet.dts().is_none() && !self.may_jump;
        let at = |section: usize| raw.saturating_add(self.sections.get(section).copied().unwrap_or(0));
        if !place.is_near(at(place.section), self.may_jump) {
            let known = (place.section + 1..self.sections.len()).find(|section| place.may_enter(at(*section)));
            place.section = known.unwrap_or(self.sections.len());
            if known.is_none() {
                // Behind a step back FFmpeg guesses the times of decoding.
                let shown = packet.pts().filter(|_| !self.may_jump).map(|pts| to_us(pts, base));
                let offset = match shown.zip(place.shown_until_us) {
                    Some((shown_us, until_us)) => until_us.saturating_sub(shown_us),
                    None => place.expected_us.unwrap_or(raw).saturating_sub(raw),
                };
                self.sections.push(offset);
            }
        }
        let offset = self.sections.get(place.section).copied().unwrap_or(0);
        let shown_us = packet
            .pts()
            .map(|pts| to_us(pts, base).saturating_add(offset).saturating_add(duration_us));
        place.shown_until_us = place.shown_until_us.max(shown_us);
        place.expected_us = if is_shown_only {
            place.expected_us.map(|us| us.saturating_add(duration_us))
        } else {
            Some(raw.saturating_add(offset).saturating_add(duration_us))
        };
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
        let mut discontinuities = DiscontinuityRepair::new(true, vec![PacketTimes::default(); 2]);
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
