//! Outputs that are made of stills: posters, sprites, and animations.

use super::geometry::Narrower;
use super::outputs::Room;
use super::{Content, Picture};
use crate::code::Code;
use crate::failure::Failure;
use crate::recipe::{Fps, Gif, Poster, Sprite};
use crate::time::{Rational, Timecode};

/// The length of an animation when nobody tells, and the most frames per second that players of GIF keep.
const GIF_US: u64 = 3_000_000;
const GIF_MAX_FPS: Rational = Rational { num: 50, den: 1 };

impl Room<'_> {
    pub(super) fn gif(&self, wish: &GifOutput, place: usize) -> Result<Content, Failure> {
        let us = |ms| Timecode::from_ms(ms).us();
        let start_us = us(wish.start_ms);
        if self.span_us > 0 && start_us >= self.span_us {
            let length = Timecode::from_us(self.span_us);
            let detail = format!(
                "outputs[{place}].start_ms {}; the video ends at {length}",
                wish.start_ms
            );
            return Err(Failure::input(Code::TrimOutsideSource, detail));
        }
        let asked = wish.end_ms.map_or(start_us.saturating_add(GIF_US), us);
        let rate = match wish.fps {
            Fps::Fixed(rate) => rate,
            Fps::Keep => self.fps,
        };
        Ok(Content::Gif {
            picture: self.still_picture(Some(wish.width_px)),
            fps: if rate.as_f64() > GIF_MAX_FPS.as_f64() {
                GIF_MAX_FPS
            } else {
                rate
            },
            start_us,
            end_us: if self.span_us > 0 {
                asked.min(self.span_us)
            } else {
                asked
            },
        })
    }

    pub(super) fn poster(&self, wish: &PosterOutput) -> Content {
        Content::Poster {
            picture: self.still_picture(wish.width_px),
            at_us: wish.at_ms.map_or(self.span_us / 10, |ms| Timecode::from_ms(ms).us()),
            format: wish.format,
        }
    }

    pub(super) fn sprite(&self, wish: &SpriteOutput) -> Content {
        let every_us = Timecode::from_ms(wish.every_ms).us();
        Content::Sprite {
            picture: self.still_picture(Some(wish.width_px)),
            every_us,
            count: self.span_us.div_ceil(every_us).max(1),
        }
    }

    fn still_picture(&self, max_width_px: Option<u32>) -> Picture {
        self.picture(Narrower {
            max_width_px,
            ..Narrower::default()
        })
    }
}
