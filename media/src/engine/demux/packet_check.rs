//! Damage that shows in packets without decoding them: what each codec wants them to begin and to end with. Garbage
//! rarely does, and zeros do not.

use crate::engine::demux::nal;
use crate::engine::ffi::parameters::CodecFacts;
use ffmpeg_next::Packet;

/// The codec of a stream whose packets are looked at.
pub(crate) enum PacketCheck {
    /// H.264 and HEVC as MP4 and Matroska carry them.
    Units,
    Vp9,
    Av1,
    Aac,
    Mp3,
    /// With the samples that a packet had before.
    Opus(Option<u32>),
    /// Nothing is known of it.
    Other,
}

impl PacketCheck {
    pub(crate) fn of(facts: &CodecFacts) -> Self {
        match facts.name {
            "h264" | "hevc" if facts.extradata_first_byte == Some(1) => Self::Units,
            // The profiles of more than 8 bits and 4:2:0 begin otherwise, and are never copied.
            "vp9" if facts.profile <= 0 => Self::Vp9,
            "av1" => Self::Av1,
            "aac" if facts.extradata_first_byte.is_some() => Self::Aac,
            "mp3" => Self::Mp3,
            "opus" => Self::Opus(None),
            _ => Self::Other,
        }
    }

    /// Whether a packet can be one of this codec.
    pub(crate) fn is_valid(&mut self, packet: &Packet) -> bool {
        let Some(data) = packet.data() else { return false };
        match self {
            Self::Units => nal::is_whole(data),
            Self::Vp9 => is_vp9(data, packet.is_key()),
            Self::Av1 => is_av1(data),
            Self::Aac => is_aac(data),
            Self::Mp3 => is_mp3(data),
            Self::Opus(before) => {
                let samples = opus_samples(data);
                // Encoders may make packets of any length, and make all of the same.
                samples.is_some()
                    && before
                        .replace(samples.unwrap_or(0))
                        .is_none_or(|before| Some(before) == samples)
            }
            Self::Other => true,
        }
    }
}

/// Frames of profile 0, one after the other when there is an index of them at the end (VP9 bitstream specification,
/// 6.2 and annex B).
fn is_vp9(packet: &[u8], key: bool) -> bool {
    let begins = |frame: &[u8], key: bool| match frame {
        [first, rest @ ..] if first & 0xf0 == 0x80 => {
            let (repeats, inter) = (first & 0x08 != 0, first & 0x04 != 0);
            let is_key = !repeats && !inter;
            (is_key || !key) && (!is_key || rest.starts_with(&[0x49, 0x83, 0x42]))
        }
        _ => false,
    };
    let marker = packet.last().copied().unwrap_or(0);
    let (count, width) = (usize::from(marker & 7) + 1, usize::from(marker >> 3 & 3) + 1);
    let index = packet.len().checked_sub(2 + count * width);
    let index = index.filter(|at| marker & 0xe0 == 0xc0 && packet.get(*at) == Some(&marker));
    let Some((mut frames, sizes)) = index.and_then(|at| packet.split_at_checked(at)) else {
        return begins(packet, key);
    };
    let sizes = sizes.get(1..).unwrap_or_default().chunks_exact(width).take(count);
    for (place, size) in sizes.enumerate() {
        let size = size.iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte));
        match frames.split_at_checked(size) {
            Some((frame, rest)) if begins(frame, key && place == 0) => frames = rest,
            _ => return false,
        }
    }
    true
}

/// Units of known kinds, each with its size, that fill the packet (AV1 bitstream specification, 5.3).
fn is_av1(packet: &[u8]) -> bool {
    let mut rest = packet;
    while let [head, after @ ..] = rest {
        let (kind, extended, sized) = (head >> 3 & 15, head & 4 != 0, head & 2 != 0);
        if head & 0x81 != 0 || !matches!(kind, 1..=8 | 15) {
            return false;
        }
        let Some(body) = after.get(usize::from(extended)..) else {
            return false;
        };
        if !sized {
            return true;
        }
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

/// An element of sound or of what may stand before it, and at the end three ones and zeros up to a whole byte (ISO/IEC
/// 14496-3, `raw_data_block`).
fn is_aac(packet: &[u8]) -> bool {
    let begins = packet.first().is_some_and(|first| matches!(first >> 5, 0 | 1 | 4..=6));
    let last = packet.iter().rposition(|byte| *byte != 0);
    let end = last.and_then(|last| packet.get(last.saturating_sub(1)..=last));
    let bits = end
        .unwrap_or_default()
        .iter()
        .fold(0_u16, |bits, byte| bits << 8 | u16::from(*byte));
    begins && bits != 0 && bits >> bits.trailing_zeros() & 7 == 7
}

/// A frame header of layer III (ISO/IEC 11172-3, 2.4.1.3).
fn is_mp3(packet: &[u8]) -> bool {
    match packet {
        [0xff, kind, rates, ..] => {
            kind & 0xe6 == 0xe2 && kind & 0x18 != 0x08 && rates >> 4 != 15 && rates & 0x0c != 0x0c
        }
        _ => false,
    }
}

/// How many samples at 48 kHz a packet has, of one stream; `None` when its frames do not fill it (RFC 6716, 3.1 and
/// 3.2).
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
    // 120 ms at most.
    frame
        .map(|frame| frame * frames)
        .filter(|samples| (1..=5_760).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_vp9_begin_with_their_marker_wherever_the_index_says() {
        let (key, inter) = ([0x82, 0x49, 0x83, 0x42, 7], [0x86, 1, 2]);
        let joined = |index: &[u8]| [&key[..], &inter, index].concat();
        for (packet, is_key, good) in [
            (&key[..], true, true),
            (&inter, false, true),
            (&inter, true, false),
            (&[0x88], false, true),
            (&[0x82, 0x49, 0x83, 0x41], false, false),
            (&[0, 0], false, false),
            (&[], false, false),
            (&joined(&[0xc1, 5, 3, 0xc1]), true, true),
            (&joined(&[0xc9, 5, 0, 3, 0, 0xc9]), true, true),
            (&joined(&[0xc1, 4, 3, 0xc1]), true, false),
            (&joined(&[0xc1, 5, 9, 0xc1]), true, false),
        ] {
            assert_eq!(is_vp9(packet, is_key), good, "{packet:?}");
        }
    }

    #[test]
    fn units_of_av1_fill_their_packet() {
        for (packet, good) in [
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
            assert_eq!(is_av1(packet), good, "{packet:?}");
        }
    }

    #[test]
    fn packets_of_aac_have_a_beginning_and_an_end() {
        for (packet, good) in [
            (&[0x21, 0x07][..], true),
            (&[0x01, 0x38, 0], true),
            (&[0x21, 0x01, 0xc0], true),
            (&[0x21, 0x05], false),
            (&[0xe0], false),
            (&[0, 0], false),
            (&[], false),
        ] {
            assert_eq!(is_aac(packet), good, "{packet:?}");
        }
    }

    #[test]
    fn headers_of_mp3_are_of_layer_three() {
        for (packet, good) in [
            (&[0xff, 0xfb, 0x90, 0][..], true),
            (&[0xff, 0xf3, 0x40, 0], true),
            (&[0xff, 0xfd, 0x90, 0], false),
            (&[0xff, 0xfb, 0xf0, 0], false),
            (&[0xff, 0xfb, 0x9c, 0], false),
            (&[0; 4], false),
        ] {
            assert_eq!(is_mp3(packet), good, "{packet:?}");
        }
    }

    #[test]
    fn packets_of_opus_tell_their_length() {
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
