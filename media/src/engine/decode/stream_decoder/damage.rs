//! Damage of a stream: counts packets and frames that did not decode, and excludes those that the span does not need.
//!
//! Decoding begins before the span, at a keyframe. Damage there matters only if frames of the span depend on it, so a
//! keyframe that is shown long enough before the span clears the count.

use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::ffi::parameters::MediaType;

/// Audio decoded further before the span than this does not affect it, in microseconds: decoders converge in a few
/// packets.
const AUDIO_PREROLL_US: i64 = 100_000;

/// Minimum distance between the packets sent to a decoder and the frames received from it, in microseconds.
const MIN_DECODER_LEAD_US: i64 = 500_000;

impl StreamDecoder {
    /// Records the time of the first frame. A late first frame means that packets before the first keyframe could not
    /// be decoded: the stream was cut. An AVI that starts with a keyframe may have empty slots before its first frame
    /// instead.
    pub(crate) fn record_first_frame(&mut self, at_us: i64) {
        let late_us = at_us.saturating_sub(self.start_us);
        let starts_with_empty_slots = self.counts_slots && self.starts_with_keyframe == Some(true);
        let missed = self.reads_from_start && !starts_with_empty_slots && late_us > self.interval_us * 3 / 2;
        if self.missed_start_us.is_none() && missed {
            self.first_damage_us = Some(self.start_us);
        }
        self.missed_start_us.get_or_insert(if missed { late_us } else { 0 });
    }

    /// Records that a frame before the span was decoded: nothing is missing at the beginning of the span.
    pub(crate) fn record_frame_before_span(&mut self) {
        self.missed_start_us.get_or_insert(0);
    }

    /// Counts a packet or frame that did not decode, except for audio before the span.
    pub(crate) fn count_damage(&mut self) {
        let is_audio = matches!(self.facts.kind, MediaType::Audio);
        if is_audio && self.last_packet_us.saturating_add(AUDIO_PREROLL_US) < self.span_start_us {
            return;
        }
        self.has_undecoded_audio = is_audio;
        self.damage_count = self.damage_count.saturating_add(1);
        self.first_damage_us.get_or_insert(self.last_packet_us);
    }

    /// Records a keyframe before the span, shown at source time `at_us`, and clears the damage before it if the span
    /// begins long enough after it. The decoder is ahead by one frame per thread and by the frames that it reorders, so
    /// damage that was counted already may belong to frames behind the keyframe.
    pub(crate) fn record_keyframe_before_span(&mut self, at_us: i64) {
        let threads = i64::try_from(self.decoder.threading().count).unwrap_or(0);
        let frames = threads.saturating_add(i64::from(self.facts.reorder_delay));
        let ahead_us = self.interval_us.saturating_mul(frames).max(MIN_DECODER_LEAD_US);
        if at_us.saturating_add(ahead_us) <= self.span_start_us {
            self.damage_count = 0;
            self.damage_before_span = self.reported_damage.frames();
            self.first_damage_us = None;
        }
    }

    /// Number of packets or frames that did not decode.
    pub(crate) fn damage_count(&self) -> u32 {
        let reported_damage = self.reported_damage.frames().saturating_sub(self.damage_before_span);
        self.damage_count.max(reported_damage)
    }

    /// Duration of what did not decode, in microseconds.
    pub(crate) fn damaged_us(&self) -> u64 {
        let item_us = match self.facts.kind {
            MediaType::Video => self.interval_us,
            // An AAC packet at 48 kHz has 1024 samples.
            _ => 21_333,
        };
        let missed_start_us = u64::try_from(self.missed_start_us.unwrap_or(0)).unwrap_or(0);
        u64::from(self.damage_count()) * u64::try_from(item_us).unwrap_or(0) + missed_start_us
    }
}
