//! Loss of a source: the duration that its headers state, compared with what was decoded, plus damaged packets and
//! holes.

use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::demux::broken_off::BreakCause;
use crate::engine::demux::gap_detector::Holes;
use domain::Timecode;
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
    /// Set when frames may be missing in a number that no header states.
    pub(crate) unknown_loss: Option<BreakCause>,
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
            unknown_loss: None,
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

    /// Describes the lost media: as far as their duration is known, and the cause of a loss of unknown duration.
    pub(crate) fn description(&self) -> Option<String> {
        let lost_ms = self.lost_us / 1_000;
        let first = self.first_lost_us.map_or(String::new(), |us| {
            format!(", first at source time {}", Timecode::from_us(us))
        });
        match self.unknown_loss.map(BreakCause::sentence) {
            None => (lost_ms > 0).then(|| format!("{lost_ms} ms lost{first}")),
            Some(cause) if lost_ms > 0 => Some(format!("{lost_ms} ms or more lost{first}; {cause}")),
            Some(cause) => Some(format!("{cause}; how much is missing is not known")),
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
        self.unknown_loss = self.unknown_loss.or(more.unknown_loss);
        self.has_variable_frame_rate |= more.has_variable_frame_rate;
        self.unread_bytes = self.unread_bytes.max(more.unread_bytes);
    }
}

fn unsigned(us: i64) -> u64 {
    u64::try_from(us).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_loss_of_unknown_length_is_not_told_as_a_number_alone() {
        let told = |lost_us: u64, unknown_loss: Option<BreakCause>| {
            let loss = SourceLoss {
                lost_us,
                unknown_loss,
                ..SourceLoss::default()
            };
            loss.description()
        };
        assert_eq!(told(0, None), None);
        assert_eq!(told(40_000, None).unwrap(), "40 ms lost");
        let causes = [
            (BreakCause::End, "the file breaks off"),
            (BreakCause::Size, "the file is shorter than its header states"),
            (
                BreakCause::Fragments,
                "the file has fewer fragments than its index lists",
            ),
            (BreakCause::Order, "the fragments of the file are not in order"),
            (BreakCause::Inside, "parts inside of the file are damaged"),
        ];
        for (cause, sentence) in causes {
            assert_eq!(
                told(40_000, Some(cause)).unwrap(),
                format!("40 ms or more lost; {sentence}")
            );
            let unknown = format!("{sentence}; how much is missing is not known");
            assert_eq!(told(0, Some(cause)).unwrap(), unknown);
        }
    }
}
