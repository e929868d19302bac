//! NAL units of H.264 and HEVC in packets. MP4 and Matroska put the length of each unit in four bytes before it;
//! MPEG-TS and AVI use start codes (Annex B).

/// Maximum number of NAL units of a packet to read before the first slice: parameter sets, SEI messages, delimiters.
const MAX_UNITS: u32 = 32;

/// Returns `true` if the first slice of a packet with length prefixes is of an IDR frame, so that no later frame refers
/// to one before it. `is_idr_slice` is [`is_h264_idr_slice`] or [`is_hevc_idr_slice`].
pub(crate) fn starts_with_idr(packet: &[u8], is_idr_slice: fn(u8) -> Option<bool>) -> bool {
    let mut rest = packet;
    for _ in 0..MAX_UNITS {
        let Some((length, units)) = rest.split_first_chunk::<4>() else {
            return false;
        };
        let Some(header) = units.first() else { return false };
        if let Some(is_idr) = is_idr_slice(*header) {
            return is_idr;
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some(next) = units.get(length..) else { return false };
        rest = next;
    }
    false
}

/// Returns `true` if the NAL units of a packet with length prefixes fill it exactly, and the `forbidden_zero_bit` of
/// each is 0. Random bytes rarely pass.
pub(crate) fn is_well_formed(packet: &[u8]) -> bool {
    let mut rest = packet;
    while let Some((length, units)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        match units.get(length..) {
            Some(next) if units.first().is_some_and(|header| length > 0 && header & 0x80 == 0) => rest = next,
            _ => return false,
        }
    }
    rest.is_empty()
}

/// Calls `visit` for each NAL unit of a packet with length prefixes.
pub(crate) fn for_each_unit<'a>(packet: &'a [u8], mut visit: impl FnMut(&'a [u8])) {
    let mut rest = packet;
    while let Some((length, units)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((unit, next)) = units.split_at_checked(length) else {
            return;
        };
        visit(unit);
        rest = next;
    }
}

/// Parameter sets of H.264 in an `avcC` record (ISO/IEC 14496-15 §5.3.3.1).
pub(crate) fn avcc_parameter_sets(record: &[u8]) -> Option<Vec<&[u8]>> {
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

/// Parameter sets of HEVC in an `hvcC` record (ISO/IEC 14496-15 §8.3.3.1).
pub(crate) fn hvcc_parameter_sets(record: &[u8]) -> Option<Vec<&[u8]>> {
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

/// Reads a parameter set with a two-byte length prefix, and returns the bytes after it.
fn read_set<'a>(bytes: &'a [u8], sets: &mut Vec<&'a [u8]>) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (unit, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    sets.push(unit);
    Some(rest)
}

/// Returns whether a NAL unit of H.264 with this first byte is a slice of an IDR frame (`nal_unit_type` 5); `None` if
/// it is not a slice.
pub(crate) const fn is_h264_idr_slice(header: u8) -> Option<bool> {
    match header & 0x1f {
        5 => Some(true),
        1..=4 => Some(false),
        _ => None,
    }
}

/// Returns whether a NAL unit of HEVC with this first byte is a slice of an IDR frame (`nal_unit_type` 19 and 20);
/// `None` if it is not a slice. After CRA and BLA frames, leading frames may refer to earlier ones.
pub(crate) const fn is_hevc_idr_slice(header: u8) -> Option<bool> {
    match (header >> 1) & 0x3f {
        19 | 20 => Some(true),
        0..=31 => Some(false),
        _ => None,
    }
}

/// Separation of the NAL units in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NalFraming {
    /// Length prefixes of four bytes, as in MP4 and Matroska.
    Lengths,
    /// Start codes, as in MPEG-TS and AVI.
    StartCodes,
}

/// Returns the number of frames after this one until decoding is correct, if it starts here. Streams with gradual intra
/// refresh have a recovery point SEI message instead of an IDR frame (ITU-T H.264 §D.2.8, H.265 §D.3.8). 0 without such
/// a message.
pub(crate) fn recovery_frames(packet: &[u8], framing: NalFraming, hevc: bool) -> u32 {
    let mut frames = 0;
    visit_units(packet, framing, |unit| {
        let Some(first) = unit.first() else { return true };
        let (slice, is_sei, header_bytes) = if hevc {
            (is_hevc_idr_slice(*first), (first >> 1) & 0x3f == 39, 2)
        } else {
            (is_h264_idr_slice(*first), first & 0x1f == 6, 1)
        };
        if is_sei {
            let payload = remove_emulation_prevention(unit.get(header_bytes..).unwrap_or_default());
            frames = frames.max(recovery_point(&payload, hevc).unwrap_or(0));
        }
        slice.is_none()
    });
    frames
}

/// Calls `visit` for each NAL unit of a packet, until it returns `false`.
fn visit_units(packet: &[u8], framing: NalFraming, mut visit: impl FnMut(&[u8]) -> bool) {
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
                let find_start_code = |bytes: &[u8]| bytes.windows(3).position(|window| window == [0, 0, 1]);
                let Some(unit) = find_start_code(rest).and_then(|offset| rest.get(offset + 3..)) else {
                    return;
                };
                let end = find_start_code(unit).unwrap_or(unit.len());
                (unit.get(..end).unwrap_or_default(), unit.get(end..))
            }
        };
        if !visit(unit) {
            return;
        }
        let Some(next) = next.filter(|next| !next.is_empty()) else {
            return;
        };
        rest = next;
    }
}

/// Maximum number of bytes of an SEI unit to read.
const MAX_SEI_BYTES: usize = 1_024;

/// Removes emulation prevention bytes (H.264 §7.4.1), up to [`MAX_SEI_BYTES`].
fn remove_emulation_prevention(unit: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let payload = unit.iter().take(MAX_SEI_BYTES).filter(|byte| {
        let is_emulation_prevention = zeros >= 2 && **byte == 3;
        zeros = if **byte == 0 { zeros + 1 } else { 0 };
        !is_emulation_prevention
    });
    payload.copied().collect()
}

/// Frame count of the recovery point message among the SEI messages of a unit, if there is one.
fn recovery_point(payload: &[u8], hevc: bool) -> Option<u32> {
    const RECOVERY_POINT: usize = 6;
    let mut rest = payload;
    loop {
        let (payload_type, after) = read_sei_number(rest)?;
        let (length, after) = read_sei_number(after)?;
        if payload_type == RECOVERY_POINT {
            let number = read_exp_golomb(after)?;
            // `recovery_frame_cnt` of H.264 is unsigned. `recovery_poc_cnt` of HEVC is signed, with odd codes for
            // positive values; a negative one means that this frame is correct already.
            return Some(match hevc {
                false => number,
                true if number % 2 == 1 => number.div_ceil(2),
                true => 0,
            });
        }
        rest = after.get(length..)?;
    }
}

/// Reads the type or size of an SEI message (H.264 §7.3.2.3.1): a sum of bytes, of which the last is not 255.
fn read_sei_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let full = bytes.iter().take_while(|byte| **byte == 255).count();
    let last = *bytes.get(full)?;
    Some((full * 255 + usize::from(last), bytes.get(full + 1..)?))
}

/// Reads an unsigned Exp-Golomb code, ue(v) (H.264 §9.1), of at most 24 leading zero bits.
fn read_exp_golomb(bytes: &[u8]) -> Option<u32> {
    let bit = |index: usize| Some(u32::from(bytes.get(index / 8)? >> (7 - index % 8) & 1));
    let mut zeros = 0;
    while bit(zeros)? == 0 {
        zeros += 1;
        if zeros > 24 {
            return None;
        }
    }
    let mut value = 1;
    for index in zeros + 1..=2 * zeros {
        value = value << 1 | bit(index)?;
    }
    Some(value - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_starts_with_an_idr_frame_if_its_first_slice_is_one() {
        let packet = |headers: &[u8]| -> Vec<u8> {
            let units = headers.iter().flat_map(|header| [0, 0, 0, 2, *header, 0]);
            units.collect()
        };
        for (headers, is_idr) in [
            (&[9, 7, 8, 6, 0x65][..], true),
            (&[0x65], true),
            (&[9, 6, 0x41], false),
            (&[9, 6], false),
            (&[], false),
        ] {
            assert_eq!(
                starts_with_idr(&packet(headers), is_h264_idr_slice),
                is_idr,
                "{headers:?}"
            );
        }
        for (header, is_idr) in [(19 << 1, true), (20 << 1, true), (21 << 1, false), (1 << 1, false)] {
            assert_eq!(
                starts_with_idr(&packet(&[32 << 1, header]), is_hevc_idr_slice),
                is_idr,
                "{header}"
            );
        }
        assert!(!starts_with_idr(&[255, 255, 255, 255, 9], is_h264_idr_slice));
    }

    #[test]
    fn a_recovery_point_message_has_the_number_of_frames_until_decoding_is_correct() {
        // Payload type 6, one byte, `00101` and the stop bit: ue(v) 4.
        let h264 = [0, 0, 0, 4, 6, 6, 1, 0b0010_1100, 0, 0, 0, 2, 0x41, 0];
        assert_eq!(recovery_frames(&h264, NalFraming::Lengths, false), 4);
        let annex_b = [0, 0, 0, 1, 6, 6, 1, 0b0010_1100, 0, 0, 1, 0x41, 0];
        assert_eq!(recovery_frames(&annex_b, NalFraming::StartCodes, false), 4);
        // A message of another type before it, and `00110`: se(v) +3.
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
    fn nal_units_that_do_not_fill_their_packet_are_damaged() {
        for (packet, well_formed) in [
            (&[0, 0, 0, 2, 9, 0, 0, 0, 0, 1, 0x65][..], true),
            (&[0, 0, 0, 2, 9, 0, 0, 0, 0, 2, 0x65], false),
            (&[0, 0, 0, 1, 0x80], false),
            (&[0, 0, 0, 1, 9, 7], false),
        ] {
            assert_eq!(is_well_formed(packet), well_formed, "{packet:?}");
        }
    }
}
