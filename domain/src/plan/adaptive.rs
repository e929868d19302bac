//! The planning of adaptive streams.
//!
//! *Problem.* A player switches between rungs at segment borders, so the segments of all rungs must begin at the same
//! frames, each with a keyframe. Copying the largest rung saves most of the work, but its keyframes are where the
//! source has them.
//!
//! *Mechanism.* Each rung is planned as an encoded track with fixed GOPs of one segment. If the source can be copied as
//! the largest rung, its keyframes define the segment borders: a segment begins with the first keyframe at or after
//! each multiple of the segment duration. The encoder of the smaller rungs then begins GOPs at these borders only.
//!
//! *Invariants.* Only the first, largest rung can be a copy. A copied rung has a keyframe at least every segment
//! duration, so no segment is longer than twice that. Audio is a rendition of its own, shared by all rungs.

use super::copy::{AccompanyingVideo, AudioTarget};
use super::geometry::{Narrower, fit};
use super::output_planner::{OutputPlanner, frames_u32, step, video_track};
use super::{Content, Hls, Rung, Step, StreamAction, VideoEncode, ladder, language_tag};
use crate::recipe::{AudioCodec, HlsOutput, TrimMode, VideoCodec};
use std::time::Duration;

/// Streams whose starts or ends differ by at most this much start or end together.
const TOLERANCE_US: u64 = 50_000;

/// A rung that is not yet decided to be copied or encoded.
struct PlannedRung {
    short_side_px: u32,
    encode: VideoEncode,
}

impl OutputPlanner<'_> {
    pub(super) fn hls(&self, output: &HlsOutput, steps: &mut Vec<Step>) -> Content {
        let segment_us = output.segment_ms * 1_000;
        let audio = AudioTarget {
            codec: AudioCodec::Aac,
            bitrate_bps: output.audio.bitrate_bps,
        };
        let mut rungs = self.rungs(output);
        let copied = match rungs.as_slice() {
            [largest, smaller @ ..] => self.check_copied_rung(output, audio, &largest.encode, !smaller.is_empty()),
            [] => Err("there are no rungs".to_owned()),
        };
        let is_copy = copied.is_ok();
        match rungs.as_mut_slice() {
            [largest, smaller @ ..] if is_copy && !smaller.is_empty() => {
                // More frames than any segment has: GOPs end only at the borders of the copied segments.
                let gop_frames = frames_u32(self.fps, 2 * segment_us).saturating_add(2);
                smaller.iter_mut().for_each(|rung| rung.encode.gop_frames = gop_frames);
                let largest = format!("{}p is already what was asked", largest.short_side_px);
                steps.push(video_step(StreamAction::Copy, largest));
                let names: Vec<_> = smaller.iter().map(|rung| format!("{}p", rung.short_side_px)).collect();
                let smaller = format!("smaller than the source: {}", names.join(", "));
                steps.push(video_step(StreamAction::Transcode, smaller));
            }
            _ => steps.push(step("video", copied)),
        }
        let rungs = rungs.into_iter().enumerate().map(|(index, rung)| Rung {
            short_side_px: rung.short_side_px,
            video: video_track(rung.encode, is_copy && index == 0),
        });
        let rungs: Vec<_> = rungs.collect();
        let video = rungs.first().map_or(AccompanyingVideo::Absent, |largest| {
            self.accompanying(&largest.video, true)
        });
        let language = self.audio.and_then(|audio| audio.stream.language.as_deref());
        Content::Hls(Hls {
            audio: self.audio_track(audio, video, steps),
            language: language.map(language_tag::tag),
            rungs,
            segment_us,
            single_file: output.single_file,
        })
    }

    /// Plans the rungs as encoded tracks, largest first.
    fn rungs(&self, output: &HlsOutput) -> Vec<PlannedRung> {
        let canvas = self.recipe.frame.clone().unwrap_or_default();
        let size = fit(self.display_size(), &canvas, Narrower::default()).canvas;
        let rung = |short_side_px: u32| {
            let narrower = Narrower {
                max_short_side_px: Some(short_side_px),
                ..Narrower::default()
            };
            let mut encode = self.encode(&output.video, VideoCodec::H264, narrower);
            encode.fixed_gops = true;
            encode.gop_frames = frames_u32(self.fps, output.segment_ms * 1_000);
            encode.max_bitrate_bps = Some(ladder::max_bitrate_bps(encode.layout.canvas, self.fps));
            PlannedRung { short_side_px, encode }
        };
        ladder::short_sides(&output.ladder, size)
            .into_iter()
            .map(rung)
            .collect()
    }

    /// Checks if the largest rung can be a copy of the source, cut into segments at its keyframes.
    ///
    /// # Errors
    /// The reason against it.
    fn check_copied_rung(
        &self,
        output: &HlsOutput,
        audio: AudioTarget,
        encode: &VideoEncode,
        has_smaller_rungs: bool,
    ) -> Result<(), String> {
        self.check_copy(&output.video, encode, false)?;
        self.check_audio_start(audio, false)?;
        self.check_same_duration()?;
        let is_fast_trim = self
            .recipe
            .trim
            .as_ref()
            .is_some_and(|trim| trim.mode == TrimMode::Fast);
        if has_smaller_rungs && is_fast_trim {
            return Err("the smaller rungs are encoded and begin at the exact start".to_owned());
        }
        if has_smaller_rungs && self.frame_count_difference() >= 0.5 {
            return Err(
                "its frame rate is not exactly constant, but the smaller rungs are encoded at a constant rate"
                    .to_owned(),
            );
        }
        // A segment begins with the first keyframe at or after each multiple of the segment duration. If keyframes are
        // at most that far apart, no segment is longer than twice the duration.
        let keyframes = self.video.and_then(|facts| facts.keyframes);
        let longest_us = keyframes.map_or(u64::MAX, |keyframes| keyframes.longest_us);
        if longest_us > output.segment_ms * 1_000 + self.fps.duration_us(1) {
            let (apart_ms, segment_ms) = (longest_us / 1_000, output.segment_ms);
            return Err(format!(
                "its keyframes are up to {apart_ms} ms apart, for segments of {segment_ms} ms"
            ));
        }
        Ok(())
    }

    /// Checks that audio and video begin and end together. They are separate renditions, so neither can be padded with
    /// a repeated frame as in a single file.
    ///
    /// # Errors
    /// The reason against a copy.
    fn check_same_duration(&self) -> Result<(), String> {
        let (Some(video), Some(audio)) = (self.video, self.audio) else {
            return Ok(());
        };
        if video.start_us > TOLERANCE_US {
            return Err("its audio begins before its video".to_owned());
        }
        let ends = audio.facts.duration_us.zip(video.duration_us);
        if ends.is_some_and(|(audio_us, video_us)| audio_us > video_us + TOLERANCE_US) {
            return Err("its audio continues after its video".to_owned());
        }
        Ok(())
    }

    /// Returns by how many frames the source differs from the constant frame rate of the plan over its whole duration.
    fn frame_count_difference(&self) -> f64 {
        let average = self.video.and_then(|facts| facts.average_fps).unwrap_or(self.fps);
        let seconds = Duration::from_micros(self.span_us).as_secs_f64();
        ((average.as_f64() - self.fps.as_f64()) * seconds).abs()
    }
}

/// Returns a step for some of the rungs.
fn video_step(action: StreamAction, reason: String) -> Step {
    Step {
        stream: "video".to_owned(),
        action,
        reason,
    }
}
