//! Verification of a sprite: decodes its sheets and parses its WebVTT index.

use crate::engine::cancel::Cancel;
use crate::engine::error;
use crate::engine::ffi::frame;
use crate::engine::output::sprite::{INDEX, sheet_name};
use crate::engine::paths::output_path;
use crate::engine::video::image_decoder;
use domain::probe::Size;
use domain::protocol::SpriteFacts;
use domain::{Failure, Timecode};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Measures a sprite.
///
/// # Errors
/// [`domain::Code::OutputInvalid`] if the index cannot be parsed or a sheet cannot be decoded.
pub(crate) fn check_sprite(scratch: &Path, file: &str, cancel: &Cancel) -> Result<SpriteFacts, Failure> {
    let invalid = |what: &str| error::invalid_output(file, what);
    let directory = output_path(scratch, file)?;
    let index = fs::read_to_string(directory.join(INDEX));
    let index = index.map_err(|error| error::unreadable_output(file, &error, "the index cannot be read"))?;
    let cues = parse_cues(&index).ok_or_else(|| invalid("the index is not a WebVTT file with consecutive cues"))?;
    let mut sheets = Vec::new();
    for number in 1.. {
        cancel.check()?;
        let name = sheet_name(number);
        let bytes = match fs::read(directory.join(&name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(error::unreadable_output(file, &error, "a sheet cannot be read")),
        };
        let frame =
            image_decoder::decode_with("mjpeg", &bytes).map_err(|_| invalid(&format!("{name} cannot be decoded")))?;
        sheets.push((name, frame::frame_size(&frame::frame_format(&frame))));
        cancel.count_packet();
    }
    let cues_outside_sheet = cues.iter().filter(|cue| !cue.is_within(&sheets)).count();
    Ok(SpriteFacts {
        cues: cues.len() as u64,
        end_us: cues.last().map_or(0, |cue| cue.end.us()),
        cues_outside_sheet: cues_outside_sheet as u64,
        sheets: sheets.into_iter().map(|(_, size)| size).collect(),
    })
}

/// A cue of the index.
struct Cue<'a> {
    end: Timecode,
    sheet: &'a str,
    /// Left, top, width and height in pixels.
    rectangle: [u32; 4],
}

impl Cue<'_> {
    /// Returns `true` if the rectangle is not empty and inside of its sheet.
    fn is_within(&self, sheets: &[(String, Size)]) -> bool {
        let [x, y, width, height] = self.rectangle;
        let fits = |size: &Size| x.saturating_add(width) <= size.width_px && y.saturating_add(height) <= size.height_px;
        let sheet = sheets.iter().find(|(name, _)| name == self.sheet);
        width > 0 && height > 0 && sheet.is_some_and(|(_, size)| fits(size))
    }
}

/// Parses the cues of an index. `None` if it is not valid, or if a cue does not begin where the previous one ends.
fn parse_cues(index: &str) -> Option<Vec<Cue<'_>>> {
    let mut blocks = index.trim_end().split("\n\n");
    if blocks.next() != Some("WEBVTT") {
        return None;
    }
    let mut previous_end = Timecode::default();
    let cues = blocks.map(|block| {
        let (times, target) = block.split_once('\n')?;
        let (start, end) = times.split_once(" --> ")?;
        let (start, end) = (start.parse::<Timecode>().ok()?, end.parse::<Timecode>().ok()?);
        let (sheet, rectangle) = target.split_once("#xywh=")?;
        let rectangle: Result<Vec<u32>, _> = rectangle.split(',').map(str::parse).collect();
        let is_consecutive = start == std::mem::replace(&mut previous_end, end) && end > start;
        Some(Cue {
            end,
            sheet,
            rectangle: rectangle.ok()?.try_into().ok()?,
        })
        .filter(|_| is_consecutive)
    });
    cues.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "WEBVTT\n\n00:00:00.000 --> 00:00:10.000\nsheet-1.jpg#xywh=0,0,16,8\n\n\
        00:00:10.000 --> 00:00:12.500\nsheet-1.jpg#xywh=16,0,16,8\n";

    #[test]
    fn cues_are_consecutive_and_inside_of_their_sheets() {
        let sheet = |width_px| vec![("sheet-1.jpg".to_owned(), Size { width_px, height_px: 8 })];
        let found = parse_cues(INDEX).unwrap();
        let within = |width_px| found.iter().filter(|cue| cue.is_within(&sheet(width_px))).count();
        assert_eq!((found.len(), found[1].end.us()), (2, 12_500_000));
        assert_eq!((within(32), within(31), within(15)), (2, 1, 0));
        assert!(parse_cues(&INDEX.replace("10.000 --> 00:00:12", "10.001 --> 00:00:12")).is_none());
        assert!(parse_cues(&INDEX.replace("WEBVTT", "WEBVT")).is_none());
    }
}
