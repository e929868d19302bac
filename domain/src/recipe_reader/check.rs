//! Limits of a recipe that its types cannot express: numeric ranges and combinations of fields.

mod limits;
mod outputs;

use super::FieldError;
use crate::recipe::{BumperEdit, Canvas, Output, Recipe, Trim, TrimMode, TrimRange, WatermarkEdit};
use limits::{check_range, check_side, check_time_ms};
use std::collections::HashSet;

impl Recipe {
    /// Checks the edits and the outputs.
    ///
    /// # Errors
    /// The first field that is not accepted.
    pub(super) fn check(&self) -> Result<(), FieldError> {
        if !(1..=12).contains(&self.outputs.len()) {
            return Err(FieldError::invalid(
                "outputs",
                format!("{} outputs; accepted: 1 to 12", self.outputs.len()),
            ));
        }
        self.trim.as_ref().map_or(Ok(()), check_trim)?;
        self.frame.as_ref().map_or(Ok(()), check_canvas)?;
        self.bumper.as_ref().map_or(Ok(()), check_bumper)?;
        self.watermark.as_ref().map_or(Ok(()), check_watermark)?;
        if self.audio.stream.is_some() && self.audio.language.is_some() {
            return Err(FieldError::invalid(
                "audio.language",
                "accepted: one of stream and language",
            ));
        }
        let stream = self.audio.stream.unwrap_or_default();
        check_range("audio.stream", stream.into(), 0..=255)?;
        self.outputs
            .iter()
            .enumerate()
            .try_for_each(|(index, output)| outputs::check_output(&format!("outputs[{index}]"), output))?;
        check_unique_names(&self.outputs)?;
        self.check_destination()
    }

    /// Rejects a template that gives several files the same key.
    fn check_destination(&self) -> Result<(), FieldError> {
        match &self.destination {
            Some(destination) if !destination.url.is_unique_for(&self.outputs) => Err(FieldError::invalid(
                "destination.url",
                format!(
                    "{}; accepted: a key that ends with {{output}}.{{ext}}, unless there is one output that is one file",
                    destination.url
                ),
            )),
            _ => Ok(()),
        }
    }
}

fn check_canvas(canvas: &Canvas) -> Result<(), FieldError> {
    let sides = [
        ("frame.max_width_px", canvas.max_width_px),
        ("frame.max_height_px", canvas.max_height_px),
        ("frame.max_short_side_px", canvas.max_short_side_px),
    ];
    for (field, side) in sides {
        check_side(field, side)?;
    }
    if canvas.upscale && sides.iter().all(|(_, side)| side.is_none()) {
        return Err(FieldError::invalid(
            "frame.upscale",
            "true; accepted: together with a maximum side",
        ));
    }
    Ok(())
}

/// Rejects two outputs with the same name, because their files would have the same name.
fn check_unique_names(outputs: &[Output]) -> Result<(), FieldError> {
    let mut seen = HashSet::new();
    for (index, output) in outputs.iter().enumerate() {
        if let Some(name) = output.name()
            && !seen.insert(name)
        {
            return Err(FieldError::invalid(
                format!("outputs[{index}].name"),
                format!("{name} is given to two outputs; accepted: unique names"),
            ));
        }
    }
    Ok(())
}

fn check_trim(trim: &Trim) -> Result<(), FieldError> {
    if trim.ranges.is_empty() {
        let span = TrimRange {
            start: trim.start,
            end: trim.end,
        };
        return check_span("trim", &span);
    }
    if trim.start.is_some() || trim.end.is_some() || trim.ranges.len() > 50 {
        return Err(FieldError::invalid(
            "trim.ranges",
            "accepted: 1 to 50 of them, without start and end",
        ));
    }
    if trim.mode == TrimMode::Fast && trim.ranges.len() > 1 {
        return Err(FieldError::invalid("trim.mode", "fast; accepted: with one span"));
    }
    let mut ranges = trim.ranges.iter().enumerate();
    ranges.try_for_each(|(index, span)| check_span(&format!("trim.ranges[{index}]"), span))
}

/// Rejects a span that ends before it starts.
fn check_span(at: &str, span: &TrimRange) -> Result<(), FieldError> {
    let start = span.start.unwrap_or_default();
    match span.end {
        Some(end) if end <= start => Err(FieldError::invalid(
            format!("{at}.end"),
            format!("{end}; accepted: after {start}"),
        )),
        _ => Ok(()),
    }
}

fn check_bumper(bumper: &BumperEdit) -> Result<(), FieldError> {
    let bumpers = [
        ("intro", bumper.intro_ms, bumper.intro_task),
        ("outro", bumper.outro_ms, bumper.outro_task),
    ];
    for (name, still_ms, task) in bumpers {
        check_range(&format!("bumper.{name}_ms"), still_ms, 0..=60_000)?;
        if still_ms > 0 && task.is_some() {
            return Err(FieldError::invalid(
                format!("bumper.{name}_task"),
                format!("accepted: without {name}_ms"),
            ));
        }
    }
    Ok(())
}

fn check_watermark(watermark: &WatermarkEdit) -> Result<(), FieldError> {
    check_range("watermark.margin_px", watermark.margin_px.into(), 0..=1_000)?;
    check_range("watermark.width_percent", watermark.width_percent.into(), 1..=100)?;
    check_time_ms("watermark.start_ms", watermark.start_ms)?;
    check_time_ms("watermark.end_ms", watermark.end_ms)?;
    match (watermark.start_ms.unwrap_or(0), watermark.end_ms) {
        (start, Some(end)) if end <= start => Err(FieldError::invalid(
            "watermark.end_ms",
            format!("{end}; accepted: more than {start}"),
        )),
        _ => Ok(()),
    }
}
