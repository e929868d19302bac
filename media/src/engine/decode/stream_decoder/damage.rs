//! Packets and frames of a stream that did not decode.

use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::ffi::parameters::MediaType;

/// Sound that is decoded so long before it is wanted only makes the decoder ready, in microseconds.
const RUN_UP_US: i64 = 100_000;

/// A decoder is at least so far ahead of the pictures that it gives away, in microseconds.
const AHEAD_US: i64 = 500_000;

impl StreamDecoder {
    /// Notes when the first picture of all is shown. Before the first keyframe of a stream that was cut nothing decodes; of an
    /// AVI that begins with one, slots are empty before the first picture.
    pub(crate) fn record_first_frame(&mut self, at_us: i64) {
        let late_us = at_us.saturating_sub(self.start_us);
        let starts_with_empty_slots = self.counts_slots && self.starts_with_keyframe == Some(true);
        let missed = self.reads_from_start && !starts_with_empty_slots && late_us > self.interval_us * 3 / 2;
        if self.missed_start_us.is_none() && missed {
            self.first_damage_us = Some(self.start_us);
        }
        self.missed_start_us.get_or_insert(if missed { late_us } else { 0 });
    }

    /// Notes that pictures were decoded before the span: nothing of the span is missing at its beginning.
    pub(crate) fn record_frame_before_span(&mut self) {
        self.missed_start_us.get_or_insert(0);
    }

    /// Notes that a packet or a picture did not decode. Sound before the span is not missed in it.
    pub(crate) fn count_damage(&mut self) {
        let is_audio = matches!(self.facts.kind, MediaType::Audio);
        if is_audio && self.last_packet_us.saturating_add(RUN_UP_US) < self.span_start_us {
            return;
        }
        self.damage_count = self.damage_count.saturating_add(1);
        self.first_damage_us.get_or_insert(self.last_packet_us);
    }

    /// Notes a keyframe that is shown at `at_us`: a span long after it needs nothing that is before it. Each thread of the decoder
    /// is a picture ahead, and some are held back for their order.
    pub(crate) fn record_keyframe_before_span(&mut self, at_us: i64) {
        let threads = i64::try_from(self.decoder.threading().count).unwrap_or(0);
        let frames = threads.saturating_add(i64::from(self.facts.reorder_delay));
        let ahead_us = self.interval_us.saturating_mul(frames).max(AHEAD_US);
        if at_us.saturating_add(ahead_us) <= self.span_start_us {
            self.damage_count = 0;
            self.damage_before_span = self.reported_damage.frames();
            self.first_damage_us = None;
        }
    }

    /// How many packets or pictures did not decode.
    pub(crate) fn damage_count(&self) -> u32 {
        let reported_damage = self.reported_damage.frames().saturating_sub(self.damage_before_span);
        self.damage_count.max(reported_damage)
    }

    /// How much did not decode, in microseconds.
    pub(crate) fn damaged_us(&self) -> u64 {
        let each = match self.facts.kind {
            MediaType::Video => self.interval_us,
            _ => 21_333,
        };
        let missed_start_us = u64::try_from(self.missed_start_us.unwrap_or(0)).unwrap_or(0);
        u64::from(self.damage_count()) * u64::try_from(each).unwrap_or(0) + missed_start_us
    }
}
