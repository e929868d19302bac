//! The planning of outputs that sample frames: posters, sprites, and animations.

use super::geometry::Narrower;
use super::output_planner::OutputPlanner;
use super::{Content, FrameLayout};
use crate::code::Code;
use crate::failure::Failure;
use crate::recipe::{Fps, GifOutput, PosterOutput, SpriteOutput};
use crate::time::{Rational, Timecode};

/// Default duration of an animation in microseconds.
const GIF_US: u64 = 3_000_000;

/// Maximum frame rate of a GIF: many players show frames with a delay of less than 20 ms much more slowly.
const GIF_MAX_FPS: Rational = Rational { num: 50, den: 1 };

impl OutputPlanner<'_> {
    pub(super) fn gif(&self, output: &GifOutput, index: usize) -> Result<Content, Failure> {
        let us = |ms| Timecode::from_ms(ms).us();
        let start_us = us(output.start_ms);
        if self.span_us > 0 && start_us >= self.span_us {
            let end = Timecode::from_us(self.span_us);
            let detail = format!("outputs[{index}].start_ms {}; the video ends at {end}", output.start_ms);
            return Err(Failure::new(Code::TrimOutsideSource, detail));
        }
        let end_us = output.end_ms.map_or(start_us.saturating_add(GIF_US), us);
        let fps = match output.fps {
            Fps::Fixed(rate) => rate,
            Fps::Keep => self.fps,
        };
        Ok(Content::Gif {
            layout: self.still_layout(Some(output.width_px)),
            fps: if fps.as_f64() > GIF_MAX_FPS.as_f64() {
                GIF_MAX_FPS
            } else {
                fps
            },
            start_us,
            end_us: if self.span_us > 0 {
                end_us.min(self.span_us)
            } else {
                end_us
            },
        })
    }

    pub(super) fn poster(&self, output: &PosterOutput) -> Content {
        Content::Poster {
            layout: self.still_layout(output.width_px),
            at_us: output.at_ms.map_or(self.span_us / 10, |ms| Timecode::from_ms(ms).us()),
            format: output.format,
        }
    }

    pub(super) fn sprite(&self, output: &SpriteOutput) -> Content {
        let every_us = Timecode::from_ms(output.every_ms).us();
        Content::Sprite {
            layout: self.still_layout(Some(output.width_px)),
            every_us,
            count: self.span_us.div_ceil(every_us).max(1),
        }
    }

    fn still_layout(&self, max_width_px: Option<u32>) -> FrameLayout {
        self.layout(Narrower {
            max_width_px,
            ..Narrower::default()
        })
    }
}
