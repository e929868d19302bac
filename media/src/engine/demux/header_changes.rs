//! Headers inside packets: parameter sets, sequence headers, and what else tells a decoder how to read on. A container
//! names them once; where they change on the way, its copy is not what it says.

use crate::engine::demux::nal;
use crate::engine::ffi::parameters::CodecFacts;
use ffmpeg_next::Packet;

/// The headers of one stream that were seen.
pub(crate) struct HeaderChanges {
    kind: HeaderFormat,
    known: Vec<Vec<u8>>,
    /// Whether those of the container are all that there may be; otherwise the first one seen is.
    complete: bool,
    changed: bool,
}

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
    /// The headers that the container has of a codec, in its configuration record.
    pub(crate) fn of(facts: &CodecFacts, configuration: &[u8]) -> Self {
        let kind = match facts.name {
            "h264" if facts.extradata_first_byte == Some(1) => HeaderFormat::H264,
            "hevc" if facts.extradata_first_byte == Some(1) => HeaderFormat::Hevc,
            "vp8" => HeaderFormat::Vp8,
            "vp9" => HeaderFormat::Vp9,
            "av1" => HeaderFormat::Av1,
            "mp3" => HeaderFormat::Mp3,
            _ => HeaderFormat::Other,
        };
        let known = match kind {
            HeaderFormat::H264 => nal::sets_of_avcc(configuration),
            HeaderFormat::Hevc => nal::sets_of_hvcc(configuration),
            _ => None,
        };
        let known = known.unwrap_or_default().into_iter().map(trimmed).map(<[u8]>::to_vec);
        Self {
            kind,
            known: known.collect(),
            complete: matches!(kind, HeaderFormat::H264 | HeaderFormat::Hevc),
            changed: false,
        }
    }

    /// Whether headers differed from those before.
    pub(crate) const fn have_changed(&self) -> bool {
        self.changed
    }

    /// Looks at those of a packet.
    pub(crate) fn check(&mut self, packet: &Packet) {
        let Some(data) = packet.data().filter(|_| !self.changed) else {
            return;
        };
        match self.kind {
            HeaderFormat::H264 => nal::each(data, |unit| {
                if matches!(unit.first().map(|byte| byte & 0x1f), Some(7 | 8)) {
                    self.meet(trimmed(unit));
                }
            }),
            HeaderFormat::Hevc => nal::each(data, |unit| {
                if matches!(unit.first().map(|byte| byte >> 1 & 0x3f), Some(32..=34)) {
                    self.meet(trimmed(unit));
                }
            }),
            HeaderFormat::Av1 => self.meet_some(sequence_header(data)),
            HeaderFormat::Vp8 => self.meet_some(vp8_key(data)),
            HeaderFormat::Vp9 => self.meet_some(vp9_key(data).as_ref().map(<[u8; 6]>::as_slice)),
            // Version, layer, rate, and whether there is one channel.
            HeaderFormat::Mp3 => {
                if let [0xff, kind, rates, mode, ..] = data {
                    self.meet(&[kind & 0xfe, rates & 0x0c, u8::from(mode >> 6 == 3)]);
                }
            }
            HeaderFormat::Other => {}
        }
    }

    fn meet_some(&mut self, header: Option<&[u8]>) {
        if let Some(header) = header {
            self.meet(header);
        }
    }

    fn meet(&mut self, header: &[u8]) {
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

/// A parameter set without the zeros that may follow it.
fn trimmed(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    unit.get(..end).unwrap_or_default()
}

/// The sequence header of a temporal unit that has one (AV1 bitstream specification, 5.5).
fn sequence_header(packet: &[u8]) -> Option<&[u8]> {
    let mut rest = packet;
    while let [head, after @ ..] = rest {
        let (kind, extended, sized) = (head >> 3 & 15, head & 4 != 0, head & 2 != 0);
        let body = after.get(usize::from(extended)..)?;
        if !sized {
            return (kind == 1).then_some(body);
        }
        let size_bytes = body.iter().take(8).position(|byte| byte & 0x80 == 0)? + 1;
        let (size, body) = body.split_at(size_bytes);
        let size = size
            .iter()
            .rev()
            .fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
        let (unit, next) = body.split_at_checked(size)?;
        if kind == 1 {
            return Some(unit);
        }
        rest = next;
    }
    None
}

/// Width and height in the header of a keyframe (RFC 6386, 9.1).
fn vp8_key(packet: &[u8]) -> Option<&[u8]> {
    let is_key = packet.first().is_some_and(|first| first & 1 == 0);
    packet.get(6..10).filter(|_| is_key)
}

/// Profile, color, width and height in the header of a keyframe (VP9 bitstream specification, 6.2).
fn vp9_key(packet: &[u8]) -> Option<[u8; 6]> {
    let (&[first, _, _, _, a, b, c, d, e], _) = packet.split_first_chunk::<9>()?;
    let is_key = first & 0xcc == 0x80;
    is_key.then_some([first & 0x30, a, b, c, d, e & 0xf0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(kind: HeaderFormat, known: &[&[u8]], complete: bool, packets: &[&[u8]]) -> bool {
        let mut headers = HeaderChanges {
            kind,
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
    fn parameter_sets_in_packets_are_those_of_the_container_or_a_change() {
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
    fn sizes_and_profiles_of_keyframes_must_stay() {
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
