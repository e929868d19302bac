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
    pub(crate) fn begins_at(&mut self, at_us: i64) {
        let late_us = at_us.saturating_sub(self.origin_us);
        let begins_with_empty_slots = self.counts_slots && self.begins_with_key == Some(true);
        let missed = self.from_the_start && !begins_with_empty_slots && late_us > self.interval_us * 3 / 2;
        if self.missed_us.is_none() && missed {
            self.broken_at_us = Some(self.origin_us);
        }
        self.missed_us.get_or_insert(if missed { late_us } else { 0 });
    }

    /// Notes that pictures were decoded before the span: nothing of the span is missing at its beginning.
    pub(crate) fn begins_before_the_span(&mut self) {
        self.missed_us.get_or_insert(0);
    }

    /// Notes that a packet or a picture did not decode. Sound before the span is not missed in it.
    pub(crate) fn breaks(&mut self) {
        let is_audio = matches!(self.facts.kind, MediaType::Audio);
        if is_audio && self.sent_us.saturating_add(RUN_UP_US) < self.wanted_us {
            return;
        }
        self.audio_broke = is_audio;
        self.broken = self.broken.saturating_add(1);
        self.broken_at_us.get_or_insert(self.sent_us);
    }

    /// Notes a keyframe that is shown at `at_us`: a span long after it needs nothing that is before it. Each thread of the decoder
    /// is a picture ahead, and some are held back for their order.
    pub(crate) fn begins_anew(&mut self, at_us: i64) {
        let threads = i64::try_from(self.decoder.threading().count).unwrap_or(0);
        let frames = threads.saturating_add(i64::from(self.facts.held_back));
        let ahead_us = self.interval_us.saturating_mul(frames).max(AHEAD_US);
        if at_us.saturating_add(ahead_us) <= self.wanted_us {
            self.broken = 0;
            self.passed_over = self.reported_damage.frames();
            self.broken_at_us = None;
        }
    }

    /// How many packets or pictures did not decode.
    pub(crate) fn broken(&self) -> u32 {
        let reported_damage = self.reported_damage.frames().saturating_sub(self.passed_over);
        self.broken.max(reported_damage)
    }

    /// How much did not decode, in microseconds.
    pub(crate) fn broken_us(&self) -> u64 {
        let each = match self.facts.kind {
            MediaType::Video => self.interval_us,
            _ => 21_333,
        };
        let missed_us = u64::try_from(self.missed_us.unwrap_or(0)).unwrap_or(0);
        u64::from(self.broken()) * u64::try_from(each).unwrap_or(0) + missed_us
    }
}
