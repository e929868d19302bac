//! Frame headers of FLAC (RFC 9639 §9.1).

/// Sample rates by their code, from 1 on (§9.1.2).
const RATES_HZ: [u32; 11] = [
    88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000,
];

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlacFrame {
    /// Sample rate in hertz; `None` if it is that of the STREAMINFO block, which is in no packet.
    pub(crate) rate_hz: Option<u32>,
    /// Number of samples.
    pub(crate) samples: u32,
    /// Number of the frame, or of its first sample.
    pub(crate) number: u64,
    /// `true` if frames may have different numbers of samples, so that samples are counted instead of frames.
    pub(crate) counts_samples: bool,
}

impl FlacFrame {
    /// Reads the header at the beginning of a packet; `None` if there is none.
    pub(crate) fn of(data: &[u8]) -> Option<Self> {
        let [0xff, sync @ (0xf8 | 0xf9), codes, _, rest @ ..] = data else {
            return None;
        };
        let (number, rest) = coded_number(rest)?;
        let (size_code, rate_code) = (codes >> 4, codes & 0xf);
        let (samples, rest) = match size_code {
            1 => (192, rest),
            code @ 2..=5 => (144 << code, rest),
            6 => (u32::from(*rest.first()?) + 1, rest.get(1..)?),
            7 => (u32::from(u16::from_be_bytes(*rest.first_chunk()?)) + 1, rest.get(2..)?),
            code @ 8..=15 => (1 << code, rest),
            _ => return None,
        };
        let wide = || Some(u32::from(u16::from_be_bytes(*rest.first_chunk()?)));
        let (rate_hz, rate_bytes) = match rate_code {
            0 | 15 => (None, 0),
            12 => (Some(u32::from(*rest.first()?) * 1_000), 1),
            13 => (Some(wide()?), 2),
            14 => (Some(wide()? * 10), 2),
            code => (RATES_HZ.get(usize::from(code) - 1).copied(), 0),
        };
        let header_bytes = data.len() - rest.len() + rate_bytes;
        let (header, checksum) = (data.get(..header_bytes)?, *data.get(header_bytes)?);
        (checksum_of(header) == checksum).then_some(Self {
            rate_hz: rate_hz.filter(|hz| *hz > 0),
            samples,
            number,
            counts_samples: *sync == 0xf9,
        })
    }
}

/// Reads a number that is coded as in UTF-8, with up to seven bytes. Returns the bytes after it.
fn coded_number(data: &[u8]) -> Option<(u64, &[u8])> {
    let first = *data.first()?;
    let more = match first.leading_ones() {
        0 => 0,
        ones @ 2..=7 => ones as usize - 1,
        _ => return None,
    };
    let own = u64::from(first) & (0x7f >> (more + usize::from(more > 0)));
    let (bytes, rest) = data.get(1..)?.split_at_checked(more)?;
    let number = bytes
        .iter()
        .fold(own, |number, byte| number << 6 | u64::from(byte & 0x3f));
    Some((number, rest))
}

/// CRC-8 with the polynomial 0x07 (§9.1.8).
fn checksum_of(header: &[u8]) -> u8 {
    header.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ byte, |sum, _| sum << 1 ^ if sum >> 7 == 1 { 0x07 } else { 0 })
    })
}

/// A header followed by its checksum.
#[cfg(test)]
pub(crate) fn with_checksum(header: &[u8]) -> Vec<u8> {
    [header, &[checksum_of(header)]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_headers_have_a_rate_a_size_and_a_number() {
        let read = |bytes: &[u8]| {
            let frame = FlacFrame::of(&with_checksum(bytes)).unwrap();
            (frame.rate_hz, frame.samples, frame.number)
        };
        assert_eq!(read(&[0xff, 0xf8, 0xc9, 0x18, 0x00]), (Some(44_100), 4_096, 0));
        // A number of two bytes, a block size of two bytes, and the rate in tens of hertz.
        let own = [0xff, 0xf9, 0x7e, 0x18, 0xc2, 0x80, 0x0f, 0xff, 0x13, 0xb0];
        assert_eq!(read(&own), (Some(50_400), 4_096, 128));
        assert_eq!(read(&[0xff, 0xf8, 0x50, 0x18, 0x7f]), (None, 4_608, 127));
        assert_eq!(
            FlacFrame::of(&[0xff, 0xf8, 0xc9, 0x18, 0x00, 0]),
            None,
            "wrong checksum"
        );
    }
}
