//! Sampling rate and channels of audio, and the limits for decoded audio.

use ffmpeg_next::ChannelLayout;
use std::ops::RangeInclusive;

/// Most channels: there is no standard downmix to stereo for more than 7.1.
pub(crate) const MAX_CHANNELS: u32 = 8;

/// Sampling rates of audio, in hertz. Outside of this range a header is broken, or the samples are not audio.
pub(crate) const SAMPLE_RATES_HZ: RangeInclusive<u32> = 1_000..=768_000;

/// Sampling rate and channels of the audio of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AudioParams {
    pub(crate) rate_hz: u32,
    pub(crate) channels: u16,
}

impl AudioParams {
    /// Parameters of an output: 44.1 kHz is kept, any other rate becomes 48 kHz; mono is kept, any other layout becomes
    /// stereo.
    pub(crate) const fn for_output(source_rate_hz: u32, source_channels: u32) -> Self {
        Self {
            rate_hz: if source_rate_hz == 44_100 { 44_100 } else { 48_000 },
            channels: if source_channels == 1 { 1 } else { 2 },
        }
    }

    /// Channel layout: mono or stereo.
    pub(crate) const fn layout(self) -> ChannelLayout {
        if self.channels == 1 {
            ChannelLayout::MONO
        } else {
            ChannelLayout::STEREO
        }
    }

    /// Converts microseconds to samples, rounded to the nearest.
    pub(crate) fn us_to_samples(self, us: i64) -> i64 {
        let product = i128::from(us) * i128::from(self.rate_hz);
        i64::try_from((2 * product + 1_000_000).div_euclid(2_000_000)).unwrap_or(i64::MAX)
    }

    /// Converts samples to microseconds, rounded to the nearest.
    pub(crate) fn samples_to_us(self, samples: u64) -> u64 {
        let rate = u128::from(self.rate_hz);
        u64::try_from((u128::from(samples) * 1_000_000 + rate / 2) / rate).unwrap_or(u64::MAX)
    }
}
