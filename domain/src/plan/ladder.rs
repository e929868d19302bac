//! Which renditions an adaptive stream has.

use crate::probe::Size;
use crate::recipe::Ladder;
use crate::time::Rational;

/// The usual steps, by the shorter side.
const STEPS: [u32; 7] = [2_160, 1_440, 1_080, 720, 480, 360, 240];

/// A canvas this much larger than the next step (in percent) is worth a rung of its own.
const WORTHWHILE_PERCENT: u32 = 115;

/// Shorter sides of the rungs for a canvas, largest first, never above it; at least one.
pub(super) fn short_sides(ladder: &Ladder, canvas: Size) -> Vec<u32> {
    let own = canvas.width_px.min(canvas.height_px);
    match ladder {
        Ladder::Auto => {
            let mut rungs: Vec<u32> = STEPS.into_iter().filter(|step| *step <= own).collect();
            let next = rungs.first().copied().unwrap_or(0);
            if own * 100 >= next * WORTHWHILE_PERCENT {
                rungs.insert(0, own);
            }
            rungs
        }
        Ladder::ShortSides(asked) => {
            // What lies above the source becomes the source.
            let mut rungs: Vec<u32> = asked.iter().map(|side| (*side).min(own)).collect();
            rungs.sort_unstable_by(|a, b| b.cmp(a));
            rungs.dedup();
            rungs
        }
    }
}

/// Most bits per second of a rung: a tenth of a bit for each pixel shown, at least 300,000. For 1080p at 30 frames a
/// second that is 6.2 Mb/s, within what Apple's authoring specification for HLS devices lists for that size.
pub(super) fn max_bitrate_bps(size: Size, fps: Rational) -> u64 {
    let pixels = u64::from(size.width_px) * u64::from(size.height_px);
    let each_second = pixels * u64::from(fps.num) / u64::from(fps.den.max(1));
    (each_second / 10).max(300_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width_px: u32, height_px: u32) -> Size {
        Size { width_px, height_px }
    }

    #[test]
    fn the_ladder_goes_by_the_shorter_side_and_never_above_the_source() {
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
