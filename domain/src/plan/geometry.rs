//! The arithmetic of canvas and fit. Even sides, at most one pixel of change, aspect kept, never enlarged unasked.

use super::Picture;
use crate::probe::Size;
use crate::recipe::{Canvas, Fit};

/// The bounds that one output adds to those of the recipe.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Narrower {
    pub(super) max_width_px: Option<u32>,
    pub(super) max_height_px: Option<u32>,
    pub(super) max_short_side_px: Option<u32>,
}

/// Brings a picture shown at `shown` onto the canvas that `frame` asks for.
pub(super) fn fit(shown: Size, frame: &Canvas, narrower: Narrower) -> Picture {
    let aspect = frame.aspect.filter(|_| frame.fit != Fit::Inside);
    let (aspect_w, aspect_h) = aspect.map_or((f64::from(shown.width_px), f64::from(shown.height_px)), |a| {
        (a.width.into(), a.height.into())
    });
    let limit = Bounds::of(frame, narrower, aspect_w / aspect_h);
    let width = if frame.upscale && limit.is_some() {
        limit.map_or(f64::from(shown.width_px), |b| b.width)
    } else {
        // Without a limit the width of the source is kept, as players of a feed expect.
        limit.map_or(f64::INFINITY, |b| b.width).min(f64::from(shown.width_px))
    };
    let canvas = even(width, width * aspect_h / aspect_w);
    // Rounding must not pass a bound.
    let bounded = |side: u32, bounds: [Option<u32>; 2]| {
        let most = bounds.into_iter().flatten().min().map_or(side, |most| most / 2 * 2);
        side.min(most.max(2))
    };
    let canvas = Size {
        width_px: bounded(canvas.width_px, [frame.max_width_px, narrower.max_width_px]),
        height_px: bounded(canvas.height_px, [frame.max_height_px, narrower.max_height_px]),
    };
    Picture {
        scaled: scaled(shown, canvas, frame),
        canvas,
        overlay: None,
    }
}

/// The size of the picture on (or beyond) the canvas.
fn scaled(shown: Size, canvas: Size, frame: &Canvas) -> Size {
    let ratio_w = f64::from(canvas.width_px) / f64::from(shown.width_px);
    let ratio_h = f64::from(canvas.height_px) / f64::from(shown.height_px);
    let ratio = match frame.fit {
        _ if frame.aspect.is_none() => return canvas,
        Fit::Stretch | Fit::Inside => return canvas,
        Fit::Pad => ratio_w.min(ratio_h),
        Fit::Crop => ratio_w.max(ratio_h),
    };
    let size = even(f64::from(shown.width_px) * ratio, f64::from(shown.height_px) * ratio);
    // Rounding to even must not leave a picture one step outside or inside of the side it fits exactly.
    let snap = |side: u32, to: u32| if side.abs_diff(to) <= 2 { to } else { side };
    Size {
        width_px: snap(size.width_px, canvas.width_px),
        height_px: snap(size.height_px, canvas.height_px),
    }
}

/// The widest canvas allowed.
struct Bounds {
    width: f64,
}

impl Bounds {
    fn of(frame: &Canvas, narrower: Narrower, aspect: f64) -> Option<Self> {
        let widths = [frame.max_width_px, narrower.max_width_px]
            .into_iter()
            .flatten()
            .map(f64::from);
        let heights = [frame.max_height_px, narrower.max_height_px]
            .into_iter()
            .flatten()
            .map(f64::from);
        let short = [frame.max_short_side_px, narrower.max_short_side_px]
            .into_iter()
            .flatten()
            .map(|side| f64::from(side) * aspect.max(1.0));
        let all = widths.chain(heights.map(|height| height * aspect)).chain(short);
        all.reduce(f64::min).map(|width| Self { width })
    }
}

/// The nearest even sides, at least 2.
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
    fn the_canvas_is_what_was_asked() {
        let p1080 = Canvas {
            max_short_side_px: Some(1080),
            ..Canvas::default()
        };
        let show = Canvas {
            upscale: true,
            max_height_px: Some(720),
            ..wide(Fit::Pad, Some(1280))
        };
        for (shown, frame, scaled, canvas) in [
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
            let picture = fit(shown, &frame, Narrower::default());
            assert_eq!(
                (picture.scaled, picture.canvas),
                (scaled, canvas),
                "{shown:?} {frame:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn sides_are_even_and_bounds_hold(
            w in 1_u32..8_192, h in 1_u32..8_192, max_w in 16_u32..4_096, max_h in 16_u32..4_096, upscale: bool,
            fit_as in prop::sample::select(vec![Fit::Pad, Fit::Crop, Fit::Stretch, Fit::Inside]),
        ) {
            let frame = Canvas { max_width_px: Some(max_w), max_height_px: Some(max_h), upscale, ..wide(fit_as, None) };
            let picture = fit(size(w, h), &frame, Narrower::default());
            for side in [picture.canvas, picture.scaled] {
                prop_assert!(side.width_px >= 2 && side.height_px >= 2 && side.width_px % 2 == 0 && side.height_px % 2 == 0);
            }
            prop_assert!(picture.canvas.width_px <= max_w && picture.canvas.height_px <= max_h);
            if fit_as == Fit::Pad {
                prop_assert!(picture.scaled.width_px <= picture.canvas.width_px);
                prop_assert!(picture.scaled.height_px <= picture.canvas.height_px);
            }
        }
    }
}
