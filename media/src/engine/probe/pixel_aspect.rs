//! Sample aspect ratio (shape of pixels), where container and bitstream may disagree. Players use that of the container
//! (`pasp` or the track size of an MP4, the display size of Matroska), so it takes precedence while it is plausible.
//! Otherwise the decoded frames decide.

use domain::Rational;
use domain::probe::Size;

const SQUARE: Rational = Rational { num: 1, den: 1 };

/// Plausible sample aspect ratios; others are broken headers.
const PIXEL_ASPECTS: std::ops::RangeInclusive<f64> = 0.1..=10.0;

/// Sample aspect ratios of common formats. Beyond them, the container counts only when the bitstream does not
/// contradict it.
const USUAL_PIXEL_ASPECTS: std::ops::RangeInclusive<f64> = 0.5..=2.0;

/// Plausible display aspect ratios (width to height).
const FRAME_ASPECTS: std::ops::RangeInclusive<f64> = 0.25..=4.0;

/// Numerator and denominator of a sample aspect ratio of FFmpeg; the numerator is 0 when it is unknown.
pub(crate) type RawAspect = (i32, i32);

/// Sample aspect ratio by the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderAspect {
    /// The headers are plausible and agree.
    Reliable(Rational),
    /// Frames have to be decoded; this is the best guess without them.
    Unreliable(Rational),
}

/// Combines the sample aspect ratios of container and bitstream for a frame of this coded size.
pub(crate) fn from_headers(container: RawAspect, bitstream: RawAspect, size: Size) -> HeaderAspect {
    let (container, bitstream) = (known(container), known(bitstream));
    let believable = |aspect: &Rational| is_plausible(*aspect, size);
    match (container, bitstream) {
        (Some(own), other) if believable(&own) => {
            let usual = USUAL_PIXEL_ASPECTS.contains(&own.as_f64());
            if usual || other.is_none_or(|other| other == own) {
                HeaderAspect::Reliable(own)
            } else {
                HeaderAspect::Unreliable(own)
            }
        }
        (None, None) => HeaderAspect::Reliable(SQUARE),
        (None, Some(own)) if own == SQUARE => HeaderAspect::Reliable(SQUARE),
        (_, other) => HeaderAspect::Unreliable(other.filter(believable).unwrap_or(SQUARE)),
    }
}

/// Sample aspect ratio of decoded frames; `None` unless all are equal and plausible.
pub(crate) fn from_frames(frames: &[RawAspect], size: Size) -> Option<Rational> {
    let first = known(*frames.first()?)?;
    let agree = frames.iter().all(|stated| known(*stated) == Some(first));
    (agree && is_plausible(first, size)).then_some(first)
}

/// Ratio of a frame's sample aspect ratio to the planned one; 1 when that of the frame is unknown or implausible.
pub(crate) fn relative_aspect(frame: RawAspect, size: Size, planned: Rational) -> f64 {
    let stated = known(frame).filter(|aspect| is_plausible(*aspect, size));
    stated.map_or(1.0, |stated| stated.as_f64() / planned.as_f64())
}

fn known(aspect: RawAspect) -> Option<Rational> {
    let (num, den) = aspect;
    let aspect = Rational::new(u32::try_from(num).ok()?, u32::try_from(den).ok()?)?;
    PIXEL_ASPECTS.contains(&aspect.as_f64()).then_some(aspect)
}

fn is_plausible(aspect: Rational, size: Size) -> bool {
    let shown = aspect.as_f64() * f64::from(size.width_px) / f64::from(size.height_px.max(1));
    aspect == SQUARE || FRAME_ASPECTS.contains(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ratio(num: u32, den: u32) -> Rational {
        Rational { num, den }
    }

    #[test]
    fn the_container_takes_precedence_while_it_is_plausible_and_then_the_frames_decide() {
        let ntsc = Size {
            width_px: 720,
            height_px: 480,
        };
        let phone = Size {
            width_px: 1080,
            height_px: 1920,
        };
        for (container, bitstream, size, shape) in [
            ((32, 27), (1, 1), ntsc, HeaderAspect::Reliable(ratio(32, 27))),
            ((32, 27), (0, 1), ntsc, HeaderAspect::Reliable(ratio(32, 27))),
            ((1, 1), (27, 64), phone, HeaderAspect::Reliable(SQUARE)),
            ((0, 1), (1, 1), phone, HeaderAspect::Reliable(SQUARE)),
            ((0, 1), (0, 1), phone, HeaderAspect::Reliable(SQUARE)),
            // Narrower than 1:4, in the container or in the bitstream.
            ((27, 64), (1, 1), phone, HeaderAspect::Unreliable(SQUARE)),
            ((0, 1), (27, 64), phone, HeaderAspect::Unreliable(SQUARE)),
            ((0, 1), (32, 27), ntsc, HeaderAspect::Unreliable(ratio(32, 27))),
            ((27, 64), (1, 1), ntsc, HeaderAspect::Unreliable(ratio(27, 64))),
            ((27, 64), (27, 64), ntsc, HeaderAspect::Reliable(ratio(27, 64))),
            ((1_000, 1), (1, 1), ntsc, HeaderAspect::Reliable(SQUARE)),
        ] {
            assert_eq!(
                from_headers(container, bitstream, size),
                shape,
                "{container:?} {bitstream:?}"
            );
        }
        assert_eq!(from_frames(&[(1, 1), (1, 1)], ntsc), Some(SQUARE));
        assert_eq!(from_frames(&[(32, 27), (1, 1)], ntsc), None);
        assert_eq!(from_frames(&[(0, 1)], ntsc), None);
    }
}
