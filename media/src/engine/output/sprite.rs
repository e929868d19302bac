//! Encodes a sprite: thumbnails for seek previews in JPEG sheets, and a WebVTT index of them.
//!
//! The index has one cue per thumbnail, whose payload is the sheet and a rectangle in it
//! (`sheet-1.jpg#xywh=0,0,160,90`, W3C Media Fragments). Players show the rectangle while the viewer seeks in the time
//! of the cue.

mod sheet;

use crate::engine::context::OutputContext;
use crate::engine::error::{self, nothing_decoded};
use crate::engine::fanout::channel::{MediaItem, MediaReceiver};
use crate::engine::output::sprite::sheet::{Position, Sheet};
use crate::engine::paths::output_path;
use crate::engine::video::filter_description::TargetFormat;
use crate::engine::video::frame_renderer::FrameRenderer;
use domain::plan::FrameLayout;
use domain::protocol::OutputReport;
use domain::{Failure, Timecode};
use ffmpeg_next::frame::Video;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// File name of the WebVTT index.
pub(crate) const INDEX: &str = "sprite.vtt";

/// The parameters of a sprite.
pub(crate) struct SpriteSpec<'a> {
    pub(crate) layout: &'a FrameLayout,
    /// Time from one thumbnail to the next in microseconds.
    pub(crate) interval_us: u64,
}

/// Encodes the received frames, one per interval, into sheets, and writes the index.
pub(crate) fn run(
    context: &OutputContext<'_>,
    file: &str,
    spec: &SpriteSpec<'_>,
    receiver: &MediaReceiver,
) -> Result<OutputReport, Failure> {
    let directory = output_path(context.scratch, file)?;
    fs::create_dir(&directory).map_err(|error| error::io_failure(file, &error))?;
    let mut sprite = Sprite {
        interval_us: spec.interval_us,
        directory,
        sheet: Sheet::new(spec.layout.canvas),
        sheet_number: 1,
        stills: 0,
        index: "WEBVTT\n".to_owned(),
    };
    let mut renderer = FrameRenderer::new(context, spec.layout, TargetFormat::Jpeg)?;
    for item in receiver {
        context.check()?;
        if let MediaItem::Frame { frame, at_us, .. } = item {
            let rendered = renderer.render(&frame.decoded()?, at_us)?;
            let end_us = spec.interval_us * (sprite.stills + 1);
            sprite.add(rendered, end_us.min(context.plan.span_us))?;
            context.progress.add_frames(1);
        }
    }
    context.check()?;
    sprite.finish(file)
}

/// A sprite that is being encoded.
struct Sprite {
    interval_us: u64,
    directory: PathBuf,
    sheet: Sheet,
    /// Number of the current sheet, from 1.
    sheet_number: u32,
    stills: u64,
    index: String,
}

impl Sprite {
    /// Adds the next thumbnail and its cue, which ends at `end_us`.
    fn add(&mut self, still: Video, end_us: u64) -> Result<(), Failure> {
        if self.sheet.is_full() {
            self.write_sheet()?;
            self.sheet_number += 1;
        }
        let (width, height) = (still.width(), still.height());
        let Position { x_px, y_px } = self.sheet.add(still);
        let start_us = self.interval_us * self.stills;
        // If the duration of the source is unknown, it is 0; the only thumbnail then covers one interval.
        let end_us = if end_us > start_us {
            end_us
        } else {
            start_us + self.interval_us
        };
        let (start, end) = (timestamp(start_us), timestamp(end_us));
        let sheet = sheet_name(self.sheet_number);
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.index,
            "\n{start} --> {end}\n{sheet}#xywh={x_px},{y_px},{width},{height}"
        );
        self.stills += 1;
        Ok(())
    }

    fn write_sheet(&mut self) -> Result<(), Failure> {
        let file = sheet_name(self.sheet_number);
        write(&self.directory, &file, &self.sheet.take_jpeg()?)
    }

    fn finish(mut self, file: &str) -> Result<OutputReport, Failure> {
        if self.stills == 0 {
            return Err(nothing_decoded("the video"));
        }
        self.write_sheet()?;
        write(&self.directory, INDEX, self.index.as_bytes())?;
        Ok(OutputReport {
            file: file.to_owned(),
            frames: self.stills,
            ..OutputReport::default()
        })
    }
}

fn write(directory: &Path, file: &str, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(directory.join(file), bytes).map_err(|error| error::io_failure(file, &error))
}

/// Returns the file name of a sheet; numbers begin at 1.
pub(crate) fn sheet_name(number: u32) -> String {
    format!("sheet-{number}.jpg")
}

/// Formats a time as a WebVTT timestamp.
fn timestamp(us: u64) -> String {
    Timecode::from_us(us).to_string()
}
