//! The shape of pixels, where container and bitstream may disagree. Players go by the container (`pasp`, the track's size in
//! an MP4, the display size of Matroska), so it wins while it is plausible; then the frames decide.

use domain::Rational;
use domain::probe::Size;

const SQUARE: Rational = Rational { num: 1, den: 1 };

/// A pixel more than ten times as wide as high, or the reverse, is a broken header.
const PIXEL_ASPECTS: std::ops::RangeInclusive<f64> = 0.1..=10.0;

/// Pixels of real formats; beyond them a container is believed only when the bitstream does not contradict it.
const USUAL_PIXEL_ASPECTS: std::ops::RangeInclusive<f64> = 0.5..=2.0;

/// Pictures of real formats, width to height as shown.
const FRAME_ASPECTS: std::ops::RangeInclusive<f64> = 0.25..=4.0;

/// An aspect as FFmpeg has it; a zero where it is unknown.
pub(crate) type RawAspect = (i32, i32);

/// What the headers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderAspect {
    /// They are to be believed.
    Reliable(Rational),
    /// Frames have to be asked; the best that can be had without them.
    Unreliable(Rational),
}

/// What container and bitstream tell of the pixels of a picture of this coded size.
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

/// What every frame looked at tells, where all tell the same and it can be.
pub(crate) fn from_frames(frames: &[RawAspect], size: Size) -> Option<Rational> {
    let first = known(*frames.first()?)?;
    let agree = frames.iter().all(|told| known(*told) == Some(first));
    (agree && is_plausible(first, size)).then_some(first)
}

/// How much wider a pixel of a picture is than `planned`, when the picture tells and it can be.
pub(crate) fn relative_aspect(frame: RawAspect, size: Size, planned: Rational) -> f64 {
    let told = known(frame).filter(|aspect| is_plausible(*aspect, size));
    told.map_or(1.0, |told| told.as_f64() / planned.as_f64())
}

fn known((num, den): RawAspect) -> Option<Rational> {
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
    fn the_container_wins_while_it_is_plausible_and_then_the_frames_are_asked() {
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
