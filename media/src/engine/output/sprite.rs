//! Makes a sprite: small stills in JPEG sheets, and a WebVTT index of them.

mod sheet;

use crate::engine::context::OutputContext;
use crate::engine::error::{self, nothing_decoded};
use crate::engine::fanout::channel::{Inbox, Piece};
use crate::engine::output::sprite::sheet::Sheet;
use crate::engine::paths::output_path;
use crate::engine::video::filter_description::TargetFormat;
use crate::engine::video::frame_renderer::FrameRenderer;
use domain::plan::Picture;
use domain::protocol::Made;
use domain::{Failure, Timecode};
use ffmpeg_next::frame::Video;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The name of the index (WebVTT) in the set.
pub(crate) const INDEX: &str = "sprite.vtt";

/// Makes the sheets from the stills that come, one for every `every_us` microseconds, and the index.
pub(crate) fn run(
    context: &OutputContext<'_>,
    file: &str,
    (layout, every_us): (&Picture, u64),
    from: &Inbox,
) -> Result<Made, Failure> {
    let folder = output_path(context.scratch, file)?;
    fs::create_dir(&folder).map_err(|error| error::disk(file, &error))?;
    let mut sprite = Sprite {
        folder,
        sheet: Sheet::new(layout.canvas),
        sheets: 1,
        stills: 0,
        index: "WEBVTT\n".to_owned(),
    };
    let mut renderer = FrameRenderer::new(context, layout, TargetFormat::Jpeg)?;
    for piece in from {
        context.check()?;
        if let Piece::Frame { frame, at_us, .. } = piece {
            let drawn = renderer.draw(&frame.decoded()?, at_us)?;
            let until_us = every_us * (sprite.stills + 1);
            sprite.add(drawn, every_us, until_us.min(context.plan.span_us))?;
            context.meter.add_frames(1);
        }
    }
    context.check()?;
    sprite.finish(file)
}

/// A sprite being made.
struct Sprite {
    folder: PathBuf,
    sheet: Sheet,
    /// The number of the sheet, from 1.
    sheets: u32,
    stills: u64,
    index: String,
}

impl Sprite {
    /// Adds the next still, which stands for what is shown until `until_us`.
    fn add(&mut self, still: Video, every_us: u64, until_us: u64) -> Result<(), Failure> {
        if self.sheet.is_full() {
            self.write_sheet()?;
            self.sheets += 1;
        }
        let (width, height) = (still.width(), still.height());
        let (x, y) = self.sheet.add(still);
        let from_us = every_us * self.stills;
        // Of a video whose length nobody knew, there is one still.
        let until_us = if until_us > from_us {
            until_us
        } else {
            from_us + every_us
        };
        let (from, until) = (timestamp(from_us), timestamp(until_us));
        let sheet = sheet_name(self.sheets);
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.index,
            "\n{from} --> {until}\n{sheet}#xywh={x},{y},{width},{height}"
        );
        self.stills += 1;
        Ok(())
    }

    fn write_sheet(&mut self) -> Result<(), Failure> {
        let file = sheet_name(self.sheets);
        write(&self.folder, &file, &self.sheet.take()?)
    }

    fn finish(mut self, file: &str) -> Result<Made, Failure> {
        if self.stills == 0 {
            return Err(nothing_decoded("the pictures"));
        }
        self.write_sheet()?;
        write(&self.folder, INDEX, self.index.as_bytes())?;
        Ok(Made {
            file: file.to_owned(),
            frames: self.stills,
            ..Made::default()
        })
    }
}

fn write(folder: &Path, file: &str, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(folder.join(file), bytes).map_err(|error| error::disk(file, &error))
}

pub(crate) fn sheet_name(number: u32) -> String {
    format!("sheet-{number}.jpg")
}

/// A time as WebVTT has it.
fn timestamp(us: u64) -> String {
    Timecode::from_us(us).to_string()
}
