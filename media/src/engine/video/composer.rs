//! Composes the frames of a movie from the parts of the timeline: at a constant rate, scaled, rotated, with the watermark.

use crate::engine::decode::timeline::{Part, Role};
use crate::engine::error;
use crate::engine::ffi::frame;
use crate::engine::time::frame_base;
use crate::engine::video::color::Color;
use crate::engine::video::constant_frame_rate::ConstantFrameRate;
use crate::engine::video::filter_description::TargetFormat;
use crate::engine::video::frame_renderer::FrameRenderer;
use crate::engine::video::scaled_frames::SharedFrame;
use crate::engine::video::still_images::{self, Images};
use domain::plan::{Card, VideoOrder};
use domain::{Failure, Plan};
use ffmpeg_next::frame::Video;
use std::ops::Range;

/// What all parts of a movie are drawn on.
pub(crate) struct Composer<'a> {
    plan: &'a Plan,
    order: &'a VideoOrder,
    images: &'a Images,
    color: Color,
    threads: u32,
    /// The image of the overlay.
    watermark: Option<Video>,
}

impl<'a> Composer<'a> {
    /// A canvas for the pictures that `order` asks for, in this color.
    pub(crate) fn new(
        plan: &'a Plan,
        order: &'a VideoOrder,
        images: &'a Images,
        color: Color,
        threads: u32,
    ) -> Result<Self, Failure> {
        let overlay = order.picture.overlay.as_ref();
        let watermark = overlay.map(|overlay| still_images::watermark(overlay, images, color.matrix));
        Ok(Self {
            plan,
            order,
            images,
            color,
            threads,
            watermark: watermark.transpose()?,
        })
    }

    /// The canvas with the image of a card that stands still, and for how many frames.
    pub(crate) fn still(&self, card: Option<&Card>) -> Result<Option<(Video, u64)>, Failure> {
        let Some(Card::Still { image, frames }) = card else {
            return Ok(None);
        };
        let canvas = self.order.picture.canvas;
        still_images::bumper(image, self.images, canvas, self.color.matrix).map(|frame| Some((frame, *frames)))
    }

    /// The scene of a part; `before` slots of the spans before it are already drawn.
    pub(crate) fn part_composer(&self, part: &Part, before: u64) -> Result<PartComposer<'a>, Failure> {
        let (layout, finish) = match part.role {
            Role::Span { .. } => (Some(&self.order.picture), TargetFormat::Movie),
            Role::Intro => (self.order.intro.as_ref(), TargetFormat::Clip(self.color.matrix)),
            Role::Outro => (self.order.outro.as_ref(), TargetFormat::Clip(self.color.matrix)),
        };
        let (layout, source) = layout.zip(part.video).ok_or_else(|| error::missing("a picture"))?;
        let watermark = self.watermark.as_ref().filter(|_| part.is_span());
        let watermark = watermark.map(frame::share_video).transpose();
        Ok(PartComposer {
            constant_rate: ConstantFrameRate::new(self.plan.fps, part.frames(self.plan), part.length_us),
            renderer: FrameRenderer {
                source,
                layout,
                finish,
                watermark: watermark.map_err(|error| error::engine("picture", error))?,
                base: frame_base(self.plan.fps),
                threads: self.threads,
                graph: None,
            },
            before,
        })
    }
}

/// The pictures of one part.
pub(crate) struct PartComposer<'a> {
    pub(crate) constant_rate: ConstantFrameRate<SharedFrame>,
    renderer: FrameRenderer<'a>,
    before: u64,
}

impl PartComposer<'_> {
    /// Draws a picture for its slots; each drawing comes with the number of slots that it fills.
    pub(crate) fn draw_all(
        &mut self,
        frame: &SharedFrame,
        mut slots: Range<u64>,
        show: &mut dyn FnMut(Video, u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let frame = frame.at(self.renderer.layout.scaled)?;
        // A picture that lasts over the beginning or the end of an overlay must be drawn anew for every slot.
        if self.renderer.changes() {
            slots.try_for_each(|slot| show(self.draw(&frame, slot)?, 1))
        } else {
            show(self.draw(&frame, slots.start)?, slots.end - slots.start)
        }
    }

    fn draw(&mut self, frame: &Video, slot: u64) -> Result<Video, Failure> {
        let at = i64::try_from(self.before + slot).unwrap_or(i64::MAX);
        self.renderer.draw(frame, at)
    }
}
