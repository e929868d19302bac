//! Color of an output, and its names in filters, encoders and files.

use crate::engine::ffi::frame::ColorNumbers;
use domain::probe::Size;
use ffmpeg_next::color::{Primaries, Space, TransferCharacteristic as Transfer};

/// Transfer functions of ITU-R BT.2100 by their numbers in ITU-T H.273.
const PQ: i32 = 16;
const HLG: i32 = 18;

/// Whether a transfer function is PQ or HLG.
pub(crate) const fn is_hdr(transfer: i32) -> bool {
    transfer == PQ || transfer == HLG
}

/// The color of a standard-range output: that of the source where it is a valid one, else that of its size.
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

/// ITU-R BT.601 with 525 lines, the usual color of small pictures that do not say.
const BT601: Color = Color {
    primaries: Primaries::SMPTE170M,
    transfer: Transfer::SMPTE170M,
    matrix: Space::SMPTE170M,
};

/// Matrices of ITU-T H.273 that need work before an output can have them.
const RGB: i32 = 0;
const UNSPECIFIED: i32 = 2;
const BT2020: [i32; 2] = [9, 10];

/// Whether pictures have the wide primaries or the matrix of BT.2020 and must be brought to BT.709.
pub(crate) fn is_wide(source: &ColorNumbers) -> bool {
    source.primaries == BT2020[0] || BT2020.contains(&source.matrix)
}

/// Whether samples are red, green and blue.
pub(crate) const fn is_rgb(source: &ColorNumbers) -> bool {
    source.matrix == RGB
}

/// The color of an output made from a source of this color and size.
pub(crate) fn of_output(source: &ColorNumbers, coded: Size) -> Color {
    if is_wide(source) || is_rgb(source) || is_hdr(source.transfer) {
        return BT709;
    }
    let small = coded.width_px < 1_280 && coded.height_px < 720;
    let usual = if source.matrix == UNSPECIFIED && small {
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
            _ => usual.primaries,
        },
        transfer: match source.transfer {
            1 => Transfer::BT709,
            4 => Transfer::GAMMA22,
            5 => Transfer::GAMMA28,
            6 => Transfer::SMPTE170M,
            7 => Transfer::SMPTE240M,
            13 => Transfer::IEC61966_2_1,
            _ => usual.transfer,
        },
        matrix: match source.matrix {
            1 => Space::BT709,
            4 => Space::FCC,
            5 => Space::BT470BG,
            6 => Space::SMPTE170M,
            7 => Space::SMPTE240M,
            _ => usual.matrix,
        },
    }
}

/// The name that the scale filter has for a matrix of [`of_output`].
pub(crate) const fn scale_name(matrix: Space) -> &'static str {
    match matrix {
        Space::FCC => "fcc",
        Space::BT470BG => "bt470",
        Space::SMPTE170M => "smpte170m",
        Space::SMPTE240M => "smpte240m",
        _ => "bt709",
    }
}

/// The number of the same in ITU-T H.273, which the filter zscale takes where it lacks the name.
pub(crate) const fn number(matrix: Space) -> u8 {
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
    fn valid_tags_are_kept_and_the_rest_goes_by_size() {
        let size = |width_px, height_px| Size { width_px, height_px };
        let color = |primaries, transfer, matrix| ColorNumbers {
            primaries,
            transfer,
            matrix,
            range: 1,
        };
        let kept = of_output(&color(1, 13, 6), size(1920, 1080));
        assert_eq!(
            (kept.primaries, kept.transfer, kept.matrix),
            (Primaries::BT709, Transfer::IEC61966_2_1, Space::SMPTE170M)
        );
        assert_eq!(of_output(&color(2, 2, 2), size(640, 360)), BT601);
        assert_eq!(of_output(&color(2, 2, 2), size(1280, 534)), BT709);
        assert_eq!(of_output(&color(2, 2, 0), size(640, 360)), BT709, "RGB");
        assert_eq!(of_output(&color(9, 16, 9), size(640, 360)), BT709, "HDR");
    }
}
