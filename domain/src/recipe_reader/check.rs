//! Bounds of a recipe that its types alone do not hold.

use super::FieldError;
use crate::recipe::{Output, Recipe};
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
        self.check_trim()?;
        self.check_frame()?;
        if let Some(bumper) = &self.bumper {
            within("bumper.intro_ms", bumper.intro_ms, 0..=60_000)?;
            within("bumper.outro_ms", bumper.outro_ms, 0..=60_000)?;
            known_image("bumper.image", bumper.image.as_str())?;
        }
        if let Some(mark) = &self.watermark {
            within("watermark.margin_px", mark.margin_px.into(), 0..=1_000)?;
            within("watermark.width_percent", mark.width_percent.into(), 1..=100)?;
            known_image("watermark.image", mark.image.as_str())?;
            if let (start, Some(end)) = (mark.start_ms.unwrap_or(0), mark.end_ms)
                && end <= start
            {
                return Err(FieldError::invalid(
                    "watermark.end_ms",
                    format!("{end}; accepted: more than {start}"),
                ));
            }
        }
        self.outputs
            .iter()
            .enumerate()
            .try_for_each(|(place, output)| check_output(place, output))?;
        self.check_names()
    }

    fn check_trim(&self) -> Result<(), FieldError> {
        let Some(trim) = &self.trim else { return Ok(()) };
        let start = trim.start.unwrap_or_default();
        match trim.end {
            Some(end) if end <= start => Err(FieldError::invalid(
                "trim.end",
                format!("{end}; accepted: after {start}"),
            )),
            _ => Ok(()),
        }
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

fn check_output(place: usize, output: &Output) -> Result<(), FieldError> {
    let at = |field: &str| format!("outputs[{place}].{field}");
    let (bitrate, sides) = match output {
        Output::Mp4(mp4) => {
            within(&at("video.crf"), mp4.video.crf.into(), 0..=51)?;
            let sides = vec![("max_width_px", mp4.max_width_px), ("max_height_px", mp4.max_height_px)];
            (Some(("audio.bitrate_bps", mp4.audio.bitrate_bps)), sides)
        }
        Output::Audio(audio) => (Some(("bitrate_bps", audio.bitrate_bps)), Vec::new()),
        Output::Poster(poster) => (None, vec![("width_px", poster.width_px)]),
    };
    if let Some((field, value)) = bitrate {
        within(&at(field), value.into(), 32_000..=512_000)?;
    }
    sides
        .into_iter()
        .try_for_each(|(field, side)| within(&at(field), side.unwrap_or(16).into(), 16..=8_192))
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

fn known_image(field: &str, name: &str) -> Result<(), FieldError> {
    if name == "logo" {
        Ok(())
    } else {
        Err(FieldError::invalid(field, format!("{name}; accepted: logo")))
    }
}
