//! Decides if streams of the source can be copied instead of encoded. Copying is fast and lossless.
//!
//! A stream is copied if its packets fit the output and play everywhere without a change: the right codec, profile,
//! size, rate and timing, and no edit that changes frames or samples. A check returns `Err` with the first reason
//! against a copy; users see it in the report. In doubt, a stream is encoded.

mod profile;

use super::audio_source::AudioStream;
use super::{CopyPolicy, FrameLayout};
use crate::probe::{AudioFacts, Probe, VideoFacts};
use crate::recipe::{AudioCodec, AudioMode, Fps, Recipe, TrimMode, VideoCodec, VideoEncoding};
use crate::time::Rational;

/// Maximum distance between keyframes. Players seek to keyframes; with longer GOPs, seeking takes too long.
const MAX_GOP_US: u64 = 10_000_000;

/// Maximum bit rate in thousandths of a bit per pixel. Files of cameras exceed it and are worth encoding for the web.
/// It is 12.4 Mb/s for 1080p at 30 frames per second.
const MAX_MILLIBITS_PER_PIXEL: u64 = 200;

/// A bit rate in bits per second that is accepted for any frame size.
const ACCEPTED_BPS: u64 = 2_000_000;

/// Maximum difference between the ends of copied audio and of the video beside it, in microseconds.
const AUDIO_TOLERANCE_US: u64 = 40_000;

/// Demuxers with reliable video timestamps (prefixes of FFmpeg's names).
const VIDEO_CONTAINERS: [&str; 2] = ["mov,", "matroska,"];

/// Demuxers with reliable audio timestamps (prefixes of FFmpeg's names).
const AUDIO_CONTAINERS: [&str; 4] = ["mov,", "matroska,", "mp3", "ogg"];

/// The requirements of an output for its video stream.
pub(super) struct VideoTarget<'a> {
    pub(super) codec: VideoCodec,
    pub(super) encoding: &'a VideoEncoding,
    pub(super) layout: &'a FrameLayout,
    pub(super) fps: Rational,
    /// Set if the container can hide frames before the start.
    pub(super) has_edit_list: bool,
}

/// The requirements of an output for its audio stream.
#[derive(Clone, Copy)]
pub(super) struct AudioTarget {
    pub(super) codec: AudioCodec,
    /// Requested bits per second.
    pub(super) bitrate_bps: Option<u32>,
}

/// The video of the output that an audio track belongs to. `separate` is set if the two are in separate files.
#[derive(Clone, Copy)]
pub(super) enum AccompanyingVideo<'a> {
    Encoded {
        facts: &'a VideoFacts,
        separate: bool,
    },
    Copied {
        facts: &'a VideoFacts,
        separate: bool,
    },
    /// The output has audio only.
    Absent,
}

/// Checks if streams of a source can be copied for a recipe.
#[derive(Clone, Copy)]
pub(super) struct CopyCheck<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) probe: &'a Probe,
    pub(super) policy: CopyPolicy,
}

impl CopyCheck<'_> {
    /// Checks if the main video stream can be copied.
    ///
    /// # Errors
    /// The reason against a copy.
    pub(super) fn video(self, target: &VideoTarget<'_>) -> Result<(), String> {
        let Self { recipe, probe, .. } = self;
        let (stream, facts) = probe.main_video().ok_or("there is no video")?;
        self.whole_source()?;
        let codec = target.codec.ffmpeg_name();
        let coded_size = facts.coded_size();
        let layout = target.layout;
        let playable = profile::check_playable(target.codec, facts);
        let rules: [(bool, &dyn Fn() -> String); 15] = [
            (stream.codec == codec, &|| format!("{} is not {codec}", stream.codec)),
            (
                target.encoding.crf.is_none() && target.encoding.speed.is_none(),
                &|| "the recipe sets crf or speed".into(),
            ),
            (layout.watermark.is_none(), &|| "the recipe adds a watermark".into()),
            (facts.quarter_turns == 0 && !facts.mirrored, &|| {
                "metadata rotates or mirrors the video".into()
            }),
            (
                layout.canvas == coded_size && layout.scaled == coded_size && facts.display_size() == coded_size,
                &|| {
                    let (from, to) = (facts.display_size(), layout.canvas);
                    format!(
                        "{}x{} becomes {}x{}",
                        from.width_px, from.height_px, to.width_px, to.height_px
                    )
                },
            ),
            (facts.pixel_format == "yuv420p" && !facts.full_range, &|| {
                format!("{} is not 8-bit 4:2:0 in limited range", facts.pixel_format)
            }),
            (playable.is_ok(), &|| playable.clone().err().unwrap_or_default()),
            (!facts.hdr && !facts.interlaced, &|| {
                "the video is HDR or interlaced".into()
            }),
            (!facts.changes, &|| "its codec headers change within the stream".into()),
            (
                self.is_constant(facts, target.fps) && is_requested_fps(recipe, facts),
                &|| "the frame rate is variable or differs from the requested one".into(),
            ),
            (has_reliable_timestamps(probe, &VIDEO_CONTAINERS), &|| {
                format!("timestamps in {} are not reliable", probe.container)
            }),
            (
                facts.keyframes.is_none_or(|k| !k.hidden) || target.has_edit_list,
                &|| "an edit list hides its beginning, and the new container has none".into(),
            ),
            (facts.keyframes.is_some_and(|k| k.first && k.closed), &|| {
                "its GOPs are not known to be closed".into()
            }),
            (facts.keyframes.is_none_or(|k| k.longest_us <= MAX_GOP_US), &|| {
                "its keyframes are too far apart".into()
            }),
            (!exceeds_bitrate(facts, target.fps), &|| {
                format!("{} b/s is more than its size needs", facts.bitrate_bps.unwrap_or(0))
            }),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, reason)) => Err(reason()),
            None => Ok(()),
        }
    }

    /// Checks if an audio stream can be copied beside the video of the output.
    ///
    /// # Errors
    /// The reason against a copy.
    pub(super) fn audio(
        self,
        audio: AudioStream<'_>,
        target: AudioTarget,
        video: AccompanyingVideo<'_>,
    ) -> Result<(), String> {
        let Self { recipe, probe, policy } = self;
        let AudioStream { stream, facts } = audio;
        self.whole_source()?;
        if policy.excludes_audio() {
            return Err(
                "the first attempt to copy it found gaps, and many players play the audio after a gap too early"
                    .to_owned(),
            );
        }
        let codec = target.codec.ffmpeg_name();
        if stream.codec != codec {
            return Err(format!("{} is not {codec}", stream.codec));
        }
        if !facts.plain {
            return Err(format!("not every player supports this kind of {codec}"));
        }
        if target.bitrate_bps.is_some() {
            return Err("the recipe sets its bit rate".to_owned());
        }
        if recipe.audio.mode == AudioMode::Normalize {
            return Err("its loudness is normalized".to_owned());
        }
        if !has_reliable_timestamps(probe, &AUDIO_CONTAINERS) {
            return Err(format!("timestamps in {} are not reliable", probe.container));
        }
        if facts.channels > 2 {
            return Err(format!("{} channels become 2", facts.channels));
        }
        check_timing(recipe, facts, video)
    }

    /// Checks that the packets are valid and that no edit needs decoded frames or samples.
    ///
    /// # Errors
    /// The reason against a copy.
    fn whole_source(self) -> Result<(), String> {
        if self.policy == CopyPolicy::NoStream {
            return Err("the first attempt to copy it found damaged packets or changing headers".to_owned());
        }
        if let Some(trim) = &self.recipe.trim {
            let whole = trim
                .spans()
                .iter()
                .all(|span| span.start.unwrap_or_default().us() == 0 && span.end.is_none());
            if trim.mode == TrimMode::Exact && !(whole && trim.ranges.len() < 2) {
                return Err("the trim is exact".to_owned());
            }
        }
        let joined = self.recipe.bumper.as_ref().is_some_and(|bumper| {
            let clips = bumper.intro_task.is_some() || bumper.outro_task.is_some();
            clips || bumper.intro_ms > 0 || bumper.outro_ms > 0
        });
        if joined {
            return Err("a bumper is joined to it".to_owned());
        }
        Ok(())
    }

    /// Returns `true` if the stream has a constant frame rate, that of the plan: average and base rate differ from it
    /// by less than half a percent.
    fn is_constant(self, facts: &VideoFacts, fps: Rational) -> bool {
        let is_near =
            |rate: Option<Rational>| rate.is_some_and(|rate| (rate.as_f64() / fps.as_f64() - 1.0).abs() < 0.005);
        // The first attempt to copy the video compared the timestamps of all frames with the rate in the header.
        !self.policy.excludes_video() && is_near(facts.average_fps) && is_near(facts.base_fps)
    }
}

/// Returns `true` if the average frame rate is the one that the recipe requests, or it requests none. The tolerance
/// distinguishes 30 from 30000/1001.
fn is_requested_fps(recipe: &Recipe, facts: &VideoFacts) -> bool {
    let Some(Fps::Fixed(requested)) = recipe.frame.as_ref().map(|canvas| canvas.fps) else {
        return true;
    };
    let average = facts.average_fps.map_or(0.0, Rational::as_f64);
    (average / requested.as_f64() - 1.0).abs() < 0.000_5
}

/// Returns `true` if the timestamps of the source can be copied as they are.
fn has_reliable_timestamps(probe: &Probe, containers: &[&str]) -> bool {
    !probe.jumps && containers.iter().any(|name| probe.container.starts_with(name))
}

/// Returns `true` if the bit rate of the stream is higher than its frame size and rate need.
fn exceeds_bitrate(facts: &VideoFacts, fps: Rational) -> bool {
    let pixels = u64::from(facts.width_px) * u64::from(facts.height_px);
    let pixels_per_second = pixels * u64::from(fps.num) / u64::from(fps.den.max(1));
    let max_bps = (pixels_per_second * MAX_MILLIBITS_PER_PIXEL / 1_000).max(ACCEPTED_BPS);
    facts.bitrate_bps.is_some_and(|bps| bps > max_bps)
}

/// Checks that copied audio starts and ends with the video of the output.
///
/// # Errors
/// The reason against a copy.
fn check_timing(recipe: &Recipe, audio: &AudioFacts, video: AccompanyingVideo<'_>) -> Result<(), String> {
    use AccompanyingVideo::{Absent, Copied, Encoded};
    let is_fast_trim = recipe.trim.as_ref().is_some_and(|trim| trim.mode == TrimMode::Fast);
    match video {
        Encoded { facts, .. } if !ends_with(audio, facts).unwrap_or(false) => {
            Err("it is not known to end with the video".to_owned())
        }
        Copied { facts, separate: true } if !ends_with(audio, facts).unwrap_or(true) => {
            Err("it ends before or after the video".to_owned())
        }
        // Some players ignore the start time of the first fragment and would play the audio too early.
        Encoded { separate: true, .. } | Copied { separate: true, .. } if audio.start_us > AUDIO_TOLERANCE_US => {
            Err("it begins after the video".to_owned())
        }
        Encoded { .. } if recipe.trim.is_some() => Err("the trim is exact".to_owned()),
        Absent if is_fast_trim => Err("a trim of an audio file is exact".to_owned()),
        Encoded { .. } | Copied { .. } | Absent => Ok(()),
    }
}

/// Returns if the audio ends with the video; `None` if the durations of the streams are unknown.
fn ends_with(audio: &AudioFacts, video: &VideoFacts) -> Option<bool> {
    let (audio_us, video_us) = audio.duration_us.zip(video.duration_us)?;
    Some(audio_us.abs_diff(video_us) <= AUDIO_TOLERANCE_US)
}

#[cfg(test)]
mod tests;
