//! Bounds of facts that a client tells instead of a file. What the child reads needs no check: it is measured.

use super::{Probe, Stream, StreamKind};
use crate::limits;
use crate::recipe_reader::{FieldError, FieldProblem};
use std::ops::RangeInclusive;

/// 1,000 hours.
const LONGEST_US: u64 = 1_000 * 3_600 * 1_000_000;
const MOST_STREAMS: usize = limits::MOST_STREAMS + limits::MOST_OTHER_STREAMS;
const LONGEST_TEXT: usize = 100;

impl Probe {
    /// # Errors
    /// The first fact that no file can have, by its path.
    pub fn check(&self) -> Result<(), FieldError> {
        text("container", &self.container)?;
        within("bytes", self.bytes, 0..=1 << 50)?;
        within("duration_us", self.duration_us, 0..=LONGEST_US)?;
        within("start_us", self.start_us.unsigned_abs(), 0..=LONGEST_US)?;
        within("origin_us", self.origin_us.unwrap_or(0).unsigned_abs(), 0..=LONGEST_US)?;
        within("streams", self.streams.len() as u64, 0..=MOST_STREAMS as u64)?;
        let mut streams = self.streams.iter().enumerate();
        streams.try_for_each(|(place, stream)| check_stream(place, stream))
    }
}

fn check_stream(place: usize, stream: &Stream) -> Result<(), FieldError> {
    let at = |field: &str| format!("streams[{place}].{field}");
    within(&at("index"), stream.index as u64, place as u64..=place as u64)?;
    text(&at("codec"), &stream.codec)?;
    text(&at("language"), stream.language.as_deref().unwrap_or_default())?;
    match &stream.kind {
        StreamKind::Video(facts) => {
            let at = |field: &str| at(&format!("kind.video.{field}"));
            within(&at("width_px"), facts.width_px.into(), 1..=65_536)?;
            within(&at("height_px"), facts.height_px.into(), 1..=65_536)?;
            within(&at("sample_aspect"), facts.sample_aspect.num.into(), 1..=65_536)?;
            within(&at("sample_aspect"), facts.sample_aspect.den.into(), 1..=65_536)?;
            within(&at("quarter_turns"), facts.quarter_turns.into(), 0..=3)?;
            within(&at("bit_depth"), facts.bit_depth.into(), 1..=32)?;
            text(&at("pixel_format"), &facts.pixel_format)?;
            within(&at("bitrate_bps"), facts.bitrate_bps.unwrap_or_default(), 0..=1 << 40)?;
            let longest = facts.keyframes.map_or(0, |keyframes| keyframes.longest_us);
            within(&at("keyframes.longest_us"), longest, 0..=LONGEST_US)?;
            within(&at("start_us"), facts.start_us, 0..=LONGEST_US)?;
            within(&at("frames"), facts.frames.unwrap_or_default(), 0..=1 << 40)?;
            within(
                &at("duration_us"),
                facts.duration_us.unwrap_or_default(),
                0..=LONGEST_US,
            )
        }
        StreamKind::Audio(facts) => {
            let at = |field: &str| at(&format!("kind.audio.{field}"));
            within(&at("sample_rate_hz"), facts.sample_rate_hz.into(), 1..=768_000)?;
            within(&at("channels"), facts.channels.into(), 1..=64)?;
            within(&at("start_us"), facts.start_us, 0..=LONGEST_US)?;
            within(&at("bitrate_bps"), facts.bitrate_bps.unwrap_or_default(), 0..=1 << 40)?;
            within(
                &at("duration_us"),
                facts.duration_us.unwrap_or_default(),
                0..=LONGEST_US,
            )
        }
        StreamKind::CoverArt | StreamKind::Subtitle | StreamKind::Data | StreamKind::Attachment => Ok(()),
    }
}

fn within(field: &str, value: u64, accepted: RangeInclusive<u64>) -> Result<(), FieldError> {
    let why = || format!("{value}; accepted: {} to {}", accepted.start(), accepted.end());
    refuse(accepted.contains(&value), field, why)
}

fn text(field: &str, value: &str) -> Result<(), FieldError> {
    let plain = value.len() <= LONGEST_TEXT && !value.contains(char::is_control);
    refuse(plain, field, || {
        format!("accepted: up to {LONGEST_TEXT} bytes of one line")
    })
}

fn refuse(fits: bool, field: &str, why: impl FnOnce() -> String) -> Result<(), FieldError> {
    let error = || FieldError {
        field: field.to_owned(),
        problem: FieldProblem::Invalid(why()),
    };
    fits.then_some(()).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::plan::{Clips, estimate, plan, predict};
    use crate::probe::{AudioFacts, VideoFacts};
    use crate::time::Rational;
    use proptest::prelude::*;

    fn facts(sides: (u32, u32), aspect: (u32, u32), fps: (u32, u32), us: u64) -> Probe {
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
            unfit: None,
        }
    }

    proptest! {
        #[test]
        fn facts_within_bounds_are_planned_or_refused_whatever_they_are(
            sides in (1_u32..=65_536, 1_u32..=65_536),
            aspect in (1_u32..=65_536, 1_u32..=65_536),
            fps in (1_u32.., 1_u32..),
            us in 0_u64..=LONGEST_US,
        ) {
            let probe = facts(sides, aspect, fps, us);
            prop_assert!(probe.check().is_ok());
            let limits = Limits { max_duration_us: u64::MAX, max_pixels: u64::MAX, ..Limits::default() };
            for preset in crate::preset::built_in() {
                if let Ok(plan) = plan(&preset.recipe, &probe, Clips::default(), &limits) {
                    let (_, predicted) = predict(&plan, &probe, 2);
                    prop_assert!(estimate(predicted, &[]).cpu_s.high.is_finite());
                }
            }
        }
    }

    #[test]
    fn a_fact_that_no_file_has_is_refused_by_its_path() {
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
            let mut probe = facts((640, 360), (1, 1), (25, 1), 1_000_000);
            change(&mut probe);
            assert_eq!(probe.check().unwrap_err().field, field);
        }
    }
}
