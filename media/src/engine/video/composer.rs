//! Composes the frames of a movie from the parts of the timeline: at a constant rate, scaled, rotated, with the
//! watermark.
//!
//! A still bumper is one frame that is repeated. A span of the source or a bumper clip has a [`PartComposer`]: its
//! [`ConstantFrameRate`] assigns frames to slots, and its [`FrameRenderer`] renders them. Watermarks are visible in
//! spans only, and their times count over all spans, without the intro.

use crate::engine::decode::timeline::{Part, Role};
use crate::engine::error;
use crate::engine::ffi::frame;
use crate::engine::time::frame_time_base;
use crate::engine::video::color::Color;
use crate::engine::video::constant_frame_rate::ConstantFrameRate;
use crate::engine::video::filter_description::TargetFormat;
use crate::engine::video::frame_renderer::FrameRenderer;
use crate::engine::video::scaled_frames::SharedFrame;
use crate::engine::video::still_images::{self, Images};
use domain::plan::{Bumper, VideoEncode};
use domain::{Failure, Plan};
use ffmpeg_next::frame::Video;
use std::ops::Range;

/// Settings that all parts of a movie share.
pub(crate) struct Composer<'a> {
    plan: &'a Plan,
    encode: &'a VideoEncode,
    images: &'a Images,
    color: Color,
    threads: u32,
    /// Image of the watermark, at its final size and opacity.
    watermark: Option<Video>,
}

impl<'a> Composer<'a> {
    /// Composes frames with the layouts of `encode`, in the color of the output.
    pub(crate) fn new(
        plan: &'a Plan,
        encode: &'a VideoEncode,
        images: &'a Images,
        color: Color,
        threads: u32,
    ) -> Result<Self, Failure> {
        let watermark = encode.layout.watermark.as_ref();
        let watermark = watermark.map(|watermark| still_images::watermark(watermark, images, color.matrix));
        Ok(Self {
            plan,
            encode,
            images,
            color,
            threads,
            watermark: watermark.transpose()?,
        })
    }

    /// Frame of a still bumper and the number of times that it is repeated; `None` for a clip.
    pub(crate) fn still_bumper(&self, bumper: Option<&Bumper>) -> Result<Option<(Video, u64)>, Failure> {
        let Some(Bumper::Still { image, frames }) = bumper else {
            return Ok(None);
        };
        let canvas = self.encode.layout.canvas;
        still_images::bumper(image, self.images, canvas, self.color.matrix).map(|frame| Some((frame, *frames)))
    }

    /// Composer of a part. `slots_before` is the number of slots of earlier spans, from which watermarks count their
    /// time.
    pub(crate) fn part_composer(&self, part: &Part, slots_before: u64) -> Result<PartComposer<'a>, Failure> {
        let (layout, target) = match part.role {
            Role::Span { .. } => (Some(&self.encode.layout), TargetFormat::Movie),
            Role::Intro => (self.encode.intro.as_ref(), TargetFormat::Clip(self.color.matrix)),
            Role::Outro => (self.encode.outro.as_ref(), TargetFormat::Clip(self.color.matrix)),
        };
        let (layout, source) = layout
            .zip(part.video)
            .ok_or_else(|| error::missing_component("a video stream"))?;
        let watermark = self.watermark.as_ref().filter(|_| part.is_span());
        let watermark = watermark.map(frame::share_video).transpose();
        Ok(PartComposer {
            constant_rate: ConstantFrameRate::new(self.plan.fps, part.frames(self.plan), part.duration_us),
            renderer: FrameRenderer {
                source,
                layout,
                target,
                watermark: watermark.map_err(|error| error::engine_failure("frame", error))?,
                time_base: frame_time_base(self.plan.fps),
                threads: self.threads,
                graph: None,
            },
            slots_before,
        })
    }
}

/// Composes the frames of one part.
pub(crate) struct PartComposer<'a> {
    pub(crate) constant_rate: ConstantFrameRate<SharedFrame>,
    renderer: FrameRenderer<'a>,
    slots_before: u64,
}

impl PartComposer<'_> {
    /// Renders a frame for its slots. `emit` gets each rendered frame with the number of slots that it fills.
    pub(crate) fn render_slots(
        &mut self,
        frame: &SharedFrame,
        mut slots: Range<u64>,
        emit: &mut dyn FnMut(Video, u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let frame = frame.scaled_to(self.renderer.layout.scaled)?;
        // The watermark may appear or disappear between two slots of the same frame.
        if self.renderer.is_time_dependent() {
            slots.try_for_each(|slot| emit(self.render(&frame, slot)?, 1))
        } else {
            emit(self.render(&frame, slots.start)?, slots.end - slots.start)
        }
    }

    fn render(&mut self, frame: &Video, slot: u64) -> Result<Video, Failure> {
        let at = i64::try_from(self.slots_before + slot).unwrap_or(i64::MAX);
        self.renderer.render(frame, at)
    }
}
