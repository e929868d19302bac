//! Repair of timestamp discontinuities: after one, the timestamps of a source continue where they were.
//!
//! *Problem.* Recordings of broadcasts, concatenated MPEG-TS and MPEG-PS, chained Ogg and recordings of RTMP streams
//! change their clock in the middle of the file, forward or back. Without repair, an output has a long gap there, or
//! everything after a step back is dropped as late.
//!
//! *Mechanism.* The file is divided into sections. Each section has an offset that is added to the timestamps of its
//! packets. A packet whose DTS is too far from the end of the previous packet of its stream is a discontinuity. The
//! stream then enters the next section: an existing one if another stream has entered it already and its offset fits,
//! or a new one, whose offset continues the timestamps of this stream without a gap.
//!
//! *Invariants.* All streams of a section have the same offset, so audio and video stay in sync, also if they reach the
//! discontinuity at different packets. A stream never goes back to an earlier section. After a seek, the repair starts
//! again, because the sections that were skipped are unknown.
//!
//! *Thresholds.* Only MPEG multiplexes, Ogg and FLV may be discontinuous forward. In other containers a long step
//! forward is a frame that is shown for long. A step back is a discontinuity in every container, because DTS never
//! decrease.
//!
//! *Rejected.* Offsets per stream: each small error in the duration of a last packet would shift audio against video.
//! FFmpeg's own repair is in its command-line tool, not in its libraries.

use crate::engine::demux::container;
use crate::engine::demux::early_times::EarlyTimes;
use crate::engine::demux::packet_times::PacketTimes;
use crate::engine::time::{from_us, to_us};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Packet, Rational};

/// Step forward between two packets of a stream above which it is a discontinuity, in microseconds.
pub(crate) const MAX_FORWARD_US: i64 = 10_000_000;

/// Step back above which it is a discontinuity, in microseconds. DTS never decrease, but small steps back are inexact
/// timestamps.
const MAX_BACKWARD_US: i64 = 300_000;

/// Maximum distance between the expected timestamp of a stream and a section that another stream has begun, in
/// microseconds. Audio and video of a section need not begin and end at the same time.
const MAX_STREAM_OFFSET_US: i64 = 10_000_000;

/// State of the repair of one source.
#[derive(Debug, Default)]
pub(crate) struct DiscontinuityRepair {
    /// `true` if a step forward may be a discontinuity.
    allows_forward: bool,
    /// Offset of each section in microseconds; the first one is 0.
    sections: Vec<i64>,
    streams: Vec<StreamPosition>,
    /// Corrects the times of each stream first.
    times: Vec<PacketTimes>,
}

/// Section of a stream and the expected timestamp of its next packet.
#[derive(Clone, Copy, Debug, Default)]
struct StreamPosition {
    section: usize,
    /// End of the latest packet on the repaired timeline, in microseconds; `None` before the first one.
    expected_us: Option<i64>,
    /// End of its last shown frame on the repaired timeline, in microseconds.
    shown_until_us: Option<i64>,
}

impl StreamPosition {
    /// Returns `true` if a timestamp continues the stream without a discontinuity.
    fn is_continuous(&self, us: i64, allows_forward: bool) -> bool {
        let max_forward_us = if allows_forward { MAX_FORWARD_US } else { i64::MAX };
        self.expected_us
            .is_none_or(|expected| (-MAX_BACKWARD_US..=max_forward_us).contains(&us.saturating_sub(expected)))
    }

    /// Returns `true` if the stream may continue in a section in which its timestamp is `us`.
    fn may_enter(&self, us: i64) -> bool {
        self.expected_us
            .is_none_or(|expected| us.saturating_sub(expected).abs() <= MAX_STREAM_OFFSET_US)
    }
}

impl DiscontinuityRepair {
    /// Creates the repair for a source.
    pub(crate) fn of(input: &Input) -> Self {
        let times = input.streams().map(|stream| PacketTimes::of(input, &stream)).collect();
        Self::new(container::allows_forward_discontinuity(input), times)
    }

    /// `allows_forward`: a large step forward is a discontinuity ([`container::allows_forward_discontinuity`]).
    fn new(allows_forward: bool, times: Vec<PacketTimes>) -> Self {
        Self {
            allows_forward,
            sections: vec![0],
            streams: vec![StreamPosition::default(); times.len()],
            times,
        }
    }

    /// Returns `true` if a discontinuity was found, or if packets have to be counted from the first one because the
    /// sample rate changed.
    pub(crate) fn has_discontinuity(&self) -> bool {
        self.sections.len() > 1 || self.times.iter().any(|times| times.changed)
    }

    /// Sets the times before 0 of the first packets of a stream.
    pub(crate) fn begin_with(&mut self, early: EarlyTimes) {
        if let Some(times) = self.times.get_mut(early.stream) {
            times.begin_with(early.times);
        }
    }

    /// Starts again, after a seek.
    pub(crate) fn reset(&mut self) {
        self.times.iter_mut().for_each(PacketTimes::restart);
        self.sections = vec![0];
        self.streams.fill(StreamPosition::default());
    }

    /// Returns `true` if a packet is a header that its decoder must not get.
    pub(crate) fn is_undecodable(&self, packet: &Packet) -> bool {
        let times = self.times.get(packet.stream());
        times.is_some_and(|times| times.is_undecodable(packet))
    }

    /// Repairs the timestamps of a packet, which are in units of `time_base`. Returns its DTS, or PTS if it has none,
    /// with the corrections of single packets and without the offset of its section.
    pub(crate) fn repair(&mut self, packet: &mut Packet, time_base: Rational) -> Option<i64> {
        let times = self.times.get_mut(packet.stream());
        let link = times.and_then(|times| times.correct(packet, time_base));
        let timestamp = packet.dts().or_else(|| packet.pts())?;
        let Some(stream) = self.streams.get_mut(packet.stream()) else {
            return Some(timestamp);
        };
        let source_us = to_us(timestamp, time_base);
        let duration_us = to_us(packet.duration().max(0), time_base);
        // The first packets of Matroska have no DTS. The PTS of reordered frames goes back and forth, so a step forward
        // of it tells nothing. No frame is shown before it is decoded, so a step back is a discontinuity.
        let has_pts_only = packet.dts().is_none() && !self.allows_forward;
        let repaired_us = |section: usize| source_us.saturating_add(self.sections.get(section).copied().unwrap_or(0));
        if link.is_some() || !stream.is_continuous(repaired_us(stream.section), self.allows_forward) {
            let entered =
                (stream.section + 1..self.sections.len()).find(|section| stream.may_enter(repaired_us(*section)));
            stream.section = entered.unwrap_or(self.sections.len());
            if entered.is_none() {
                // After a step back, FFmpeg guesses the DTS.
                let pts_us = packet
                    .pts()
                    .filter(|_| !self.allows_forward)
                    .map(|pts| to_us(pts, time_base));
                let offset_us = match pts_us.zip(stream.shown_until_us) {
                    Some((pts_us, until_us)) => until_us.saturating_sub(pts_us),
                    None => stream.expected_us.unwrap_or(source_us).saturating_sub(source_us),
                };
                // Samples that the decoder drops are before the discontinuity.
                let dropped_us = link.map_or(0, |link| to_us(link.dropped, time_base));
                self.sections.push(offset_us.saturating_sub(dropped_us));
            }
        }
        let offset_us = self.sections.get(stream.section).copied().unwrap_or(0);
        let shown_until_us = packet.pts().map(|pts| {
            to_us(pts, time_base)
                .saturating_add(offset_us)
                .saturating_add(duration_us)
        });
        stream.shown_until_us = stream.shown_until_us.max(shown_until_us);
        stream.expected_us = if has_pts_only {
            stream.expected_us.map(|us| us.saturating_add(duration_us))
        } else {
            Some(source_us.saturating_add(offset_us).saturating_add(duration_us))
        };
        if offset_us != 0 {
            let offset = from_us(offset_us, time_base);
            packet.set_pts(packet.pts().map(|pts| pts.saturating_add(offset)));
            packet.set_dts(packet.dts().map(|dts| dts.saturating_add(offset)));
        }
        Some(timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(packets: &[(usize, i64)]) -> Vec<i64> {
        let mut discontinuities = DiscontinuityRepair::new(true, vec![PacketTimes::default(); 2]);
        let repaired = packets.iter().map(|(stream, dts)| {
            let mut packet = Packet::empty();
            packet.set_stream(*stream);
            packet.set_dts(Some(*dts));
            packet.set_duration(40);
            discontinuities.repair(&mut packet, Rational::new(1, 1_000));
            packet.dts().unwrap()
        });
        repaired.collect()
    }

    #[test]
    fn after_a_discontinuity_timestamps_continue() {
        let packets = [0, 40, 80, 5_000_080, 5_000_120, 40, 80].map(|dts| (0, dts));
        assert_eq!(repaired(&packets), [0, 40, 80, 120, 160, 200, 240]);
    }

    #[test]
    fn streams_that_reach_a_discontinuity_at_different_packets_get_the_same_offset() {
        // The second stream is 10 ms behind the first, before and after the discontinuity.
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
