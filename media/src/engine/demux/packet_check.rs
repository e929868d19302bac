//! Detects damaged packets without decoding them, for streams that are copied.
//!
//! Each codec requires certain bits at the start or the end of a packet, and sizes inside that fill it. Random bytes
//! rarely pass, and zeros never do. A packet that passes may still be damaged inside; only decoding would show that,
//! which takes much longer than copying.

use crate::engine::demux::nal;
use crate::engine::ffi::parameters::CodecFacts;
use ffmpeg_next::Packet;

/// The check for the codec of a stream.
pub(crate) enum PacketCheck {
    /// H.264 and HEVC with length prefixes, as in MP4 and Matroska.
    NalUnits,
    Vp9,
    Av1,
    Aac,
    Mp3,
    /// Opus, with the number of samples of the previous packet.
    Opus(Option<u32>),
    /// A codec without a check: all packets are valid.
    Other,
}

impl PacketCheck {
    /// Selects the check for a codec.
    pub(crate) fn of(facts: &CodecFacts) -> Self {
        match facts.name {
            "h264" | "hevc" if facts.extradata_first_byte == Some(1) => Self::NalUnits,
            // Profiles 1 to 3 (4:4:4 and more than 8 bits) have other frame headers, and are never copied.
            "vp9" if facts.profile <= 0 => Self::Vp9,
            "av1" => Self::Av1,
            "aac" if facts.extradata_first_byte.is_some() => Self::Aac,
            "mp3" => Self::Mp3,
            "opus" => Self::Opus(None),
            _ => Self::Other,
        }
    }

    /// Returns `true` if a packet may be a valid one of this codec.
    pub(crate) fn is_valid(&mut self, packet: &Packet) -> bool {
        let Some(data) = packet.data() else { return false };
        match self {
            Self::NalUnits => nal::is_well_formed(data),
            Self::Vp9 => is_vp9(data, packet.is_key()),
            Self::Av1 => is_av1(data),
            Self::Aac => is_aac(data),
            Self::Mp3 => is_mp3(data),
            Self::Opus(previous) => {
                let samples = opus_samples(data);
                // Packets may have different durations, but encoders use a constant one.
                samples.is_some()
                    && previous
                        .replace(samples.unwrap_or(0))
                        .is_none_or(|previous| Some(previous) == samples)
            }
            Self::Other => true,
        }
    }
}

/// Checks a packet of VP9 profile 0: a frame header, or several frames with a superframe index at the end (VP9
/// bitstream specification §6.2 and annex B). `key`: the container marks it as a keyframe.
fn is_vp9(packet: &[u8], key: bool) -> bool {
    let is_frame = |frame: &[u8], key: bool| match frame {
        // Frame marker 2 and profile 0.
        [first, rest @ ..] if first & 0xf0 == 0x80 => {
            let (shows_existing, is_inter) = (first & 0x08 != 0, first & 0x04 != 0);
            let is_key = !shows_existing && !is_inter;
            // The sync code follows in keyframes.
            (is_key || !key) && (!is_key || rest.starts_with(&[0x49, 0x83, 0x42]))
        }
        _ => false,
    };
    // The index begins and ends with the same marker byte, which has the number of frames and the width of their sizes.
    let marker = packet.last().copied().unwrap_or(0);
    let (count, width) = (usize::from(marker & 7) + 1, usize::from(marker >> 3 & 3) + 1);
    let index = packet.len().checked_sub(2 + count * width);
    let index = index.filter(|start| marker & 0xe0 == 0xc0 && packet.get(*start) == Some(&marker));
    let Some((mut frames, sizes)) = index.and_then(|start| packet.split_at_checked(start)) else {
        return is_frame(packet, key);
    };
    let sizes = sizes.get(1..).unwrap_or_default().chunks_exact(width).take(count);
    for (number, size) in sizes.enumerate() {
        let size = size.iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte));
        match frames.split_at_checked(size) {
            Some((frame, rest)) if is_frame(frame, key && number == 0) => frames = rest,
            _ => return false,
        }
    }
    true
}

/// Checks a packet of AV1: OBUs of known types that fill it (AV1 bitstream specification §5.3). Only the last one may
/// lack a size.
fn is_av1(packet: &[u8]) -> bool {
    let mut rest = packet;
    while let [header, after @ ..] = rest {
        let (obu_type, has_extension, has_size) = (header >> 3 & 15, header & 4 != 0, header & 2 != 0);
        // The forbidden bit and the reserved bit are 0.
        if header & 0x81 != 0 || !matches!(obu_type, 1..=8 | 15) {
            return false;
        }
        let Some(body) = after.get(usize::from(has_extension)..) else {
            return false;
        };
        if !has_size {
            return true;
        }
        // The size is in LEB128.
        let Some(size_bytes) = body.iter().take(8).position(|byte| byte & 0x80 == 0) else {
            return false;
        };
        let (size, body) = body.split_at(size_bytes + 1);
        let size = size
            .iter()
            .rev()
            .fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
        let Some(next) = body.get(size..) else { return false };
        rest = next;
    }
    !packet.is_empty()
}

/// Checks a packet of AAC (ISO/IEC 14496-3 §4.4.2.1, `raw_data_block`). It begins with a syntactic element (SCE, CPE,
/// DSE, PCE or FIL), and ends with the element END, three 1 bits, and 0 bits up to a whole byte.
fn is_aac(packet: &[u8]) -> bool {
    let has_start = packet.first().is_some_and(|first| matches!(first >> 5, 0 | 1 | 4..=6));
    let last = packet.iter().rposition(|byte| *byte != 0);
    let end = last.and_then(|last| packet.get(last.saturating_sub(1)..=last));
    let bits = end
        .unwrap_or_default()
        .iter()
        .fold(0_u16, |bits, byte| bits << 8 | u16::from(*byte));
    has_start && bits != 0 && bits >> bits.trailing_zeros() & 7 == 7
}

/// Checks the frame header of MP3: sync word, layer III, and no reserved version, bit rate or sample rate (ISO/IEC
/// 11172-3 §2.4.1.3).
fn is_mp3(packet: &[u8]) -> bool {
    match packet {
        [0xff, version, rates, ..] => {
            version & 0xe6 == 0xe2 && version & 0x18 != 0x08 && rates >> 4 != 15 && rates & 0x0c != 0x0c
        }
        _ => false,
    }
}

/// Number of samples of an Opus packet at 48 kHz; `None` if its frames do not fill it (RFC 6716 §3.1, §3.2).
fn opus_samples(packet: &[u8]) -> Option<u32> {
    let (toc, rest) = packet.split_first()?;
    let config = toc >> 3;
    let frame = match config {
        0..=11 => [480, 960, 1_920, 2_880].get(usize::from(config % 4)),
        12..=15 => [480, 960].get(usize::from(config % 2)),
        _ => [120, 240, 480, 960].get(usize::from(config % 4)),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 if rest.len().is_multiple_of(2) => 2,
        2 if !rest.is_empty() => 2,
        3 => u32::from(rest.first()? & 0x3f),
        _ => return None,
    };
    // A packet has at most 120 ms.
    frame
        .map(|frame| frame * frames)
        .filter(|samples| (1..=5_760).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_of_a_vp9_superframe_must_have_a_header() {
        let (key, inter) = ([0x82, 0x49, 0x83, 0x42, 7], [0x86, 1, 2]);
        let superframe = |index: &[u8]| [&key[..], &inter, index].concat();
        for (packet, is_key, valid) in [
            (&key[..], true, true),
            (&inter, false, true),
            (&inter, true, false),
            (&[0x88], false, true),
            (&[0x82, 0x49, 0x83, 0x41], false, false),
            (&[0, 0], false, false),
            (&[], false, false),
            (&superframe(&[0xc1, 5, 3, 0xc1]), true, true),
            (&superframe(&[0xc9, 5, 0, 3, 0, 0xc9]), true, true),
            (&superframe(&[0xc1, 4, 3, 0xc1]), true, false),
            (&superframe(&[0xc1, 5, 9, 0xc1]), true, false),
        ] {
            assert_eq!(is_vp9(packet, is_key), valid, "{packet:?}");
        }
    }

    #[test]
    fn obus_of_av1_must_fill_their_packet() {
        for (packet, valid) in [
            (&[0x12, 0, 0x32, 2, 1, 2][..], true),
            (&[0x36, 0, 1, 9], true),
            (&[0x30, 9, 9, 9], true),
            (&[0x32, 0x82, 0, 1, 2], true),
            (&[0x32, 3, 1, 2], false),
            (&[0x32], false),
            (&[0xb2, 0], false),
            (&[0x33, 0], false),
            (&[0, 0], false),
            (&[0x4a, 0], false),
            (&[], false),
        ] {
            assert_eq!(is_av1(packet), valid, "{packet:?}");
        }
    }

    #[test]
    fn aac_packets_must_begin_with_an_element_and_end_with_the_end_element() {
        for (packet, valid) in [
            (&[0x21, 0x07][..], true),
            (&[0x01, 0x38, 0], true),
            (&[0x21, 0x01, 0xc0], true),
            (&[0x21, 0x05], false),
            (&[0xe0], false),
            (&[0, 0], false),
            (&[], false),
        ] {
            assert_eq!(is_aac(packet), valid, "{packet:?}");
        }
    }

    #[test]
    fn mp3_headers_must_be_of_layer_three() {
        for (packet, valid) in [
            (&[0xff, 0xfb, 0x90, 0][..], true),
            (&[0xff, 0xf3, 0x40, 0], true),
            (&[0xff, 0xfd, 0x90, 0], false),
            (&[0xff, 0xfb, 0xf0, 0], false),
            (&[0xff, 0xfb, 0x9c, 0], false),
            (&[0; 4], false),
        ] {
            assert_eq!(is_mp3(packet), valid, "{packet:?}");
        }
    }

    #[test]
    fn opus_packets_have_a_number_of_samples() {
        for (packet, samples) in [
            (&[0xfc, 1, 2][..], Some(960)),
            (&[0xfd, 1, 2], Some(1_920)),
            (&[0xfd, 1], None),
            (&[0x1b, 3], None),
            (&[0xfb, 3], Some(2_880)),
            (&[0xfb, 0], None),
            (&[0x08], Some(960)),
            (&[], None),
        ] {
            assert_eq!(opus_samples(packet), samples, "{packet:?}");
        }
    }
}
