//! The units of H.264 and HEVC in packets: those of MP4 and Matroska follow their lengths in four bytes, others start
//! codes.

/// NAL units of a packet looked at for the slice: a few of parameters and messages stand before it.
const MAX_UNITS: u32 = 32;

/// Whether the first slice of a packet, whose NAL units follow their lengths in four bytes, forgets what was before.
/// `slice` tells from the first byte of a unit; it is `None` for units of another kind.
pub(crate) fn starts_with_idr(packet: &[u8], slice: fn(u8) -> Option<bool>) -> bool {
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
pub(crate) fn is_whole(packet: &[u8]) -> bool {
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

/// Gives the units of a packet.
pub(crate) fn each<'a>(packet: &'a [u8], mut give: impl FnMut(&'a [u8])) {
    let mut rest = packet;
    while let Some((length, units)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((unit, next)) = units.split_at_checked(length) else {
            return;
        };
        give(unit);
        rest = next;
    }
}

/// The parameter sets of H.264 in the record of a container (ISO/IEC 14496-15, 5.3.3.1).
pub(crate) fn sets_of_avcc(record: &[u8]) -> Option<Vec<&[u8]>> {
    let mut sets = Vec::new();
    let (count, mut rest) = record.get(5..)?.split_first()?;
    for _ in 0..count & 0x1f {
        rest = read_set(rest, &mut sets)?;
    }
    let (count, mut rest) = rest.split_first()?;
    for _ in 0..*count {
        rest = read_set(rest, &mut sets)?;
    }
    Some(sets)
}

/// The parameter sets of HEVC in the record of a container (ISO/IEC 14496-15, 8.3.3.1).
pub(crate) fn sets_of_hvcc(record: &[u8]) -> Option<Vec<&[u8]>> {
    let mut sets = Vec::new();
    let (arrays, mut rest) = record.get(22..)?.split_first()?;
    for _ in 0..*arrays {
        let ([_, high, low], units) = rest.split_first_chunk::<3>()?;
        rest = units;
        for _ in 0..u16::from_be_bytes([*high, *low]) {
            rest = read_set(rest, &mut sets)?;
        }
    }
    Some(sets)
}

/// Takes a unit after its length in two bytes.
fn read_set<'a>(from: &'a [u8], sets: &mut Vec<&'a [u8]>) -> Option<&'a [u8]> {
    let (length, rest) = from.split_first_chunk::<2>()?;
    let (unit, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    sets.push(unit);
    Some(rest)
}

/// H.264: an IDR picture is closed, any other slice is not.
pub(crate) const fn is_h264_idr_slice(byte: u8) -> Option<bool> {
    match byte & 0x1f {
        5 => Some(true),
        1..=4 => Some(false),
        _ => None,
    }
}

/// HEVC: an IDR picture is closed; CRA, BLA and all other slices are not.
pub(crate) const fn is_hevc_idr_slice(byte: u8) -> Option<bool> {
    match (byte >> 1) & 0x3f {
        19 | 20 => Some(true),
        0..=31 => Some(false),
        _ => None,
    }
}

/// How units follow each other in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NalFraming {
    /// Each after its length in four bytes, as in MP4 and Matroska.
    Lengths,
    /// Each after a start code, as in transport streams and AVI.
    StartCodes,
}

/// How many pictures after this one the stream is whole again, when a decoder begins with it: a picture from which
/// pictures are refreshed bit by bit says so in a message (recovery point SEI, ITU-T H.264 §D.2.8, H.265 §D.2.8). 0
/// where none does.
pub(crate) fn recovery_frames(packet: &[u8], framing: NalFraming, hevc: bool) -> u32 {
    let mut frames = 0;
    for_each_unit(packet, framing, |unit| {
        let Some(kind) = unit.first() else { return true };
        let (slice, message, head) = if hevc {
            (is_hevc_idr_slice(*kind), (kind >> 1) & 0x3f == 39, 2)
        } else {
            (is_h264_idr_slice(*kind), kind & 0x1f == 6, 1)
        };
        if message {
            let body = without_guards(unit.get(head..).unwrap_or_default());
            frames = frames.max(recovery_of(&body, hevc).unwrap_or(0));
        }
        slice.is_none()
    });
    frames
}

/// Gives the units of a packet, until one is enough.
fn for_each_unit(packet: &[u8], framing: NalFraming, mut give: impl FnMut(&[u8]) -> bool) {
    let mut rest = packet;
    for _ in 0..MAX_UNITS {
        let (unit, next) = match framing {
            NalFraming::Lengths => {
                let Some((length, units)) = rest.split_first_chunk::<4>() else {
                    return;
                };
                let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
                (units.get(..length).unwrap_or(units), units.get(length..))
            }
            NalFraming::StartCodes => {
                let code = |bytes: &[u8]| bytes.windows(3).position(|window| window == [0, 0, 1]);
                let Some(unit) = code(rest).and_then(|at| rest.get(at + 3..)) else {
                    return;
                };
                let end = code(unit).unwrap_or(unit.len());
                (unit.get(..end).unwrap_or_default(), unit.get(end..))
            }
        };
        if !give(unit) {
            return;
        }
        let Some(next) = next.filter(|next| !next.is_empty()) else {
            return;
        };
        rest = next;
    }
}

/// Most bytes of messages looked at in one unit.
const MAX_MESSAGES: usize = 1_024;

/// A unit without the bytes that keep start codes out of it (H.264 §7.4.1).
fn without_guards(unit: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let plain = unit.iter().take(MAX_MESSAGES).filter(|byte| {
        let guard = zeros >= 2 && **byte == 3;
        zeros = if **byte == 0 { zeros + 1 } else { 0 };
        !guard
    });
    plain.copied().collect()
}

/// What the message about recovery says, among the messages of a unit.
fn recovery_of(body: &[u8], hevc: bool) -> Option<u32> {
    const RECOVERY_POINT: usize = 6;
    let mut rest = body;
    loop {
        let (kind, after) = message_number(rest)?;
        let (length, after) = message_number(after)?;
        if kind == RECOVERY_POINT {
            let number = exp_golomb(after)?;
            // HEVC counts in both directions (se(v)); backwards means at once.
            return Some(match hevc {
                false => number,
                true if number % 2 == 1 => number.div_ceil(2),
                true => 0,
            });
        }
        rest = after.get(length..)?;
    }
}

/// A number as messages have it: bytes that add up until one is not 255.
fn message_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let full = bytes.iter().take_while(|byte| **byte == 255).count();
    let last = *bytes.get(full)?;
    Some((full * 255 + usize::from(last), bytes.get(full + 1..)?))
}

/// An unsigned number in Exp-Golomb code (H.264 §9.1).
fn exp_golomb(bytes: &[u8]) -> Option<u32> {
    let bit = |at: usize| Some(u32::from(bytes.get(at / 8)? >> (7 - at % 8) & 1));
    let mut zeros = 0;
    while bit(zeros)? == 0 {
        zeros += 1;
        if zeros > 24 {
            return None;
        }
    }
    let mut value = 1;
    for at in zeros + 1..=2 * zeros {
        value = value << 1 | bit(at)?;
    }
    Some(value - 1)
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
            assert_eq!(starts_with_idr(&packet(kinds), is_h264_idr_slice), closed, "{kinds:?}");
        }
        for (kind, closed) in [(19 << 1, true), (20 << 1, true), (21 << 1, false), (1 << 1, false)] {
            assert_eq!(
                starts_with_idr(&packet(&[32 << 1, kind]), is_hevc_idr_slice),
                closed,
                "{kind}"
            );
        }
        assert!(!starts_with_idr(&[255, 255, 255, 255, 9], is_h264_idr_slice));
    }

    #[test]
    fn a_recovery_point_tells_how_many_frames_later_the_stream_is_whole() {
        // Type 6, one byte, `00101` + stop: ue(v) 4.
        let h264 = [0, 0, 0, 4, 6, 6, 1, 0b0010_1100, 0, 0, 0, 2, 0x41, 0];
        assert_eq!(recovery_frames(&h264, NalFraming::Lengths, false), 4);
        let coded = [0, 0, 0, 1, 6, 6, 1, 0b0010_1100, 0, 0, 1, 0x41, 0];
        assert_eq!(recovery_frames(&coded, NalFraming::StartCodes, false), 4);
        // Another message before it, and `00111`: se(v) +3.
        let hevc = [
            0,
            0,
            0,
            8,
            39 << 1,
            1,
            5,
            1,
            9,
            6,
            1,
            0b0011_0100,
            0,
            0,
            0,
            2,
            1 << 1,
            1,
        ];
        assert_eq!(recovery_frames(&hevc, NalFraming::Lengths, true), 3);
        assert_eq!(recovery_frames(&[0, 0, 0, 2, 0x65, 0], NalFraming::Lengths, false), 0);
        assert_eq!(recovery_frames(&[255; 40], NalFraming::Lengths, false), 0);
        assert_eq!(recovery_frames(&[6, 255, 255], NalFraming::StartCodes, false), 0);
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
