//! Detects codec headers that change inside a stream: parameter sets of H.264 and HEVC, sequence headers of AV1, sizes
//! and profiles of VP8 and VP9 keyframes, frame headers of MP3.
//!
//! Most containers store these headers once, in front. A stream in which they change, such as two concatenated
//! recordings, must not be copied: the headers of the output would be wrong for a part of it.

use crate::engine::demux::nal;
use crate::engine::ffi::parameters::CodecFacts;
use ffmpeg_next::Packet;

/// Codec headers of one stream.
pub(crate) struct HeaderChanges {
    format: HeaderFormat,
    /// Headers of the container, or the first one in a packet.
    known: Vec<Vec<u8>>,
    /// `true` if any header that is not in `known` is a change.
    complete: bool,
    changed: bool,
}

/// Codecs whose headers can be compared.
#[derive(Clone, Copy)]
enum HeaderFormat {
    H264,
    Hevc,
    Vp8,
    Vp9,
    Av1,
    Mp3,
    Other,
}

impl HeaderChanges {
    /// Reads the headers of a stream from the extradata of its container.
    pub(crate) fn of(facts: &CodecFacts, extradata: &[u8]) -> Self {
        let format = match facts.name {
            "h264" if facts.extradata_first_byte == Some(1) => HeaderFormat::H264,
            "hevc" if facts.extradata_first_byte == Some(1) => HeaderFormat::Hevc,
            "vp8" => HeaderFormat::Vp8,
            "vp9" => HeaderFormat::Vp9,
            "av1" => HeaderFormat::Av1,
            "mp3" => HeaderFormat::Mp3,
            _ => HeaderFormat::Other,
        };
        let known = match format {
            HeaderFormat::H264 => nal::avcc_parameter_sets(extradata),
            HeaderFormat::Hevc => nal::hvcc_parameter_sets(extradata),
            _ => None,
        };
        let known = known
            .unwrap_or_default()
            .into_iter()
            .map(trim_zeros)
            .map(<[u8]>::to_vec);
        Self {
            format,
            known: known.collect(),
            complete: matches!(format, HeaderFormat::H264 | HeaderFormat::Hevc),
            changed: false,
        }
    }

    /// Returns `true` if a header differed from those before.
    pub(crate) const fn have_changed(&self) -> bool {
        self.changed
    }

    /// Compares the headers in a packet with the known ones.
    pub(crate) fn check(&mut self, packet: &Packet) {
        let Some(data) = packet.data().filter(|_| !self.changed) else {
            return;
        };
        match self.format {
            // SPS and PPS (H.264 table 7-1).
            HeaderFormat::H264 => nal::for_each_unit(data, |unit| {
                if matches!(unit.first().map(|byte| byte & 0x1f), Some(7 | 8)) {
                    self.compare(trim_zeros(unit));
                }
            }),
            // VPS, SPS and PPS (H.265 table 7-1).
            HeaderFormat::Hevc => nal::for_each_unit(data, |unit| {
                if matches!(unit.first().map(|byte| byte >> 1 & 0x3f), Some(32..=34)) {
                    self.compare(trim_zeros(unit));
                }
            }),
            HeaderFormat::Av1 => self.compare_optional(av1_sequence_header(data)),
            HeaderFormat::Vp8 => self.compare_optional(vp8_keyframe_header(data)),
            HeaderFormat::Vp9 => self.compare_optional(vp9_keyframe_header(data).as_ref().map(<[u8; 6]>::as_slice)),
            // Version and layer, sample rate, mono or not. Bit rate and stereo mode may change.
            HeaderFormat::Mp3 => {
                if let [0xff, version, rates, mode, ..] = data {
                    self.compare(&[version & 0xfe, rates & 0x0c, u8::from(mode >> 6 == 3)]);
                }
            }
            HeaderFormat::Other => {}
        }
    }

    fn compare_optional(&mut self, header: Option<&[u8]>) {
        if let Some(header) = header {
            self.compare(header);
        }
    }

    fn compare(&mut self, header: &[u8]) {
        if self.known.iter().any(|known| known == header) {
            return;
        }
        if self.complete {
            self.changed = true;
        } else {
            self.known.push(header.to_vec());
            self.complete = true;
        }
    }
}

/// Removes trailing zero bytes, which may follow a NAL unit.
fn trim_zeros(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    unit.get(..end).unwrap_or_default()
}

/// `obu_type` of a sequence header (AV1 bitstream specification §6.2.2).
const OBU_SEQUENCE_HEADER: u8 = 1;

/// Sequence header of an AV1 temporal unit, if it has one (AV1 bitstream specification §5.3, §5.5).
fn av1_sequence_header(packet: &[u8]) -> Option<&[u8]> {
    let mut rest = packet;
    while let [header, after @ ..] = rest {
        let (obu_type, has_extension, has_size) = (header >> 3 & 15, header & 4 != 0, header & 2 != 0);
        let body = after.get(usize::from(has_extension)..)?;
        if !has_size {
            return (obu_type == OBU_SEQUENCE_HEADER).then_some(body);
        }
        // The size is in LEB128.
        let size_bytes = body.iter().take(8).position(|byte| byte & 0x80 == 0)? + 1;
        let (size, body) = body.split_at(size_bytes);
        let size = size
            .iter()
            .rev()
            .fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
        let (obu, next) = body.split_at_checked(size)?;
        if obu_type == OBU_SEQUENCE_HEADER {
            return Some(obu);
        }
        rest = next;
    }
    None
}

/// Width and height in a VP8 keyframe (RFC 6386 §9.1).
fn vp8_keyframe_header(packet: &[u8]) -> Option<&[u8]> {
    let is_key = packet.first().is_some_and(|first| first & 1 == 0);
    packet.get(6..10).filter(|_| is_key)
}

/// Profile, color, width and height in a VP9 keyframe (VP9 bitstream specification §6.2).
fn vp9_keyframe_header(packet: &[u8]) -> Option<[u8; 6]> {
    let (&[first, _, _, _, a, b, c, d, e], _) = packet.split_first_chunk::<9>()?;
    let is_key = first & 0xcc == 0x80;
    is_key.then_some([first & 0x30, a, b, c, d, e & 0xf0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(format: HeaderFormat, known: &[&[u8]], complete: bool, packets: &[&[u8]]) -> bool {
        let mut headers = HeaderChanges {
            format,
            known: known.iter().map(|set| set.to_vec()).collect(),
            complete,
            changed: false,
        };
        for packet in packets {
            headers.check(&Packet::copy(packet));
        }
        headers.have_changed()
    }

    #[test]
    fn a_parameter_set_that_the_container_does_not_have_is_a_change() {
        let (same, other) = (&[0, 0, 0, 3, 0x67, 1, 0][..], &[0, 0, 0, 3, 0x67, 2, 1][..]);
        let slice = &[0, 0, 0, 2, 0x65, 9][..];
        let known: &[&[u8]] = &[&[0x67, 1]];
        assert!(!changed(HeaderFormat::H264, known, true, &[slice, same, slice]));
        assert!(changed(HeaderFormat::H264, known, true, &[slice, other]));
        assert!(changed(HeaderFormat::H264, &[], true, &[same]));
        let (same, other) = (&[0, 0, 0, 3, 0x42, 1, 7][..], &[0, 0, 0, 3, 0x42, 1, 8][..]);
        let known: &[&[u8]] = &[&[0x42, 1, 7]];
        assert!(!changed(HeaderFormat::Hevc, known, true, &[same]));
        assert!(changed(HeaderFormat::Hevc, known, true, &[same, other]));
    }

    #[test]
    fn a_different_size_or_profile_in_a_header_is_a_change() {
        let key = |first: u8, height: u8| [first, 0x49, 0x83, 0x42, 0x20, 0x13, 0xf0, 0x0b, height, 0];
        let (small, tall) = (key(0x82, 0x30), key(0x82, 0x50));
        let inter = [0x86, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert!(!changed(
            HeaderFormat::Vp9,
            &[],
            false,
            &[&small, &inter, &key(0x83, 0x3f)]
        ));
        assert!(changed(HeaderFormat::Vp9, &[], false, &[&small, &inter, &tall]));
        assert!(changed(
            HeaderFormat::Vp8,
            &[],
            false,
            &[
                &[0, 0, 0, 0x9d, 1, 0x2a, 64, 0, 64, 0],
                &[0, 0, 0, 0x9d, 1, 0x2a, 32, 0, 64, 0]
            ]
        ));
        assert!(changed(
            HeaderFormat::Av1,
            &[],
            false,
            &[&[0x0a, 1, 5, 0x32, 0], &[0x0a, 1, 6]]
        ));
        assert!(!changed(
            HeaderFormat::Av1,
            &[],
            false,
            &[&[0x12, 0, 0x0a, 1, 5], &[0x0a, 1, 5]]
        ));
        let mp3 = |rates: u8, mode: u8| [0xff, 0xfb, rates, mode];
        assert!(!changed(
            HeaderFormat::Mp3,
            &[],
            false,
            &[&mp3(0x90, 0x40), &mp3(0xa0, 0)]
        ));
        assert!(changed(HeaderFormat::Mp3, &[], false, &[&mp3(0x90, 0), &mp3(0x94, 0)]));
        assert!(changed(
            HeaderFormat::Mp3,
            &[],
            false,
            &[&mp3(0x90, 0), &mp3(0x90, 0xc0)]
        ));
    }
}
