//! What a plan will cost: a model in the order of magnitude, corrected by what tasks of the same class have cost here.

use super::{Content, Hls, Movie, Plan, VideoOrder, VideoTrack};
use crate::probe::{Probe, Size};
use crate::recipe::{AudioFormat, Speed, VideoCodec};
use crate::time::Rational;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What work costs, or is expected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Processor seconds.
    pub cpu_s: f64,
    /// Seconds from the start of the transcode to its end.
    pub wall_s: f64,
    /// Bytes of all outputs.
    pub bytes: f64,
}

/// A task of this installation: what the model said, and what it came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What [`predict`] said.
    pub predicted: Cost,
    /// What it came to.
    pub actual: Cost,
}

/// What a task will cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Estimate {
    /// Processor seconds.
    pub cpu_s: Interval,
    /// Seconds of work on an idle worker, without the wait for one.
    pub wall_s: Interval,
    /// Bytes of all outputs.
    pub bytes: Interval,
    /// How many earlier tasks it was learned from; with none it is a guess.
    pub learned_from: usize,
}

/// A value and where four of five tasks lie around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Interval {
    /// One in ten lies below.
    pub low: f64,
    /// As many lie below as above.
    pub likely: f64,
    /// One in ten lies above.
    pub high: f64,
}

/// Fewer earlier tasks than this say too little about the spread.
const ENOUGH: usize = 5;

/// Of a guess: from a third to three times.
const UNSURE: (f64, f64, f64) = (0.33, 1.0, 3.0);

/// What the model alone says, and the class of work in which it is corrected: tasks with the same codecs and speeds.
#[must_use]
pub fn predict(plan: &Plan, probe: &Probe, cores: u32) -> (String, Cost) {
    let mut classes = Vec::new();
    let mut cost = Cost::default();
    let seconds = plan.span_us as f64 / 1e6;
    let mut decoded = false;
    for output in &plan.outputs {
        let work = match &output.content {
            Content::Movie(Movie { video, audio, .. }) => {
                decoded |= !video.is_copy();
                let sound = sound_bps(audio.as_ref());
                with_sound(track(video, plan, probe, &mut classes), sound, seconds)
            }
            Content::Hls(Hls { rungs, audio, .. }) => {
                decoded |= rungs.iter().any(|rung| !rung.video.is_copy());
                let rungs = rungs.iter().map(|rung| track(&rung.video, plan, probe, &mut classes));
                let all = rungs.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
                with_sound(all, sound_bps(audio.as_ref()), seconds)
            }
            Content::Audio { format, audio } => {
                classes.push(format!("{format:?}"));
                let each_second = if *format == AudioFormat::M4a { 0.008 } else { 0.012 };
                (seconds * each_second, seconds * sound_bps(Some(audio)) / 8.0)
            }
            Content::Gif {
                picture,
                fps,
                start_us,
                end_us,
            } => {
                decoded = true;
                let length = end_us.saturating_sub(*start_us) as f64 / 1e6;
                let pixels = megapixels(picture.canvas) * length * fps.as_f64();
                (pixels * 0.1, pixels * 400_000.0)
            }
            Content::Poster { picture, .. } => (0.1, megapixels(picture.canvas) * 120_000.0),
            Content::Sprite { picture, count, .. } => {
                let pixels = megapixels(picture.canvas) * *count as f64;
                (pixels * 0.5 + *count as f64 * 0.02, pixels * 150_000.0)
            }
        };
        classes.push(output.content.kind().to_owned());
        cost.cpu_s += work.0;
        cost.bytes += work.1;
    }
    if decoded {
        cost.cpu_s += decode_s(plan, probe);
    }
    cost.wall_s = 0.05 + cost.cpu_s / f64::from(cores.max(1));
    classes.sort();
    classes.dedup();
    (classes.join("+").to_lowercase(), cost)
}

/// What a task will cost, after what `history` (tasks of the same class) has cost.
#[must_use]
pub fn estimate(predicted: Cost, history: &[Sample]) -> Estimate {
    let of = |value: fn(&Cost) -> f64| {
        let ratios = history
            .iter()
            .map(|sample| value(&sample.actual) / value(&sample.predicted))
            .filter(|ratio| ratio.is_finite() && *ratio > 0.0);
        interval(value(&predicted), ratios.collect())
    };
    Estimate {
        cpu_s: of(|cost| cost.cpu_s),
        wall_s: of(|cost| cost.wall_s),
        bytes: of(|cost| cost.bytes),
        learned_from: history.len(),
    }
}

fn interval(predicted: f64, mut ratios: Vec<f64>) -> Interval {
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| quantile(&ratios, share);
    let (low, likely, high) = match ratios.len() {
        0 => UNSURE,
        few if few < ENOUGH => (at(0.5) * UNSURE.0, at(0.5), at(0.5) * UNSURE.2),
        _ => (at(0.1), at(0.5), at(0.9)),
    };
    Interval {
        low: three_digits(predicted * low),
        likely: three_digits(predicted * likely),
        high: three_digits(predicted * high),
    }
}

/// A value to three significant digits, which is more than an estimate knows.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// The value below which this share of sorted values lies, between two of them where it falls between.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    match (sorted.get(below), sorted.get(above)) {
        (Some(low), Some(high)) => low + (high - low) * place.fract(),
        _ => 1.0,
    }
}

fn with_sound((cpu_s, bytes): (f64, f64), sound_bps: f64, seconds: f64) -> (f64, f64) {
    let sound_s = if sound_bps > 0.0 { seconds * 0.008 } else { 0.0 };
    (cpu_s + sound_s, bytes + seconds * sound_bps / 8.0)
}

fn sound_bps(track: Option<&super::AudioTrack>) -> f64 {
    match track {
        Some(super::AudioTrack::Encode { bitrate_bps, .. }) => f64::from(*bitrate_bps),
        Some(super::AudioTrack::Copy { .. }) => f64::from(crate::recipe::DEFAULT_AUDIO_BPS),
        None => 0.0,
    }
}

/// Processor seconds and bytes of a track of pictures.
fn track(video: &VideoTrack, plan: &Plan, probe: &Probe, classes: &mut Vec<String>) -> (f64, f64) {
    match video {
        VideoTrack::Copy { .. } => {
            classes.push("copy".to_owned());
            let share = plan.span_us as f64 / probe.duration_us.max(1) as f64;
            let bytes = probe.bytes as f64 * share.min(1.0);
            (0.02 + bytes / 1e9, bytes)
        }
        VideoTrack::Encode(order) => {
            classes.push(format!("{:?}-{:?}", order.codec, order.speed));
            let pixels = megapixels(order.picture.canvas) * frames(plan.fps, plan.span_us);
            (pixels * encode_s(order), pixels * bytes_a_megapixel(order))
        }
    }
}

/// Processor seconds for a million pixels, measured in the order of magnitude on a machine of 2026.
fn encode_s(order: &VideoOrder) -> f64 {
    let codec = match order.codec {
        VideoCodec::H264 => 0.015,
        VideoCodec::H265 => 0.06,
        VideoCodec::Vp9 => 0.08,
        VideoCodec::Av1 => 0.05,
    };
    let speed = match order.speed {
        Speed::Fastest => 0.25,
        Speed::Fast => 0.6,
        Speed::Balanced => 1.0,
        Speed::Good => 2.0,
        Speed::Best => 5.0,
    };
    codec * speed
}

/// Bytes for a million pixels: six steps of the rate factor of H.264 double them.
fn bytes_a_megapixel(order: &VideoOrder) -> f64 {
    let off = f64::from(order.codec.default_crf()) - f64::from(order.crf);
    let doubling = f64::from(order.codec.max_crf()) / 8.5;
    8_000.0 * (off / doubling).exp2()
}

fn decode_s(plan: &Plan, probe: &Probe) -> f64 {
    let pixels = probe.main_video().map_or(0.0, |(_, facts)| {
        megapixels(Size {
            width_px: facts.width_px,
            height_px: facts.height_px,
        })
    });
    pixels * frames(plan.fps, plan.span_us) * 0.003
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

    fn cost(value: f64) -> Cost {
        Cost {
            cpu_s: value,
            wall_s: value,
            bytes: value,
        }
    }

    #[test]
    fn an_estimate_has_three_digits() {
        for (value, told) in [
            (0.0, "0"),
            (0.012_345_6, "0.0123"),
            (0.999_99, "1"),
            (4.666_666_667, "4.67"),
            (98.95, "99"),
            (1_234.5, "1230"),
            (123_456_789.123, "123000000"),
        ] {
            assert_eq!(three_digits(value).to_string(), told);
        }
    }

    #[test]
    fn an_estimate_learns_from_what_tasks_have_cost() {
        let guess = estimate(cost(10.0), &[]);
        assert_eq!((guess.cpu_s.likely, guess.learned_from), (10.0, 0));
        assert!(guess.cpu_s.low < 5.0 && guess.cpu_s.high > 20.0);
        let sample = |ratio: f64| Sample {
            predicted: cost(2.0),
            actual: cost(2.0 * ratio),
        };
        let history: Vec<_> = (0..=10).map(|n| sample(2.0 + f64::from(n) / 10.0)).collect();
        let learned = estimate(cost(10.0), &history).cpu_s;
        for (is, wanted) in [(learned.low, 21.0), (learned.likely, 25.0), (learned.high, 29.0)] {
            assert!((is - wanted).abs() < 0.001, "{learned:?}");
        }
    }
}
