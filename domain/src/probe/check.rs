//! Limits of a probe that a client sends in place of a file (`POST /api/plan`). They exclude values that no file has
//! and that would overflow the arithmetic of the plan. A probe from the child needs no check, because its values are
//! measured.

use super::{Probe, Stream, StreamKind};
use crate::limits;
use crate::recipe_reader::{FieldError, FieldProblem};
use std::ops::RangeInclusive;

/// Maximum duration and timestamp: 1,000 hours.
const MAX_US: u64 = 1_000 * 3_600 * 1_000_000;
/// Maximum number of streams of all types.
const MAX_STREAMS: usize = limits::MAX_MEDIA_STREAMS + limits::MAX_OTHER_STREAMS;
/// Maximum length of a text in bytes.
const MAX_TEXT_BYTES: usize = 100;

impl Probe {
    /// Checks the values of all fields.
    ///
    /// # Errors
    /// The path of the first field that is not accepted.
    pub fn check(&self) -> Result<(), FieldError> {
        check_text("container", &self.container)?;
        within("bytes", self.bytes, 0..=1 << 50)?;
        within("duration_us", self.duration_us, 0..=MAX_US)?;
        within("start_us", self.start_us.unsigned_abs(), 0..=MAX_US)?;
        within("origin_us", self.origin_us.unwrap_or(0).unsigned_abs(), 0..=MAX_US)?;
        within("streams", self.streams.len() as u64, 0..=MAX_STREAMS as u64)?;
        let mut streams = self.streams.iter().enumerate();
        streams.try_for_each(|(index, stream)| check_stream(index, stream))
    }
}

fn check_stream(index: usize, stream: &Stream) -> Result<(), FieldError> {
    let at = |field: &str| format!("streams[{index}].{field}");
    within(&at("index"), stream.index as u64, index as u64..=index as u64)?;
    check_text(&at("codec"), &stream.codec)?;
    check_text(&at("language"), stream.language.as_deref().unwrap_or_default())?;
    match &stream.kind {
        StreamKind::Video(facts) => {
            let at = |field: &str| at(&format!("kind.video.{field}"));
            within(&at("width_px"), facts.width_px.into(), 1..=65_536)?;
            within(&at("height_px"), facts.height_px.into(), 1..=65_536)?;
            within(&at("sample_aspect"), facts.sample_aspect.num.into(), 1..=65_536)?;
            within(&at("sample_aspect"), facts.sample_aspect.den.into(), 1..=65_536)?;
            within(&at("quarter_turns"), facts.quarter_turns.into(), 0..=3)?;
            within(&at("bit_depth"), facts.bit_depth.into(), 1..=32)?;
            check_text(&at("pixel_format"), &facts.pixel_format)?;
            within(&at("bitrate_bps"), facts.bitrate_bps.unwrap_or_default(), 0..=1 << 40)?;
            let longest_us = facts.keyframes.map_or(0, |keyframes| keyframes.longest_us);
            within(&at("keyframes.longest_us"), longest_us, 0..=MAX_US)?;
            within(&at("start_us"), facts.start_us, 0..=MAX_US)?;
            within(&at("frames"), facts.frames.unwrap_or_default(), 0..=1 << 40)?;
            within(&at("duration_us"), facts.duration_us.unwrap_or_default(), 0..=MAX_US)
        }
        StreamKind::Audio(facts) => {
            let at = |field: &str| at(&format!("kind.audio.{field}"));
            within(&at("sample_rate_hz"), facts.sample_rate_hz.into(), 1..=768_000)?;
            within(&at("channels"), facts.channels.into(), 1..=64)?;
            within(&at("start_us"), facts.start_us, 0..=MAX_US)?;
            within(&at("bitrate_bps"), facts.bitrate_bps.unwrap_or_default(), 0..=1 << 40)?;
            within(&at("duration_us"), facts.duration_us.unwrap_or_default(), 0..=MAX_US)
        }
        StreamKind::CoverArt | StreamKind::Subtitle | StreamKind::Data | StreamKind::Attachment => Ok(()),
    }
}

fn within(field: &str, value: u64, accepted: RangeInclusive<u64>) -> Result<(), FieldError> {
    let detail = || format!("{value}; accepted: {} to {}", accepted.start(), accepted.end());
    ensure(accepted.contains(&value), field, detail)
}

fn check_text(field: &str, value: &str) -> Result<(), FieldError> {
    let is_line = value.len() <= MAX_TEXT_BYTES && !value.contains(char::is_control);
    ensure(is_line, field, || {
        format!("accepted: one line of up to {MAX_TEXT_BYTES} bytes")
    })
}

fn ensure(is_valid: bool, field: &str, detail: impl FnOnce() -> String) -> Result<(), FieldError> {
    let error = || FieldError {
        field: field.to_owned(),
        problem: FieldProblem::Invalid(detail()),
    };
    is_valid.then_some(()).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::plan::{Clips, CopyPolicy, estimate, plan, predict};
    use crate::probe::{AudioFacts, VideoFacts};
    use crate::time::Rational;
    use proptest::prelude::*;

    fn probe_of(sides: (u32, u32), aspect: (u32, u32), fps: (u32, u32), us: u64) -> Probe {
        let video = VideoFacts {
            width_px: sides.0,
            height_px: sides.1,
            sample_aspect: Rational::new(aspect.0, aspect.1).unwrap(),
            quarter_turns: u8::try_from(us % 4).unwrap(),
            mirrored: false,
            average_fps: Rational::new(fps.0, fps.1),
            base_fps: Rational::new(fps.1, fps.0),
            regular_fps: None,
            pixel_format: "yuv420p".to_owned(),
            bit_depth: 8,
            hdr: us % 2 == 1,
            interlaced: us % 3 == 1,
            duration_us: Some(us),
            start_us: 0,
            frames: None,
            full_range: false,
            bitrate_bps: Some(1 << 40),
            dolby_only: false,
            spatial: None,
            changes: false,
            profile: None,
            level: None,
            keyframes: None,
        };
        let audio = AudioFacts {
            sample_rate_hz: 1,
            channels: 64,
            duration_us: None,
            start_us: 0,
            bitrate_bps: None,
            plain: true,
        };
        let stream = |index, codec: &str, kind| Stream {
            index,
            codec: codec.to_owned(),
            decodable: true,
            default: true,
            language: None,
            kind,
        };
        Probe {
            origin_us: None,
            jumps: false,
            container: "mov".to_owned(),
            bytes: 1 << 50,
            duration_us: us,
            start_us: -1,
            streams: vec![
                stream(0, "h264", StreamKind::Video(video)),
                stream(1, "aac", StreamKind::Audio(audio)),
            ],
        }
    }

    proptest! {
        #[test]
        fn a_checked_probe_is_planned_or_rejected_without_a_panic(
            sides in (1_u32..=65_536, 1_u32..=65_536),
            aspect in (1_u32..=65_536, 1_u32..=65_536),
            fps in (1_u32.., 1_u32..),
            us in 0_u64..=MAX_US,
        ) {
            let probe = probe_of(sides, aspect, fps, us);
            prop_assert!(probe.check().is_ok());
            let limits = Limits { max_duration_us: u64::MAX, max_pixels: u64::MAX, ..Limits::default() };
            for preset in crate::preset::built_in() {
                let copies = CopyPolicy::default();
                if let Ok(plan) = plan(&preset.recipe, &probe, Clips::default(), &limits, copies) {
                    let (_, predicted) = predict(&plan, &probe, 2);
                    prop_assert!(estimate(predicted, &[]).cpu_s.high.is_finite());
                }
            }
        }
    }

    #[test]
    fn an_impossible_value_is_rejected_with_its_path() {
        type Change = fn(&mut Probe);
        let cases: [(Change, &str); 5] = [
            (|probe| probe.duration_us = u64::MAX, "duration_us"),
            (|probe| probe.start_us = i64::MIN, "start_us"),
            (|probe| probe.streams[1].index = 7, "streams[1].index"),
            (|probe| probe.streams[0].codec = "x".repeat(101), "streams[0].codec"),
            (
                |probe| {
                    if let StreamKind::Video(facts) = &mut probe.streams[0].kind {
                        facts.width_px = 0;
                    }
                },
                "streams[0].kind.video.width_px",
            ),
        ];
        for (change, field) in cases {
            let mut probe = probe_of((640, 360), (1, 1), (25, 1), 1_000_000);
            change(&mut probe);
            assert_eq!(probe.check().unwrap_err().field, field);
        }
    }
}
