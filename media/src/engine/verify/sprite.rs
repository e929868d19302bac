//! Verifies a finished sprite: decodes its sheets and reads its index.

use crate::engine::cancel::Cancel;
use crate::engine::error;
use crate::engine::ffi::frame;
use crate::engine::output::sprite::{INDEX, sheet_name};
use crate::engine::paths::output_path;
use crate::engine::video::image_decoder;
use domain::probe::Size;
use domain::protocol::CheckedSprite;
use domain::{Failure, Timecode};
use std::fs;
use std::path::Path;

/// Reads what a player would find.
///
/// # Errors
/// [`domain::Code::OutputInvalid`] when the index or a sheet cannot be read.
pub(crate) fn check_sprite(scratch: &Path, file: &str, cancel: &Cancel) -> Result<CheckedSprite, Failure> {
    let invalid = |what: &str| error::invalid_output(file, what);
    let folder = output_path(scratch, file)?;
    let index = fs::read_to_string(folder.join(INDEX)).map_err(|_| invalid("the index cannot be read"))?;
    let cues = cues(&index).ok_or_else(|| invalid("the index is not as it should be"))?;
    let mut sheets = Vec::new();
    for number in 1.. {
        cancel.check()?;
        let name = sheet_name(number);
        let Ok(bytes) = fs::read(folder.join(&name)) else {
            break;
        };
        let frame = image_decoder::decoded("mjpeg", &bytes).map_err(|_| invalid(&format!("{name} does not decode")))?;
        sheets.push((name, frame::frame_size(&frame::shape(&frame))));
        cancel.count();
    }
    let astray = cues.iter().filter(|cue| !cue.is_within(&sheets)).count();
    Ok(CheckedSprite {
        cues: cues.len() as u64,
        end_us: cues.last().map_or(0, |cue| cue.until.us()),
        astray: astray as u64,
        sheets: sheets.into_iter().map(|(_, size)| size).collect(),
    })
}

/// An entry of the index.
struct Cue<'a> {
    until: Timecode,
    sheet: &'a str,
    /// Left, top, width and height in pixels.
    place: [u32; 4],
}

impl Cue<'_> {
    fn is_within(&self, sheets: &[(String, Size)]) -> bool {
        let [x, y, width, height] = self.place;
        let fits = |size: &Size| x.saturating_add(width) <= size.width_px && y.saturating_add(height) <= size.height_px;
        let sheet = sheets.iter().find(|(name, _)| name == self.sheet);
        width > 0 && height > 0 && sheet.is_some_and(|(_, size)| fits(size))
    }
}

/// The entries of an index, each of which begins where the one before ends; `None` when it is none.
fn cues(index: &str) -> Option<Vec<Cue<'_>>> {
    let mut blocks = index.trim_end().split("\n\n");
    if blocks.next() != Some("WEBVTT") {
        return None;
    }
    let mut reached = Timecode::default();
    let cues = blocks.map(|block| {
        let (times, target) = block.split_once('\n')?;
        let (from, until) = times.split_once(" --> ")?;
        let (from, until) = (from.parse::<Timecode>().ok()?, until.parse::<Timecode>().ok()?);
        let (sheet, place) = target.split_once("#xywh=")?;
        let place: Result<Vec<u32>, _> = place.split(',').map(str::parse).collect();
        let follows = from == std::mem::replace(&mut reached, until) && until > from;
        Some(Cue {
            until,
            sheet,
            place: place.ok()?.try_into().ok()?,
        })
        .filter(|_| follows)
    });
    cues.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "WEBVTT\n\n00:00:00.000 --> 00:00:10.000\nsheet-1.jpg#xywh=0,0,16,8\n\n\
        00:00:10.000 --> 00:00:12.500\nsheet-1.jpg#xywh=16,0,16,8\n";

    #[test]
    fn an_index_has_no_gaps_and_points_into_its_sheets() {
        let sheet = |width_px| vec![("sheet-1.jpg".to_owned(), Size { width_px, height_px: 8 })];
        let found = cues(INDEX).unwrap();
        let within = |width_px| found.iter().filter(|cue| cue.is_within(&sheet(width_px))).count();
        assert_eq!((found.len(), found[1].until.us()), (2, 12_500_000));
        assert_eq!((within(32), within(31), within(15)), (2, 1, 0));
        assert!(cues(&INDEX.replace("10.000 --> 00:00:12", "10.001 --> 00:00:12")).is_none());
        assert!(cues(&INDEX.replace("WEBVTT", "WEBVT")).is_none());
    }
}
