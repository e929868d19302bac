//! The pictures of one part on their way to the canvas: at a constant rate, upright, with the overlay.

use super::cadence::Cadence;
use super::color::Color;
use super::descent::Shared;
use super::drawing::Drawing;
use super::graph::frame_base;
use super::parts::{Part, Role};
use super::picture::Finish;
use super::still::{self, Images};
use super::{av, fault};
use domain::plan::{Card, VideoOrder};
use domain::{Failure, Plan};
use ffmpeg_next::frame::Video;
use std::ops::Range;

/// What all parts of a movie are drawn on.
pub(super) struct Canvas<'a> {
    plan: &'a Plan,
    order: &'a VideoOrder,
    images: &'a Images,
    color: Color,
    threads: u32,
    /// The image of the overlay.
    mark: Option<Video>,
}

impl<'a> Canvas<'a> {
    /// A canvas for the pictures that `order` asks for, in this color.
    pub(super) fn new(
        plan: &'a Plan,
        order: &'a VideoOrder,
        images: &'a Images,
        color: Color,
        threads: u32,
    ) -> Result<Self, Failure> {
        let overlay = order.picture.overlay.as_ref();
        let mark = overlay.map(|overlay| still::mark(overlay, images, color.matrix));
        Ok(Self {
            plan,
            order,
            images,
            color,
            threads,
            mark: mark.transpose()?,
        })
    }

    /// The canvas with the image of a card that stands still, and for how many frames.
    pub(super) fn still(&self, card: Option<&Card>) -> Result<Option<(Video, u64)>, Failure> {
        let Some(Card::Still { image, frames }) = card else {
            return Ok(None);
        };
        let canvas = self.order.picture.canvas;
        still::bumper(image, self.images, canvas, self.color.matrix).map(|picture| Some((picture, *frames)))
    }

    /// The scene of a part; `before` slots of the spans before it are already drawn.
    pub(super) fn scene(&self, part: &Part, before: u64) -> Result<Scene<'a>, Failure> {
        let (picture, finish) = match part.role {
            Role::Span { .. } => (Some(&self.order.picture), Finish::Movie),
            Role::Intro => (self.order.intro.as_ref(), Finish::Clip(self.color.matrix)),
            Role::Outro => (self.order.outro.as_ref(), Finish::Clip(self.color.matrix)),
        };
        let (picture, source) = picture.zip(part.video).ok_or_else(|| fault::missing("a picture"))?;
        let mark = self.mark.as_ref().filter(|_| part.is_span());
        let mark = mark.map(av::share_picture).transpose();
        Ok(Scene {
            cadence: Cadence::new(self.plan.fps, part.frames(self.plan), part.length_us),
            drawing: Drawing {
                source,
                picture,
                finish,
                mark: mark.map_err(|error| fault::engine("picture", error))?,
                base: frame_base(self.plan.fps),
                threads: self.threads,
                graph: None,
            },
            before,
        })
    }
}

/// The pictures of one part.
pub(super) struct Scene<'a> {
    pub(super) cadence: Cadence<Shared>,
    drawing: Drawing<'a>,
    before: u64,
}

impl Scene<'_> {
    /// Draws a picture for its slots; each drawing comes with the number of slots that it fills.
    pub(super) fn draw_all(
        &mut self,
        picture: &Shared,
        mut slots: Range<u64>,
        show: &mut dyn FnMut(Video, u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let picture = picture.at(self.drawing.picture.scaled)?;
        // A picture that lasts over the beginning or the end of an overlay must be drawn anew for every slot.
        if self.drawing.changes() {
            slots.try_for_each(|slot| show(self.draw(&picture, slot)?, 1))
        } else {
            show(self.draw(&picture, slots.start)?, slots.end - slots.start)
        }
    }

    fn draw(&mut self, picture: &Video, slot: u64) -> Result<Video, Failure> {
        let at = i64::try_from(self.before + slot).unwrap_or(i64::MAX);
        self.drawing.draw(picture, at)
    }
}
