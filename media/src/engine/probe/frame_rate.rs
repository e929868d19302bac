//! Frame rates measured on packet timestamps, where headers lack them or have them wrong.
//!
//! - *AVI* stores slots per second. Some writers leave every second slot empty, so the frame rate is half of that.
//! - *Animations* (GIF, APNG) have a delay per frame. The rate must show every frame.
//! - *Variable frame rate.* FFmpeg's average says little. Many such files are a constant rate with missing frames, with
//!   timestamps rounded to milliseconds. If the timestamps fit a grid, the rate of the grid shows every frame at its
//!   time; an average rate would drop and repeat frames.

use crate::engine::cancel::Cancel;
use crate::engine::demux::container::{is_avi, is_mp4};
use crate::engine::demux::packets::next_packet;
use crate::engine::ffi::packet;
use crate::engine::probe::survey::MAX_COUNTED_PACKETS;
use crate::engine::time::to_us;
use domain::plan::leaves_rate_open;
use domain::probe::VideoFacts;
use domain::{Failure, Rational};
use ffmpeg_next::format::context::Input;

/// An average rate above this is a broken header, or a time base taken for a rate.
const MAX_FPS: f64 = 240.0;

/// Relative difference below which two rates measured over a few frames are the same.
const RATE_TOLERANCE: f64 = 0.05;

/// Maximum rate of an animation at which every frame is kept.
const MAX_ANIMATION_FPS: f64 = 60.5;

/// An average of at least this ratio to the fastest rate belongs to constant delays that were rounded.
const REGULAR_RATE_RATIO: f64 = 0.8;

/// Maximum timestamps of packets used for a measurement.
const MAX_TIMESTAMPS: usize = 300;

/// Maximum timestamps of index entries used for a measurement.
const MAX_INDEX_ENTRIES: usize = 20_000;

/// The shortest step of a grid is taken at this quantile (1 / n), so that single wrong timestamps do not count.
const SHORT_STEP_DIVISOR: usize = 20;

/// Steps over more slots of a grid are ignored, because they do not help to measure it.
const MAX_STEP_SLOTS: i64 = 8;

/// Maximum deviation of a step from the grid, in microseconds: timestamps in milliseconds are rounded at both ends.
const ROUNDING_US: i64 = 1_200;

/// Measures the frame rate of an AVI or an animation.
pub(crate) fn measure_slot_rate(
    input: &mut Input,
    index: usize,
    facts: &mut VideoFacts,
    cancel: &Cancel,
) -> Result<(), Failure> {
    if is_avi(input) {
        // The rate of the header is that of slots, every second of which may be empty.
        let is_near = |one: Rational, other: Rational| (one.as_f64() / other.as_f64() - 1.0).abs() < RATE_TOLERANCE;
        if let Some(slots) = facts.average_fps
            && let Some(measured) = measure_average_rate(input, index, cancel)?
            && !is_near(measured, slots)
        {
            let half = Rational::new(slots.num, slots.den.saturating_mul(2));
            let frame_rate = [facts.base_fps, half]
                .into_iter()
                .flatten()
                .find(|rate| is_near(measured, *rate));
            facts.average_fps = frame_rate.or(facts.average_fps);
        }
    }
    if is_animation(input) {
        facts.average_fps = measure_animation_rate(input, index, facts, cancel)?;
    }
    Ok(())
}

/// Measures frame rates that headers lack or leave ambiguous.
pub(crate) fn measure_missing_rate(
    input: &mut Input,
    index: usize,
    facts: &mut VideoFacts,
    cancel: &Cancel,
) -> Result<(), Failure> {
    if facts.average_fps.is_none_or(|rate| rate.as_f64() > MAX_FPS) {
        facts.average_fps = measure_average_rate(input, index, cancel)?.or(facts.average_fps);
    }
    // Packets of interlaced video may be single fields, so their timestamps are no frame rate.
    if leaves_rate_open(facts) && !facts.interlaced && !is_animation(input) {
        facts.regular_fps = measure_grid_rate(input, index, cancel)?;
    }
    Ok(())
}

/// Returns `true` for an animated image.
fn is_animation(input: &Input) -> bool {
    matches!(input.format().name(), "gif" | "apng")
}

/// Rate at which an animation shows every frame: `base_fps` when it fits all delays and is not too high; else the
/// average when all delays are about the same; else the fastest rate.
fn measure_animation_rate(
    input: &mut Input,
    index: usize,
    facts: &VideoFacts,
    cancel: &Cancel,
) -> Result<Option<Rational>, Failure> {
    if let Some(base) = facts.base_fps.filter(|rate| rate.as_f64() <= MAX_ANIMATION_FPS) {
        return Ok(Some(base));
    }
    let Some(fastest) = measure_fastest_rate(input, index, cancel)? else {
        return Ok(facts.average_fps);
    };
    let constant = facts
        .average_fps
        .filter(|average| average.as_f64() >= REGULAR_RATE_RATIO * fastest.as_f64());
    Ok(Some(constant.unwrap_or(fastest)))
}

/// Average frames per second of the first packets of a stream; `None` without timestamps.
fn measure_average_rate(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Option<Rational>, Failure> {
    let times = first_timestamps(input, index, cancel)?;
    let total_us = match (times.first(), times.last()) {
        (Some(first), Some(last)) => last.saturating_sub(*first),
        _ => 0,
    };
    Ok(rate_from_steps(times.len().saturating_sub(1), total_us))
}

/// Frames per second by the shortest step between the first packets of a stream; `None` without timestamps.
fn measure_fastest_rate(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Option<Rational>, Failure> {
    let times = first_timestamps(input, index, cancel)?;
    let steps = times.windows(2).filter_map(|pair| match pair {
        [one, next] => Some(next.saturating_sub(*one)).filter(|us| *us > 0),
        _ => None,
    });
    Ok(steps.min().and_then(|us| rate_from_steps(1, us)))
}

/// Rate of the regular grid that the timestamps of frames fit, with some slots empty; `None` when they fit none. In an
/// MP4 the first [`MAX_INDEX_ENTRIES`] entries of the index are used.
fn measure_grid_rate(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Option<Rational>, Failure> {
    let indexed = input
        .stream(index)
        .filter(|stream| stream.frames() > 0 && is_mp4(input.format().name()))
        .map(|stream| stream.time_base());
    let times = match indexed {
        Some(base) => {
            let mut times = Vec::new();
            packet::for_each_index_entry(input, index, |entry| {
                if times.len() < MAX_INDEX_ENTRIES {
                    times.push(to_us(entry.time, base));
                }
            });
            times
        }
        None => first_timestamps(input, index, cancel)?,
    };
    Ok(fit_grid(&times))
}

/// Fits a regular grid to sorted timestamps in microseconds that may be rounded to milliseconds. At least nine of ten
/// steps must fit.
fn fit_grid(times: &[i64]) -> Option<Rational> {
    let mut steps: Vec<_> = times
        .windows(2)
        .filter_map(|pair| match pair {
            [one, next] => Some(next.saturating_sub(*one)).filter(|us| *us > 0),
            _ => None,
        })
        .collect();
    steps.sort_unstable();
    let shortest_us = *steps.get(steps.len() / SHORT_STEP_DIVISOR)?;
    // The rounding error of the shortest step multiplies with the slots of a longer step, so long steps are ignored.
    let slots_in = |us: i64| (us + shortest_us / 2) / shortest_us;
    let near: Vec<_> = steps.into_iter().filter(|us| slots_in(*us) <= MAX_STEP_SLOTS).collect();
    let slots: i64 = near.iter().map(|us| slots_in(*us)).sum();
    let total_us: i64 = near.iter().sum();
    let is_on_grid = |us: &&i64| (*us * slots - slots_in(**us) * total_us).abs() <= ROUNDING_US * slots;
    let on_grid = near.iter().filter(is_on_grid).count();
    let is_even = on_grid * 10 >= near.len() * 9;
    rate_from_steps(usize::try_from(slots).ok()?, total_us).filter(|_| is_even)
}

/// Sorted timestamps of the first packets of a stream, in microseconds.
fn first_timestamps(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Vec<i64>, Failure> {
    let Some(base) = input.stream(index).map(|stream| stream.time_base()) else {
        return Ok(Vec::new());
    };
    // The source may have been read to its end before. If it cannot seek back, packets after the current position have
    // to do.
    let _ = input.seek(i64::MIN / 2, ..);
    let (mut times, mut read) = (Vec::new(), 0);
    while times.len() < MAX_TIMESTAMPS
        && read < MAX_COUNTED_PACKETS
        && let Some(packet) = next_packet(input, cancel)?
    {
        read += 1;
        if packet.stream() == index {
            times.extend(packet.pts().or_else(|| packet.dts()).map(|time| to_us(time, base)));
        }
    }
    times.sort_unstable();
    Ok(times)
}

/// Rate of `steps` frames in `total_us` microseconds, in thousandths of a frame per second.
fn rate_from_steps(steps: usize, total_us: i64) -> Option<Rational> {
    let steps = u64::try_from(steps).unwrap_or(0);
    let total_us = u64::try_from(total_us).ok()?;
    let thousandths = (steps * 1_000_000_000).checked_div(total_us)?;
    Rational::new(u32::try_from(thousandths).ok()?, 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fits a grid to frames at random slots of a grid of `fps`, rounded to milliseconds, plus jitter of at most
    /// `jitter_us`.
    fn measured(fps: f64, jitter_us: i64) -> Option<Rational> {
        let mut state = 7_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            i64::from(state >> 16)
        };
        let mut slot = 0_u32;
        let times = std::iter::repeat_with(|| {
            slot += 1 + u32::from(random() % 2 == 0);
            let jitter = random() % (2 * jitter_us + 1) - jitter_us;
            #[allow(clippy::cast_possible_truncation, reason = "some minutes in milliseconds")]
            let ms = (f64::from(slot) * 1_000.0 / fps).round() as i64;
            ms * 1_000 + jitter
        });
        fit_grid(&times.take(300).collect::<Vec<_>>())
    }

    #[test]
    fn a_grid_is_measured_with_timestamps_rounded_to_milliseconds() {
        for fps in [23.976, 25.0, 26.0, 29.97, 31.25, 48.0, 50.0, 59.94, 60.0, 119.88] {
            let rate = measured(fps, 0).unwrap().as_f64();
            assert!((rate / fps - 1.0).abs() < 0.001, "{fps}: {rate}");
        }
    }

    #[test]
    fn timestamps_with_jitter_fit_no_grid() {
        for jitter_us in [4_000, 8_000, 10_000] {
            assert_eq!(measured(30.0, jitter_us), None, "{jitter_us}");
        }
        assert_eq!(fit_grid(&[]), None);
        assert_eq!(fit_grid(&[7]), None);
    }
}
