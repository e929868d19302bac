//! A sheet of stills, and its JPEG.

use crate::engine::encode::still_image;
use crate::engine::error;
use crate::engine::ffi::frame;
use domain::Failure;
use domain::plan::{SHEET_SIDE, sheet_rows};
use domain::probe::Size;
use domain::recipe::PosterFormat;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;

/// The stills of a sheet, row by row.
pub(crate) struct Sheet {
    still: Size,
    stills: Vec<Video>,
}

impl Sheet {
    pub(crate) const fn new(still: Size) -> Self {
        Self {
            still,
            stills: Vec::new(),
        }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.stills.len() as u64 >= (SHEET_SIDE * sheet_rows(self.still)) as u64
    }

    /// Adds a still of 4:2:0 in full range; returns where it will stand.
    pub(crate) fn add(&mut self, still: Video) -> (u32, u32) {
        let (x, y) = self.corner(u32::try_from(self.stills.len()).unwrap_or(u32::MAX));
        self.stills.push(still);
        (x, y)
    }

    fn corner(&self, place: u32) -> (u32, u32) {
        let Size { width_px, height_px } = self.still;
        (place % SHEET_SIDE * width_px, place / SHEET_SIDE * height_px)
    }

    /// The JPEG of the stills so far, as wide and as high as they need; the sheet is empty then.
    pub(crate) fn take(&mut self) -> Result<Vec<u8>, Failure> {
        let stills = std::mem::take(&mut self.stills);
        let count = u32::try_from(stills.len()).unwrap_or(u32::MAX);
        let (columns, rows) = (count.min(SHEET_SIDE), count.div_ceil(SHEET_SIDE));
        let Size { width_px, height_px } = self.still;
        let mut sheet = frame::new_video(Pixel::YUVJ420P, columns * width_px, rows * height_px)
            .map_err(|error| error::engine("sheet", error))?;
        for (plane, black) in [(0, 0), (1, 128), (2, 128)] {
            sheet.data_mut(plane).fill(black);
        }
        for (place, still) in (0..).zip(&stills) {
            self.draw(still, self.corner(place), &mut sheet);
        }
        let packet = still_image::encode_still(&sheet, PosterFormat::Jpeg)?;
        Ok(packet.data().unwrap_or_default().to_vec())
    }

    fn draw(&self, still: &Video, (x, y): (u32, u32), sheet: &mut Video) {
        for (plane, part) in [(0, 1), (1, 2), (2, 2)] {
            let of = |pixels: u32| usize::try_from(pixels / part).unwrap_or(0);
            let (x, y, width, height) = (of(x), of(y), of(self.still.width_px), of(self.still.height_px));
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
