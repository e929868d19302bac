//! Loss of a source: the duration that its headers state, compared with what was decoded, plus damaged packets and
//! holes.

use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::demux::gap_detector::Holes;
use std::ops::AddAssign;

/// Without the durations of single streams, a loss up to this many microseconds is ignored: the duration of the
/// container is that of its longest stream.
const CONTAINER_TOLERANCE_US: u64 = 1_000_000;

/// A loss at the end below this is ignored, in microseconds: durations in headers are often a few frames off.
const MIN_END_LOSS_US: u64 = 250_000;

/// Media that a source has lost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SourceLoss {
    /// Missing or damaged media in microseconds, holes included.
    pub(crate) lost_us: u64,
    /// Part of it that packets and frames have which did not decode, in microseconds.
    damaged_us: u64,
    /// Time of the first loss, in microseconds after the origin of the source; `None` when it is not known.
    pub(crate) first_lost_us: Option<u64>,
    /// Missing audio under video that goes on, in microseconds.
    pub(crate) audio_gap_us: u64,
    /// Time of the first of these gaps, in microseconds after the origin; 0 without a gap.
    pub(crate) first_audio_gap_us: u64,
    /// `true` when the parameter sets in the packets changed.
    pub(crate) headers_changed: bool,
    /// `true` when a decoded frame has transparent pixels.
    pub(crate) transparent: bool,
    /// `true` when frames may be missing at the end of the file in a number that no header states.
    pub(crate) has_open_end: bool,
    /// `true` when the frames are not at the rate that the header states.
    pub(crate) has_variable_frame_rate: bool,
    /// Bytes at the end of the file that were not read.
    pub(crate) unread_bytes: u64,
}

impl SourceLoss {
    /// Compares how far the streams of a span were decoded with the durations in their headers. `origin_us` is the
    /// origin of the source and `start_us` the start of the span, both in source time. `span_us` is the duration of the
    /// span as probed; 0 when it is not known or the rest of the span was not needed.
    pub(crate) fn new(decoders: &[&StreamDecoder], origin_us: i64, start_us: i64, span_us: i64) -> Self {
        let has_duration = |decoder: &&&StreamDecoder| decoder.header_duration_us > 0;
        let missing = decoders.iter().filter(has_duration).map(|decoder| {
            let remaining_us = decoder
                .header_duration_us
                .saturating_sub(start_us.saturating_sub(decoder.start_us));
            unsigned(remaining_us.min(span_us).saturating_sub(decoder.reached_us))
        });
        let missing_of_container = || {
            let reached_us = decoders
                .iter()
                .map(|decoder| decoder.reached_us)
                .max()
                .unwrap_or(span_us);
            Some(unsigned(span_us.saturating_sub(reached_us))).filter(|us| *us > CONTAINER_TOLERANCE_US)
        };
        let missing_us = missing.max().or_else(missing_of_container).unwrap_or(0);
        let missing_us = if missing_us >= MIN_END_LOSS_US { missing_us } else { 0 };
        let damaged_us = decoders.iter().map(|decoder| decoder.damaged_us()).max().unwrap_or(0);
        let damaged_at = decoders.iter().filter_map(|decoder| decoder.first_damage_us).min();
        // Without damaged packets the loss is at the end. Damage that only decoded frames show has no known time.
        let ends_at = decoders
            .iter()
            .map(|decoder| start_us.saturating_add(decoder.reached_us))
            .min();
        Self {
            // Media missing at the end may be what did not decode, so it must not count twice.
            lost_us: missing_us.max(damaged_us),
            damaged_us,
            audio_gap_us: 0,
            first_audio_gap_us: 0,
            first_lost_us: damaged_at
                .or(ends_at.filter(|_| damaged_us == 0))
                .map(|us| unsigned(us.saturating_sub(origin_us))),
            headers_changed: decoders.iter().any(|decoder| decoder.headers_changed()),
            transparent: decoders.iter().any(|decoder| decoder.transparent),
            has_open_end: false,
            has_variable_frame_rate: false,
            unread_bytes: 0,
        }
    }

    /// Removes the time of the loss unless all of it did not decode: of packets without timestamps, any may be the
    /// missing ones.
    pub(crate) fn without_position_of_missing(self) -> Self {
        Self {
            first_lost_us: self.first_lost_us.filter(|_| self.damaged_us >= self.lost_us),
            ..self
        }
    }

    /// Adds packets that were left out because their codec is not that of their stream. Where they are at the end of
    /// all streams, they count as missing there already.
    pub(crate) fn with_left_out(self, left_out: Holes, origin_us: i64) -> Self {
        let lost_us = self.lost_us;
        let loss = self.with_holes(left_out, origin_us);
        Self {
            lost_us: lost_us.max(unsigned(left_out.all.length_us)),
            ..loss
        }
    }

    /// Adds the holes in a source; `origin_us` is its origin in source time.
    pub(crate) fn with_holes(self, holes: Holes, origin_us: i64) -> Self {
        let after_origin = |us: i64| unsigned(us.saturating_sub(origin_us));
        let first_lost_us = match (
            holes.all.at_us.map(after_origin),
            self.first_lost_us.filter(|_| self.lost_us > 0),
        ) {
            (Some(hole_us), Some(first_lost_us)) => Some(hole_us.min(first_lost_us)),
            (hole_us, _) => hole_us.or(self.first_lost_us),
        };
        Self {
            lost_us: self.lost_us.saturating_add(unsigned(holes.all.length_us)),
            first_lost_us,
            audio_gap_us: self.audio_gap_us.saturating_add(unsigned(holes.audio.length_us)),
            first_audio_gap_us: match holes.audio.at_us.map(after_origin) {
                Some(at_us) if self.audio_gap_us == 0 => at_us,
                at_us => self.first_audio_gap_us.min(at_us.unwrap_or(u64::MAX)),
            },
            ..self
        }
    }
}

impl AddAssign for SourceLoss {
    fn add_assign(&mut self, more: Self) {
        if self.audio_gap_us == 0 {
            self.first_audio_gap_us = more.first_audio_gap_us;
        }
        if self.lost_us == 0 {
            self.first_lost_us = more.first_lost_us;
        }
        self.lost_us = self.lost_us.saturating_add(more.lost_us);
        self.damaged_us = self.damaged_us.saturating_add(more.damaged_us);
        self.audio_gap_us = self.audio_gap_us.saturating_add(more.audio_gap_us);
        self.headers_changed |= more.headers_changed;
        self.transparent |= more.transparent;
        self.has_open_end |= more.has_open_end;
        self.has_variable_frame_rate |= more.has_variable_frame_rate;
        self.unread_bytes = self.unread_bytes.max(more.unread_bytes);
    }
}

fn unsigned(us: i64) -> u64 {
    u64::try_from(us).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::SourceLoss;

    #[test]
    fn the_first_loss_is_that_of_the_first_span_with_a_loss() {
        let span = |lost_us: u64, first_lost_us: u64| SourceLoss {
            lost_us,
            first_lost_us: Some(first_lost_us),
            ..SourceLoss::default()
        };
        let mut all = SourceLoss::default();
        for one in [span(0, 2_000_000), span(500_000, 5_000_000), span(700_000, 9_000_000)] {
            all += one;
        }
        assert_eq!((all.lost_us, all.first_lost_us), (1_200_000, Some(5_000_000)));
        all += span(u64::MAX, 20_000_000);
        assert_eq!((all.lost_us, all.first_lost_us), (u64::MAX, Some(5_000_000)));
    }
}
