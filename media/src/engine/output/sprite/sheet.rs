//! A sheet of thumbnails, encoded as one JPEG.

use crate::engine::encode::still_image;
use crate::engine::error;
use crate::engine::ffi::frame;
use domain::Failure;
use domain::plan::{SHEET_SIDE, sheet_rows};
use domain::probe::Size;
use domain::recipe::PosterFormat;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;

/// The thumbnails of a sheet, row by row. All have the same size.
pub(crate) struct Sheet {
    still_size: Size,
    stills: Vec<Video>,
}

/// The top left corner of a thumbnail in its sheet, in pixels.
#[derive(Clone, Copy)]
pub(crate) struct Position {
    pub(crate) x_px: u32,
    pub(crate) y_px: u32,
}

impl Sheet {
    pub(crate) const fn new(still_size: Size) -> Self {
        Self {
            still_size,
            stills: Vec::new(),
        }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.stills.len() as u64 >= (SHEET_SIDE * sheet_rows(self.still_size)) as u64
    }

    /// Adds a thumbnail (4:2:0, full range). Returns its position in the sheet.
    pub(crate) fn add(&mut self, still: Video) -> Position {
        let position = self.position(u32::try_from(self.stills.len()).unwrap_or(u32::MAX));
        self.stills.push(still);
        position
    }

    fn position(&self, index: u32) -> Position {
        let Size { width_px, height_px } = self.still_size;
        Position {
            x_px: index % SHEET_SIDE * width_px,
            y_px: index / SHEET_SIDE * height_px,
        }
    }

    /// Encodes the thumbnails so far as a JPEG, which is no larger than they need. Empties the sheet.
    pub(crate) fn take_jpeg(&mut self) -> Result<Vec<u8>, Failure> {
        let stills = std::mem::take(&mut self.stills);
        let count = u32::try_from(stills.len()).unwrap_or(u32::MAX);
        let (columns, rows) = (count.min(SHEET_SIDE), count.div_ceil(SHEET_SIDE));
        let Size { width_px, height_px } = self.still_size;
        let mut sheet = frame::new_video(Pixel::YUVJ420P, columns * width_px, rows * height_px)
            .map_err(|error| error::engine_failure("sprite sheet", error))?;
        // The last row may be incomplete; its rest stays black.
        for (plane, black) in [(0, 0), (1, 128), (2, 128)] {
            sheet.data_mut(plane).fill(black);
        }
        for (index, still) in (0..).zip(&stills) {
            self.copy_pixels(still, self.position(index), &mut sheet);
        }
        let packet = still_image::encode_still(&sheet, PosterFormat::Jpeg)?;
        Ok(packet.data().unwrap_or_default().to_vec())
    }

    fn copy_pixels(&self, still: &Video, position: Position, sheet: &mut Video) {
        // Chroma planes of 4:2:0 have half the width and height.
        for (plane, subsampling) in [(0, 1), (1, 2), (2, 2)] {
            let samples = |pixels: u32| usize::try_from(pixels / subsampling).unwrap_or(0);
            let (x, y) = (samples(position.x_px), samples(position.y_px));
            let (width, height) = (samples(self.still_size.width_px), samples(self.still_size.height_px));
            let (from_stride, to_stride) = (still.stride(plane).max(1), sheet.stride(plane).max(1));
            let from = still.data(plane).chunks(from_stride).take(height);
            let to = sheet.data_mut(plane).chunks_mut(to_stride).skip(y);
            for (from, to) in from.zip(to) {
                if let (Some(from), Some(to)) = (from.get(..width), to.get_mut(x..x + width)) {
                    to.copy_from_slice(from);
                }
            }
        }
    }
}
