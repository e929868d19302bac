//! Sampling rate and channels of audio, and the limits of what is decoded.

use ffmpeg_next::ChannelLayout;
use std::ops::RangeInclusive;

/// Beyond 7.1 there is no agreed way down to stereo.
pub(crate) const MAX_CHANNELS: u32 = 8;

/// Sampling rates that sound has, in hertz; outside of them a header is broken, or no ear is meant.
pub(crate) const SAMPLE_RATES: RangeInclusive<u32> = 1_000..=768_000;

/// Sampling rate and channels of the sound of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AudioParams {
    pub(crate) rate_hz: u32,
    pub(crate) channels: u16,
}

impl AudioParams {
    /// 44.1 kHz stays, all else becomes 48 kHz; mono stays, all else becomes stereo.
    pub(crate) const fn of_output(source_rate_hz: u32, source_channels: u32) -> Self {
        Self {
            rate_hz: if source_rate_hz == 44_100 { 44_100 } else { 48_000 },
            channels: if source_channels == 1 { 1 } else { 2 },
        }
    }

    /// The layout of its channels.
    pub(crate) const fn layout(self) -> ChannelLayout {
        if self.channels == 1 {
            ChannelLayout::MONO
        } else {
            ChannelLayout::STEREO
        }
    }

    /// How many samples last `us` microseconds, to the nearest.
    pub(crate) fn samples_in(self, us: i64) -> i64 {
        let product = i128::from(us) * i128::from(self.rate_hz);
        i64::try_from((2 * product + 1_000_000).div_euclid(2_000_000)).unwrap_or(i64::MAX)
    }

    /// How long `samples` samples last, in microseconds, to the nearest.
    pub(crate) fn us_of(self, samples: u64) -> u64 {
        let rate = u128::from(self.rate_hz);
        u64::try_from((u128::from(samples) * 1_000_000 + rate / 2) / rate).unwrap_or(u64::MAX)
    }
}
