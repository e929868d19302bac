//! The units of H.264 and HEVC in packets as MP4 and Matroska carry them: each after its length in four bytes.

/// NAL units of a packet looked at for the slice: a few of parameters and messages stand before it.
const MAX_UNITS: u32 = 32;

/// Whether the first slice of a packet, whose NAL units follow their lengths in four bytes, forgets what was before.
/// `slice` tells from the first byte of a unit; it is `None` for units of another kind.
pub(super) fn begins_closed(packet: &[u8], slice: fn(u8) -> Option<bool>) -> bool {
    let mut rest = packet;
    for _ in 0..MAX_UNITS {
        let Some((length, units)) = rest.split_first_chunk::<4>() else {
            return false;
        };
        let Some(kind) = units.first() else { return false };
        if let Some(closed) = slice(*kind) {
            return closed;
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some(next) = units.get(length..) else { return false };
        rest = next;
    }
    false
}

/// Whether the NAL units of a packet fill it and none begins with a bit that is forbidden. Garbage rarely does.
pub(super) fn is_whole(packet: &[u8]) -> bool {
    let mut rest = packet;
    while let Some((length, units)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        match units.get(length..) {
            Some(next) if units.first().is_some_and(|kind| length > 0 && kind & 0x80 == 0) => rest = next,
            _ => return false,
        }
    }
    rest.is_empty()
}

/// H.264: an IDR picture is closed, any other slice is not.
pub(super) const fn h264_slice(byte: u8) -> Option<bool> {
    match byte & 0x1f {
        5 => Some(true),
        1..=4 => Some(false),
        _ => None,
    }
}

/// HEVC: an IDR picture is closed; CRA, BLA and all other slices are not.
pub(super) const fn hevc_slice(byte: u8) -> Option<bool> {
    match (byte >> 1) & 0x3f {
        19 | 20 => Some(true),
        0..=31 => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_closed_when_its_first_slice_is_an_idr() {
        let packet = |kinds: &[u8]| -> Vec<u8> {
            let units = kinds.iter().flat_map(|kind| [0, 0, 0, 2, *kind, 0]);
            units.collect()
        };
        for (kinds, closed) in [
            (&[9, 7, 8, 6, 0x65][..], true),
            (&[0x65], true),
            (&[9, 6, 0x41], false),
            (&[9, 6], false),
            (&[], false),
        ] {
            assert_eq!(begins_closed(&packet(kinds), h264_slice), closed, "{kinds:?}");
        }
        for (kind, closed) in [(19 << 1, true), (20 << 1, true), (21 << 1, false), (1 << 1, false)] {
            assert_eq!(begins_closed(&packet(&[32 << 1, kind]), hevc_slice), closed, "{kind}");
        }
        assert!(!begins_closed(&[255, 255, 255, 255, 9], h264_slice));
    }

    #[test]
    fn units_that_do_not_fill_their_packet_are_damaged() {
        for (packet, whole) in [
            (&[0, 0, 0, 2, 9, 0, 0, 0, 0, 1, 0x65][..], true),
            (&[0, 0, 0, 2, 9, 0, 0, 0, 0, 2, 0x65], false),
            (&[0, 0, 0, 1, 0x80], false),
            (&[0, 0, 0, 1, 9, 7], false),
        ] {
            assert_eq!(is_whole(packet), whole, "{packet:?}");
        }
    }
}
