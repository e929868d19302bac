//! Bounds of a recipe that its types alone do not hold. What one output may ask for is in [`outputs`].

mod outputs;

use super::FieldError;
use crate::recipe::{Bumper, Range, Recipe, Trim, TrimMode, Watermark};
use crate::time::Timecode;
use std::collections::HashSet;
use std::ops::RangeInclusive;

impl Recipe {
    /// Bounds that types alone do not hold.
    pub(super) fn check(&self) -> Result<(), FieldError> {
        if !(1..=12).contains(&self.outputs.len()) {
            return Err(FieldError::invalid(
                "outputs",
                format!("{} outputs; accepted: 1 to 12", self.outputs.len()),
            ));
        }
        self.trim.as_ref().map_or(Ok(()), check_trim)?;
        self.check_frame()?;
        self.bumper.as_ref().map_or(Ok(()), check_bumper)?;
        self.watermark.as_ref().map_or(Ok(()), check_watermark)?;
        if self.audio.stream.is_some() && self.audio.language.is_some() {
            return Err(FieldError::invalid(
                "audio.language",
                "accepted: one of stream and language",
            ));
        }
        self.outputs
            .iter()
            .enumerate()
            .try_for_each(|(place, output)| outputs::check(&format!("outputs[{place}]"), output))?;
        self.check_names()
    }

    fn check_frame(&self) -> Result<(), FieldError> {
        let Some(frame) = &self.frame else { return Ok(()) };
        let sides = [
            ("frame.max_width_px", frame.max_width_px),
            ("frame.max_height_px", frame.max_height_px),
            ("frame.max_short_side_px", frame.max_short_side_px),
        ];
        for (field, side) in sides {
            within(field, side.unwrap_or(16).into(), 16..=8_192)?;
        }
        if frame.upscale && sides.iter().all(|(_, side)| side.is_none()) {
            return Err(FieldError::invalid(
                "frame.upscale",
                "true; accepted: together with a largest side",
            ));
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), FieldError> {
        let mut seen = HashSet::new();
        for (place, output) in self.outputs.iter().enumerate() {
            if let Some(name) = output.name()
                && !seen.insert(name)
            {
                return Err(FieldError::invalid(
                    format!("outputs[{place}].name"),
                    format!("{name} stands twice"),
                ));
            }
        }
        Ok(())
    }
}

fn check_trim(trim: &Trim) -> Result<(), FieldError> {
    if trim.ranges.is_empty() {
        let only = Range {
            start: trim.start,
            end: trim.end,
        };
        return check_range("trim", &only);
    }
    if trim.start.is_some() || trim.end.is_some() || trim.ranges.len() > 50 {
        return Err(FieldError::invalid(
            "trim.ranges",
            "accepted: 1 to 50 of them, without start and end beside them",
        ));
    }
    if trim.mode == TrimMode::Fast && trim.ranges.len() > 1 {
        return Err(FieldError::invalid("trim.mode", "fast; accepted: with one span"));
    }
    let mut ranges = trim.ranges.iter().enumerate();
    ranges.try_for_each(|(place, range)| check_range(&format!("trim.ranges[{place}]"), range))
}

fn check_range(at: &str, range: &Range) -> Result<(), FieldError> {
    let start = range.start.unwrap_or_default();
    match range.end {
        Some(end) if end <= start => Err(FieldError::invalid(
            format!("{at}.end"),
            format!("{end}; accepted: after {start}"),
        )),
        _ => Ok(()),
    }
}

fn check_bumper(bumper: &Bumper) -> Result<(), FieldError> {
    let sides = [
        ("intro", bumper.intro_ms, bumper.intro_task),
        ("outro", bumper.outro_ms, bumper.outro_task),
    ];
    for (side, still_ms, task) in sides {
        within(&format!("bumper.{side}_ms"), still_ms, 0..=60_000)?;
        if still_ms > 0 && task.is_some() {
            return Err(FieldError::invalid(
                format!("bumper.{side}_task"),
                format!("accepted: without {side}_ms"),
            ));
        }
    }
    Ok(())
}

fn check_watermark(mark: &Watermark) -> Result<(), FieldError> {
    within("watermark.margin_px", mark.margin_px.into(), 0..=1_000)?;
    within("watermark.width_percent", mark.width_percent.into(), 1..=100)?;
    moment("watermark.start_ms", mark.start_ms)?;
    moment("watermark.end_ms", mark.end_ms)?;
    match (mark.start_ms.unwrap_or(0), mark.end_ms) {
        (start, Some(end)) if end <= start => Err(FieldError::invalid(
            "watermark.end_ms",
            format!("{end}; accepted: more than {start}"),
        )),
        _ => Ok(()),
    }
}

/// A moment in milliseconds: as late as a timecode can be.
fn moment(field: &str, at_ms: Option<u64>) -> Result<(), FieldError> {
    within(field, at_ms.unwrap_or(0), 0..=Timecode::MAX.ms())
}

fn within(field: &str, value: u64, accepted: RangeInclusive<u64>) -> Result<(), FieldError> {
    if accepted.contains(&value) {
        return Ok(());
    }
    Err(FieldError::invalid(
        field,
        format!("{value}; accepted: {} to {}", accepted.start(), accepted.end()),
    ))
}
