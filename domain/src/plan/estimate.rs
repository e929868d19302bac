//! Estimates the cost of a task: CPU time, wall time and bytes.
//!
//! *Problem.* The cost depends on codecs, sizes and the machine. A model without measurements is wrong by a factor of
//! three; measurements alone say nothing about a task of another size.
//!
//! *Mechanism.* [`predict`] is a model of the right order of magnitude: pixels times a constant for each codec and
//! speed. It also returns the class of the task: its codecs, speeds and kinds of outputs. For each finished task, the
//! prediction and the actual cost are stored under the class ([`CostSample`]). [`estimate`] multiplies a new prediction
//! with the quantiles of the ratios of actual to predicted cost in that class.

use super::cost_class::ClassWords;
use super::{AudioTrack, Content, Hls, Movie, Plan, VideoEncode, VideoTrack};
use crate::probe::{Probe, Size};
use crate::recipe::{AudioFormat, DEFAULT_AUDIO_BPS, Speed, VideoCodec};
use crate::time::Rational;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The cost of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// CPU seconds.
    pub cpu_s: f64,
    /// Wall time of the transcode in seconds.
    pub wall_s: f64,
    /// Total size of the outputs in bytes.
    pub bytes: f64,
}

/// The predicted and the actual cost of a finished task of this installation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostSample {
    /// The result of [`predict`].
    pub predicted: Cost,
    /// The measured cost.
    pub actual: Cost,
}

/// The estimated cost of a task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Estimate {
    /// CPU seconds.
    pub cpu_s: Interval,
    /// Seconds of work on an idle worker, without the time in the queue.
    pub wall_s: Interval,
    /// Total size of the outputs in bytes.
    pub bytes: Interval,
    /// Number of finished tasks that the estimate is based on; 0 if it comes from the model alone.
    pub learned_from: usize,
}

/// An interval that contains the cost of 80 % of the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Interval {
    /// The 10th percentile.
    pub low: f64,
    /// The median.
    pub likely: f64,
    /// The 90th percentile.
    pub high: f64,
}

/// Minimum number of finished tasks for percentiles.
const MIN_SAMPLES: usize = 5;

/// Factors for low, likely and high without enough finished tasks: from a third to three times.
const UNCERTAINTY: (f64, f64, f64) = (0.33, 1.0, 3.0);

/// The CPU time and size of a track or an output.
#[derive(Clone, Copy, Default)]
struct Work {
    cpu_s: f64,
    bytes: f64,
}

impl Work {
    fn plus(self, other: Self) -> Self {
        Self {
            cpu_s: self.cpu_s + other.cpu_s,
            bytes: self.bytes + other.bytes,
        }
    }

    /// Adds an audio track of `bps` bits per second; 0 if there is none.
    fn plus_audio(self, bps: f64, seconds: f64) -> Self {
        self.plus(Self {
            cpu_s: if bps > 0.0 { seconds * 0.008 } else { 0.0 },
            bytes: seconds * bps / 8.0,
        })
    }
}

/// Returns the class of a task and the cost that the model predicts for it.
#[must_use]
pub fn predict(plan: &Plan, probe: &Probe, cores: u32) -> (String, Cost) {
    let mut class = ClassWords::default();
    let mut total = Work::default();
    for output in &plan.outputs {
        total = total.plus(output_work(&output.content, plan, probe, &mut class));
        class.add_kind(output.content.kind());
    }
    if plan.outputs.iter().any(|output| decodes_video(&output.content)) {
        total.cpu_s += decode_s(plan, probe);
    }
    let cost = Cost {
        cpu_s: total.cpu_s,
        wall_s: 0.05 + total.cpu_s / f64::from(cores.max(1)),
        bytes: total.bytes,
    };
    (class.into_key(), cost)
}

/// Returns `true` if an output decodes the whole video. Posters and sprites decode single frames; their constants
/// include that.
fn decodes_video(content: &Content) -> bool {
    match content {
        Content::Movie(movie) => !movie.video.is_copy(),
        Content::Hls(hls) => hls.rungs.iter().any(|rung| !rung.video.is_copy()),
        Content::Gif { .. } => true,
        Content::Audio { .. } | Content::Poster { .. } | Content::Sprite { .. } => false,
    }
}

/// Predicts the work of an output, without decoding the source, and adds the words of its tracks to the class.
fn output_work(content: &Content, plan: &Plan, probe: &Probe, class: &mut ClassWords) -> Work {
    let seconds = plan.span_us as f64 / 1e6;
    match content {
        Content::Movie(Movie { video, audio, .. }) => {
            video_work(video, plan, probe, class).plus_audio(audio_bps(audio.as_ref()), seconds)
        }
        Content::Hls(Hls { rungs, audio, .. }) => {
            let rungs = rungs.iter().map(|rung| video_work(&rung.video, plan, probe, class));
            let video = rungs.fold(Work::default(), Work::plus);
            video.plus_audio(audio_bps(audio.as_ref()), seconds)
        }
        Content::Audio { format, audio } => {
            class.add_audio_file(*format);
            let cpu_per_second = if *format == AudioFormat::M4a { 0.008 } else { 0.012 };
            Work {
                cpu_s: seconds * cpu_per_second,
                bytes: seconds * audio_bps(Some(audio)) / 8.0,
            }
        }
        Content::Gif {
            layout,
            fps,
            start_us,
            end_us,
        } => {
            let gif_s = end_us.saturating_sub(*start_us) as f64 / 1e6;
            let megapixels = megapixels(layout.canvas) * gif_s * fps.as_f64();
            Work {
                cpu_s: megapixels * 0.1,
                bytes: megapixels * 400_000.0,
            }
        }
        Content::Poster { layout, .. } => Work {
            cpu_s: 0.1,
            bytes: megapixels(layout.canvas) * 120_000.0,
        },
        Content::Sprite { layout, count, .. } => {
            let megapixels = megapixels(layout.canvas) * *count as f64;
            Work {
                cpu_s: megapixels * 0.5 + *count as f64 * 0.02,
                bytes: megapixels * 150_000.0,
            }
        }
    }
}

/// Estimates a cost from a prediction and the finished tasks of the same class.
#[must_use]
pub fn estimate(predicted: Cost, history: &[CostSample]) -> Estimate {
    let interval_of = |value: fn(&Cost) -> f64| {
        let ratios = history
            .iter()
            .map(|sample| value(&sample.actual) / value(&sample.predicted))
            .filter(|ratio| ratio.is_finite() && *ratio > 0.0);
        interval(value(&predicted), ratios.collect())
    };
    Estimate {
        cpu_s: interval_of(|cost| cost.cpu_s),
        wall_s: interval_of(|cost| cost.wall_s),
        bytes: interval_of(|cost| cost.bytes),
        learned_from: history.len(),
    }
}

/// Scales a prediction by the quantiles of the ratios of actual to predicted values.
fn interval(predicted: f64, mut ratios: Vec<f64>) -> Interval {
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| quantile(&ratios, share);
    let (low, likely, high) = match ratios.len() {
        0 => UNCERTAINTY,
        few if few < MIN_SAMPLES => (at(0.5) * UNCERTAINTY.0, at(0.5), at(0.5) * UNCERTAINTY.2),
        _ => (at(0.1), at(0.5), at(0.9)),
    };
    Interval {
        low: three_digits(predicted * low),
        likely: three_digits(predicted * likely),
        high: three_digits(predicted * high),
    }
}

/// Rounds to three significant digits; more would suggest a precision that an estimate does not have.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// Returns a quantile of sorted values, interpolated linearly; 1 if there are no values.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into the list"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * sorted.len().saturating_sub(1) as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    match (sorted.get(below), sorted.get(above)) {
        (Some(low), Some(high)) => low + (high - low) * position.fract(),
        _ => 1.0,
    }
}

/// Returns the bit rate of an audio track; 0 if there is none.
fn audio_bps(track: Option<&AudioTrack>) -> f64 {
    match track {
        Some(AudioTrack::Encode { bitrate_bps, .. }) => f64::from(*bitrate_bps),
        Some(AudioTrack::Copy { .. }) => f64::from(DEFAULT_AUDIO_BPS),
        None => 0.0,
    }
}

/// Predicts the work of a video track and adds its word to the class.
fn video_work(video: &VideoTrack, plan: &Plan, probe: &Probe, class: &mut ClassWords) -> Work {
    match video {
        VideoTrack::Copy { .. } => {
            class.add_video_copy();
            let share = plan.span_us as f64 / probe.duration_us.max(1) as f64;
            let bytes = probe.bytes as f64 * share.min(1.0);
            Work {
                cpu_s: 0.02 + bytes / 1e9,
                bytes,
            }
        }
        VideoTrack::Encode(encode) => {
            class.add_video_encoder(encode.codec, encode.speed);
            let megapixels = megapixels(encode.layout.canvas) * frames(plan.fps, plan.span_us);
            Work {
                cpu_s: megapixels * cpu_s_per_megapixel(encode),
                bytes: megapixels * bytes_per_megapixel(encode),
            }
        }
    }
}

/// CPU seconds for encoding a million pixels. The constants are rounded measurements on a machine of 2026.
fn cpu_s_per_megapixel(encode: &VideoEncode) -> f64 {
    let codec = match encode.codec {
        VideoCodec::H264 => 0.015,
        VideoCodec::H265 => 0.06,
        VideoCodec::Vp9 => 0.08,
        VideoCodec::Av1 => 0.05,
    };
    let speed = match encode.speed {
        Speed::Fastest => 0.25,
        Speed::Fast => 0.6,
        Speed::Balanced => 1.0,
        Speed::Good => 2.0,
        Speed::Best => 5.0,
    };
    codec * speed
}

/// Bytes of a million encoded pixels. They double when the constant rate factor falls by six (H.264), or by the same
/// part of its range in other codecs.
fn bytes_per_megapixel(encode: &VideoEncode) -> f64 {
    let below_default = f64::from(encode.codec.default_crf()) - f64::from(encode.crf);
    let doubling = f64::from(encode.codec.max_crf()) / 8.5;
    8_000.0 * (below_default / doubling).exp2()
}

/// CPU seconds for decoding the video of the source.
fn decode_s(plan: &Plan, probe: &Probe) -> f64 {
    let megapixels = probe
        .main_video()
        .map_or(0.0, |(_, facts)| megapixels(facts.coded_size()));
    megapixels * frames(plan.fps, plan.span_us) * 0.003
}

fn frames(fps: Rational, us: u64) -> f64 {
    fps.as_f64() * us as f64 / 1e6
}

fn megapixels(size: Size) -> f64 {
    f64::from(size.width_px) * f64::from(size.height_px) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Clips, CopyPolicy, plan};
    use crate::{Limits, Recipe};
    use serde_json::json;

    fn cost(value: f64) -> Cost {
        Cost {
            cpu_s: value,
            wall_s: value,
            bytes: value,
        }
    }

    /// The class of a recipe for a source whose streams can be copied into an MP4.
    fn class(recipe: &str) -> String {
        let stream = |index: u32, codec: &str, kind: serde_json::Value| json!({ "index": index, "codec": codec, "decodable": true, "default": true, "language": null, "kind": kind });
        let video = json!({ "video": {
            "width_px": 1280, "height_px": 720, "sample_aspect": "1/1", "quarter_turns": 0, "mirrored": false,
            "average_fps": "25/1", "base_fps": "25/1", "pixel_format": "yuv420p", "bit_depth": 8, "hdr": false, "interlaced": false,
            "duration_us": 8_000_000, "profile": 100, "level": 31, "keyframes": { "first": true, "closed": true, "longest_us": 2_000_000 }
        } });
        let audio =
            json!({ "audio": { "sample_rate_hz": 48_000, "channels": 2, "duration_us": 8_000_000, "plain": true } });
        let probe: Probe = serde_json::from_value(json!({
            "container": "mov,mp4,m4a,3gp,3g2,mj2", "bytes": 1_000_000, "duration_us": 8_000_000, "start_us": 0,
            "streams": [stream(0, "h264", video), stream(1, "aac", audio)]
        }))
        .unwrap();
        let recipe = Recipe::parse(recipe).unwrap();
        let planned = plan(
            &recipe,
            &probe,
            Clips::default(),
            &Limits::default(),
            CopyPolicy::default(),
        );
        predict(&planned.unwrap(), &probe, 1).0
    }

    #[test]
    fn the_keys_of_stored_costs_never_change() {
        for (outputs, key) in [
            (r#"{"kind":"mp4"}"#, "copy+mp4"),
            (r#"{"kind":"mp4","video":{"crf":23}}"#, "h264-balanced+mp4"),
            (
                r#"{"kind":"mp4","video":{"codec":"h265","speed":"fastest"}}"#,
                "h265-fastest+mp4",
            ),
            (
                r#"{"kind":"mp4","video":{"codec":"av1","speed":"best"}}"#,
                "av1-best+mp4",
            ),
            (r#"{"kind":"webm","video":{"speed":"good"}}"#, "vp9-good+webm"),
            (
                r#"{"kind":"audio"},{"kind":"audio","format":"mp3"},{"kind":"audio","format":"opus"}"#,
                "m4a+mp3+opus+audio",
            ),
            (
                r#"{"kind":"poster"},{"kind":"sprite"},{"kind":"gif"},{"kind":"hls","ladder":[720,360]},{"kind":"webm","video":{"speed":"fast"}}"#,
                "h264-balanced+vp9-fast+copy+gif+hls+poster+sprite+webm",
            ),
        ] {
            assert_eq!(class(&format!(r#"{{"outputs":[{outputs}]}}"#)), key);
        }
    }

    #[test]
    fn an_estimate_has_three_significant_digits() {
        for (value, rounded) in [
            (0.0, "0"),
            (0.012_345_6, "0.0123"),
            (0.999_99, "1"),
            (4.666_666_667, "4.67"),
            (98.95, "99"),
            (1_234.5, "1230"),
            (123_456_789.123, "123000000"),
        ] {
            assert_eq!(three_digits(value).to_string(), rounded);
        }
    }

    #[test]
    fn an_estimate_is_corrected_by_the_cost_of_finished_tasks() {
        let without_history = estimate(cost(10.0), &[]);
        assert_eq!((without_history.cpu_s.likely, without_history.learned_from), (10.0, 0));
        assert!(without_history.cpu_s.low < 5.0 && without_history.cpu_s.high > 20.0);
        let finished = |ratio: f64| CostSample {
            predicted: cost(2.0),
            actual: cost(2.0 * ratio),
        };
        let history: Vec<_> = (0..=10).map(|n| finished(2.0 + f64::from(n) / 10.0)).collect();
        let interval = estimate(cost(10.0), &history).cpu_s;
        for (actual, expected) in [(interval.low, 21.0), (interval.likely, 25.0), (interval.high, 29.0)] {
            assert!((actual - expected).abs() < 0.001, "{interval:?}");
        }
    }
}
