//! Color of an output: primaries, transfer function and matrix, and the names that filters have for them.
//!
//! Every output is standard dynamic range, 8 bits, 4:2:0. The tags of the source are kept where they name a color that
//! such a file may have. Otherwise the output is tagged BT.601 or BT.709 by the size of the source, as players assume
//! for files without tags. PQ, HLG, BT.2020 and RGB are converted to BT.709.

use crate::engine::ffi::frame::ColorNumbers;
use domain::probe::Size;
use ffmpeg_next::color::{Primaries, Space, TransferCharacteristic as Transfer};

/// Transfer functions of ITU-R BT.2100 (HDR) by their numbers in ITU-T H.273.
const PQ: i32 = 16;
const HLG: i32 = 18;

/// Returns `true` for the transfer functions PQ and HLG.
pub(crate) const fn is_hdr(transfer: i32) -> bool {
    transfer == PQ || transfer == HLG
}

/// Color tags of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Color {
    pub(crate) primaries: Primaries,
    pub(crate) transfer: Transfer,
    pub(crate) matrix: Space,
}

/// ITU-R BT.709.
pub(crate) const BT709: Color = Color {
    primaries: Primaries::BT709,
    transfer: Transfer::BT709,
    matrix: Space::BT709,
};

/// ITU-R BT.601 with 525 lines: the color assumed of untagged video below HD size.
const BT601: Color = Color {
    primaries: Primaries::SMPTE170M,
    transfer: Transfer::SMPTE170M,
    matrix: Space::SMPTE170M,
};

/// Matrix coefficients of ITU-T H.273 that an output never has.
const RGB: i32 = 0;
const UNSPECIFIED: i32 = 2;
/// Non-constant and constant luminance.
const BT2020_MATRICES: [i32; 2] = [9, 10];

/// Color primaries of BT.2020 in ITU-T H.273.
const BT2020_PRIMARIES: i32 = 9;

/// Returns `true` for primaries or a matrix of BT.2020, which are converted to BT.709.
pub(crate) fn is_bt2020(source: &ColorNumbers) -> bool {
    source.primaries == BT2020_PRIMARIES || BT2020_MATRICES.contains(&source.matrix)
}

/// Returns `true` when the matrix says that the components are red, green and blue.
pub(crate) const fn is_rgb(source: &ColorNumbers) -> bool {
    source.matrix == RGB
}

/// Color of an output, from the tags of the source and its coded size.
pub(crate) fn output_color(source: &ColorNumbers, coded: Size) -> Color {
    if is_bt2020(source) || is_rgb(source) || is_hdr(source.transfer) {
        return BT709;
    }
    // Both sides: cropped HD, such as 1280x534, is BT.709 as well.
    let is_sd = coded.width_px < 1_280 && coded.height_px < 720;
    let assumed = if source.matrix == UNSPECIFIED && is_sd {
        BT601
    } else {
        BT709
    };
    Color {
        primaries: match source.primaries {
            1 => Primaries::BT709,
            4 => Primaries::BT470M,
            5 => Primaries::BT470BG,
            6 => Primaries::SMPTE170M,
            7 => Primaries::SMPTE240M,
            _ => assumed.primaries,
        },
        transfer: match source.transfer {
            1 => Transfer::BT709,
            4 => Transfer::GAMMA22,
            5 => Transfer::GAMMA28,
            6 => Transfer::SMPTE170M,
            7 => Transfer::SMPTE240M,
            13 => Transfer::IEC61966_2_1,
            _ => assumed.transfer,
        },
        matrix: match source.matrix {
            1 => Space::BT709,
            4 => Space::FCC,
            5 => Space::BT470BG,
            6 => Space::SMPTE170M,
            7 => Space::SMPTE240M,
            _ => assumed.matrix,
        },
    }
}

/// Name of a matrix of [`output_color`] in FFmpeg's `scale` filter.
pub(crate) const fn scale_matrix_name(matrix: Space) -> &'static str {
    match matrix {
        Space::FCC => "fcc",
        Space::BT470BG => "bt470",
        Space::SMPTE170M => "smpte170m",
        Space::SMPTE240M => "smpte240m",
        _ => "bt709",
    }
}

/// Number of a matrix of [`output_color`] in ITU-T H.273. The `zscale` filter takes numbers, and has no name for some
/// matrices.
pub(crate) const fn matrix_number(matrix: Space) -> u8 {
    match matrix {
        Space::FCC => 4,
        Space::BT470BG => 5,
        Space::SMPTE170M => 6,
        Space::SMPTE240M => 7,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_tags_are_kept_and_others_follow_from_the_size() {
        let size = |width_px, height_px| Size { width_px, height_px };
        let color = |primaries, transfer, matrix| ColorNumbers {
            primaries,
            transfer,
            matrix,
            range: 1,
        };
        let kept = output_color(&color(1, 13, 6), size(1920, 1080));
        assert_eq!(
            (kept.primaries, kept.transfer, kept.matrix),
            (Primaries::BT709, Transfer::IEC61966_2_1, Space::SMPTE170M)
        );
        assert_eq!(output_color(&color(2, 2, 2), size(640, 360)), BT601);
        assert_eq!(output_color(&color(2, 2, 2), size(1280, 534)), BT709);
        assert_eq!(output_color(&color(2, 2, 0), size(640, 360)), BT709, "RGB");
        assert_eq!(output_color(&color(9, 16, 9), size(640, 360)), BT709, "HDR");
    }
}
