//! The sizes and bit rates of the rungs of an adaptive stream.

use crate::probe::Size;
use crate::recipe::Ladder;
use crate::time::Rational;

/// The shorter sides of the standard rungs.
const STANDARD: [u32; 7] = [2_160, 1_440, 1_080, 720, 480, 360, 240];

/// Minimum size of a canvas, in percent of the next smaller standard rung, at which it gets a rung of its own.
const OWN_RUNG_PERCENT: u32 = 115;

/// Returns the shorter sides of the rungs, largest first, at least one. None is larger than the canvas.
pub(super) fn short_sides(ladder: &Ladder, canvas: Size) -> Vec<u32> {
    let own = canvas.width_px.min(canvas.height_px);
    match ladder {
        Ladder::Auto => {
            let mut rungs: Vec<u32> = STANDARD.into_iter().filter(|side| *side <= own).collect();
            let next = rungs.first().copied().unwrap_or(0);
            if own * 100 >= next * OWN_RUNG_PERCENT {
                rungs.insert(0, own);
            }
            rungs
        }
        Ladder::ShortSides(requested) => {
            let mut rungs: Vec<u32> = requested.iter().map(|side| (*side).min(own)).collect();
            rungs.sort_unstable_by(|a, b| b.cmp(a));
            rungs.dedup();
            rungs
        }
    }
}

/// Returns the maximum bit rate of a rung in bits per second: 0.1 bit per pixel, at least 300,000. It is 6.2 Mb/s for
/// 1080p at 30 frames per second, within the range of Apple's HLS authoring specification for that size.
pub(super) fn max_bitrate_bps(size: Size, fps: Rational) -> u64 {
    let pixels = u64::from(size.width_px) * u64::from(size.height_px);
    let pixels_per_second = pixels * u64::from(fps.num) / u64::from(fps.den.max(1));
    (pixels_per_second / 10).max(300_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width_px: u32, height_px: u32) -> Size {
        Size { width_px, height_px }
    }

    #[test]
    fn rungs_are_sized_by_the_shorter_side_and_not_larger_than_the_canvas() {
        let listed = |sides: &[u32]| Ladder::ShortSides(sides.to_vec());
        for (ladder, canvas, rungs) in [
            (Ladder::Auto, size(1920, 1080), vec![1080, 720, 480, 360, 240]),
            (Ladder::Auto, size(1080, 1920), vec![1080, 720, 480, 360, 240]),
            (Ladder::Auto, size(1280, 800), vec![720, 480, 360, 240]),
            (Ladder::Auto, size(1280, 960), vec![960, 720, 480, 360, 240]),
            (Ladder::Auto, size(320, 180), vec![180]),
            (Ladder::Auto, size(2, 2), vec![2]),
            (listed(&[480, 1080]), size(1280, 720), vec![720, 480]),
            (listed(&[1080, 2160]), size(1280, 720), vec![720]),
            (listed(&[360, 360]), size(1280, 720), vec![360]),
        ] {
            assert_eq!(short_sides(&ladder, canvas), rungs, "{ladder:?} {canvas:?}");
        }
    }
}
