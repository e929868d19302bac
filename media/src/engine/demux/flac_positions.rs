//! Positions of FLAC in Ogg after missing pages.
//!
//! FFmpeg computes the times of FLAC in Ogg from the granule position at the end of the page before. After missing
//! pages, the packets of one page therefore seem to follow the last page before them. The number in each frame header
//! tells how many samples are missing there.

use crate::engine::demux::flac_frames::FlacFrame;
use ffmpeg_next::Packet;

/// Maximum number of missing samples: an hour at 192 kHz. More is another stream.
const MAX_MISSING: i64 = 3_600 * 192_000;

/// Corrects the times of FLAC in Ogg after missing pages.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlacPositions {
    /// Number of samples of a frame where frames are counted.
    frame_samples: Option<u32>,
    /// Position after the latest frame, in samples.
    expected: Option<i64>,
    /// End of the latest packet by FFmpeg, in samples.
    stored_end: Option<i64>,
    /// Missing samples that the times of FFmpeg do not include.
    missing: i64,
}

impl FlacPositions {
    /// Corrects the times of a packet, whose time base is one sample.
    pub(crate) fn correct(&mut self, packet: &mut Packet) {
        let frame = FlacFrame::of(packet.data().unwrap_or_default());
        let Some((frame, stored)) = frame.zip(packet.dts().or_else(|| packet.pts())) else {
            return;
        };
        let samples = i64::from(frame.samples);
        let unit = if frame.counts_samples {
            1
        } else {
            i64::from(*self.frame_samples.get_or_insert(frame.samples))
        };
        let position = i64::try_from(frame.number).unwrap_or(0).saturating_mul(unit);
        let missing = self.expected.map_or(0, |expected| position.saturating_sub(expected));
        let is_continuous = self.stored_end == Some(stored);
        // A time that does not continue is that of a page.
        self.missing = match is_continuous {
            true if (1..=MAX_MISSING).contains(&missing) => self.missing.saturating_add(missing),
            true => self.missing,
            false => 0,
        };
        self.expected = Some(position.saturating_add(samples));
        self.stored_end = Some(stored.saturating_add(samples));
        packet.set_pts(packet.pts().map(|time| time.saturating_add(self.missing)));
        packet.set_dts(packet.dts().map(|time| time.saturating_add(self.missing)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::demux::flac_frames::with_checksum;

    #[test]
    fn frames_after_missing_ones_are_in_position_until_the_next_page() {
        let mut positions = FlacPositions::default();
        let mut corrected = |number: u8, time: i64| {
            let mut packet = Packet::copy(&with_checksum(&[0xff, 0xf8, 0xc9, 0x18, number]));
            packet.set_dts(Some(time));
            positions.correct(&mut packet);
            packet.dts().unwrap()
        };
        let packets = [(0, 0), (1, 4_096), (9, 8_192), (10, 12_288), (11, 45_056), (12, 49_152)];
        let times = packets.map(|(number, time)| corrected(number, time));
        assert_eq!(times, [0, 4_096, 36_864, 40_960, 45_056, 49_152]);
    }
}
