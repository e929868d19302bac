//! Computes canvas size and scaling.
//!
//! All sides are even, because 4:2:0 chroma is subsampled by two. Rounding changes a side by at most one pixel. Frames
//! keep their aspect ratio unless the fit is `stretch`, and are enlarged only on request.

use super::FrameLayout;
use crate::probe::Size;
use crate::recipe::{Canvas, Fit};

/// The maximum size of one output, in addition to that of the recipe.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Narrower {
    pub(super) max_width_px: Option<u32>,
    pub(super) max_height_px: Option<u32>,
    pub(super) max_short_side_px: Option<u32>,
}

/// Fits a frame of the display size `source` to the requested canvas. The watermark is left out.
pub(super) fn fit(source: Size, requested: &Canvas, narrower: Narrower) -> FrameLayout {
    let aspect = requested.aspect.filter(|_| requested.fit != Fit::Inside);
    let (aspect_w, aspect_h) = aspect.map_or((f64::from(source.width_px), f64::from(source.height_px)), |aspect| {
        (aspect.width.into(), aspect.height.into())
    });
    let max_width = max_width(requested, narrower, aspect_w / aspect_h);
    let source_width = f64::from(source.width_px);
    let width = match max_width {
        Some(max_width) if requested.upscale => max_width,
        Some(max_width) => max_width.min(source_width),
        // Without a maximum, the canvas is as wide as the source.
        None => source_width,
    };
    let canvas = even(width, width * aspect_h / aspect_w);
    // The rounding to even sides must not exceed a maximum.
    let limited = |side: u32, limits: [Option<u32>; 2]| {
        let max = limits.into_iter().flatten().min().map_or(side, |max| max / 2 * 2);
        side.min(max.max(2))
    };
    let canvas = Size {
        width_px: limited(canvas.width_px, [requested.max_width_px, narrower.max_width_px]),
        height_px: limited(canvas.height_px, [requested.max_height_px, narrower.max_height_px]),
    };
    FrameLayout {
        scaled: scaled(source, canvas, requested),
        canvas,
        watermark: None,
    }
}

/// Returns the size of the scaled frame. It is larger than the canvas in one direction if it is cropped.
fn scaled(source: Size, canvas: Size, requested: &Canvas) -> Size {
    let ratio_w = f64::from(canvas.width_px) / f64::from(source.width_px);
    let ratio_h = f64::from(canvas.height_px) / f64::from(source.height_px);
    let ratio = match requested.fit {
        _ if requested.aspect.is_none() => return canvas,
        Fit::Stretch | Fit::Inside => return canvas,
        Fit::Pad => ratio_w.min(ratio_h),
        Fit::Crop => ratio_w.max(ratio_h),
    };
    let size = even(f64::from(source.width_px) * ratio, f64::from(source.height_px) * ratio);
    // A frame that fits a side of the canvas exactly must not get a bar or a crop of two pixels from rounding.
    let snapped = |side: u32, to: u32| if side.abs_diff(to) <= 2 { to } else { side };
    Size {
        width_px: snapped(size.width_px, canvas.width_px),
        height_px: snapped(size.height_px, canvas.height_px),
    }
}

/// Returns the maximum width of a canvas with this aspect ratio; `None` if the size is not limited.
fn max_width(requested: &Canvas, narrower: Narrower, aspect: f64) -> Option<f64> {
    let widths = [requested.max_width_px, narrower.max_width_px]
        .into_iter()
        .flatten()
        .map(f64::from);
    let heights = [requested.max_height_px, narrower.max_height_px]
        .into_iter()
        .flatten()
        .map(f64::from);
    let short_sides = [requested.max_short_side_px, narrower.max_short_side_px]
        .into_iter()
        .flatten()
        .map(f64::from);
    widths
        .chain(heights.map(|height| height * aspect))
        .chain(short_sides.map(|side| side * aspect.max(1.0)))
        .reduce(f64::min)
}

/// Rounds both sides to the nearest even number, at least 2.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded by the clamp"
)]
fn even(width: f64, height: f64) -> Size {
    let side = |value: f64| ((value / 2.0).round().clamp(1.0, 16_384.0) as u32) * 2;
    Size {
        width_px: side(width),
        height_px: side(height),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Aspect;
    use proptest::prelude::*;

    fn size(width_px: u32, height_px: u32) -> Size {
        Size { width_px, height_px }
    }

    fn wide(fit: Fit, max_width_px: Option<u32>) -> Canvas {
        Canvas {
            aspect: Some(Aspect { width: 16, height: 9 }),
            max_width_px,
            fit,
            ..Canvas::default()
        }
    }

    #[test]
    fn frames_are_fitted_to_the_requested_canvas() {
        let p1080 = Canvas {
            max_short_side_px: Some(1080),
            ..Canvas::default()
        };
        let show = Canvas {
            upscale: true,
            max_height_px: Some(720),
            ..wide(Fit::Pad, Some(1280))
        };
        for (source, requested, scaled, canvas) in [
            (
                size(480, 270),
                wide(Fit::Pad, Some(1920)),
                size(480, 270),
                size(480, 270),
            ),
            (
                size(640, 480),
                wide(Fit::Pad, Some(1920)),
                size(480, 360),
                size(640, 360),
            ),
            (size(640, 480), wide(Fit::Crop, None), size(640, 480), size(640, 360)),
            (size(640, 480), wide(Fit::Stretch, None), size(640, 360), size(640, 360)),
            (
                size(640, 480),
                wide(Fit::Inside, Some(320)),
                size(320, 240),
                size(320, 240),
            ),
            (
                size(3840, 2160),
                wide(Fit::Pad, Some(1920)),
                size(1920, 1080),
                size(1920, 1080),
            ),
            (size(3840, 2160), p1080.clone(), size(1920, 1080), size(1920, 1080)),
            (size(2160, 3840), p1080.clone(), size(1080, 1920), size(1080, 1920)),
            (
                size(1080, 1920),
                wide(Fit::Pad, Some(1920)),
                size(342, 608),
                size(1080, 608),
            ),
            (size(641, 479), p1080, size(642, 480), size(642, 480)),
            (size(2, 2), Canvas::default(), size(2, 2), size(2, 2)),
            (size(640, 480), show, size(960, 720), size(1280, 720)),
        ] {
            let layout = fit(source, &requested, Narrower::default());
            assert_eq!(
                (layout.scaled, layout.canvas),
                (scaled, canvas),
                "{source:?} {requested:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn sides_are_even_and_do_not_exceed_the_maximum(
            w in 1_u32..8_192, h in 1_u32..8_192, max_w in 16_u32..4_096, max_h in 16_u32..4_096, upscale: bool,
            fit_as in prop::sample::select(vec![Fit::Pad, Fit::Crop, Fit::Stretch, Fit::Inside]),
        ) {
            let requested = Canvas { max_width_px: Some(max_w), max_height_px: Some(max_h), upscale, ..wide(fit_as, None) };
            let layout = fit(size(w, h), &requested, Narrower::default());
            for size in [layout.canvas, layout.scaled] {
                prop_assert!(size.width_px >= 2 && size.height_px >= 2 && size.width_px % 2 == 0 && size.height_px % 2 == 0);
            }
            prop_assert!(layout.canvas.width_px <= max_w && layout.canvas.height_px <= max_h);
            if fit_as == Fit::Pad {
                prop_assert!(layout.scaled.width_px <= layout.canvas.width_px);
                prop_assert!(layout.scaled.height_px <= layout.canvas.height_px);
            }
        }
    }
}
