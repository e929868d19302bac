//! Times of decoded samples.
//!
//! Samples normally have the time of their packet. There are two exceptions. In formats that keep the time base of the
//! first sample rate, packet times are wrong after the rate has changed: samples are counted from there on. After audio
//! that did not decode, a short gap is filled with silence here, because the FIFO ignores it as jitter.

use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::time::to_us;
use ffmpeg_next::frame::Audio;

/// Maximum duration of audio that did not decode and is replaced by silence here, in microseconds. More is a gap.
const MAX_UNDECODED_US: i64 = 100_000;

/// Maximum difference between counted and stored times of samples, in microseconds. Beyond it, samples are missing.
const MAX_COUNTING_ERROR_US: i64 = 2_000_000;

impl StreamDecoder {
    /// Presentation time and duration of decoded samples, in microseconds.
    pub(crate) fn audio_time(&mut self, audio: &Audio) -> (i64, i64) {
        let rate = i64::from(audio.rate().max(1));
        let duration = i64::try_from(audio.samples()).unwrap_or(0) * 1_000_000 / rate;
        let is_changed = *self.first_rate_hz.get_or_insert(audio.rate()) != audio.rate();
        self.counts_samples |= self.keeps_first_rate && is_changed;
        let stored = audio.timestamp().map(|time| to_us(time, self.time_base));
        let is_near = |next: &i64| stored.is_none_or(|stored| (stored - next).abs() < MAX_COUNTING_ERROR_US);
        let counted = self.expected_us.filter(|_| self.counts_samples).filter(is_near);
        let at = counted.or(stored).or(self.expected_us).unwrap_or(self.start_us);
        self.expected_us = Some(at.saturating_add(duration));
        (at, duration)
    }

    /// Number of samples in a gap of `missing_us` before these samples, if an AAC packet in it did not decode;
    /// otherwise 0. After damage, packets of other codecs may yield fewer samples than they last, and more later.
    pub(crate) fn missing_samples(&mut self, audio: &Audio, missing_us: i64) -> usize {
        let is_undecoded = std::mem::take(&mut self.has_undecoded_audio);
        if !is_undecoded || self.facts.name != "aac" || missing_us > MAX_UNDECODED_US {
            return 0;
        }
        usize::try_from(missing_us.saturating_mul(i64::from(audio.rate())) / 1_000_000).unwrap_or(0)
    }

    /// End of the samples decoded last, in source time.
    pub(crate) const fn decoded_until_us(&self) -> Option<i64> {
        self.expected_us
    }
}
