//! Frame rates that headers do not tell, or tell wrongly, measured on packet times: AVI slots, animations, variable
//! rates.

use crate::engine::cancel::Cancel;
use crate::engine::demux::container::is_avi;
use crate::engine::demux::packets::next_packet;
use crate::engine::ffi::packet;
use crate::engine::probe::survey::MAX_COUNTED_PACKETS;
use crate::engine::time::to_us;
use domain::plan::leaves_rate_open;
use domain::probe::VideoFacts;
use domain::{Failure, Rational};
use ffmpeg_next::format::context::Input;

/// An average above this is a broken header or a clock taken for a rate.
const MAX_FPS: f64 = 240.0;

/// Rates that differ by less than this part are the same, measured over a few pictures.
const RATE_TOLERANCE: f64 = 0.05;

/// A rate up to which every picture is kept, as players show it.
const MAX_ANIMATION_FPS: f64 = 60.5;

/// An average of this part of the fastest rate is that of regular delays, which were rounded.
const REGULAR_RATE_RATIO: f64 = 0.8;

/// Packets whose times are averaged.
const MAX_TIMESTAMPS: usize = 300;

/// Entries of an index whose times are looked at.
const MAX_INDEX_ENTRIES: usize = 20_000;

/// The step of a grid is the one that is longer than one in so many of all.
const SHORT_STEP_DIVISOR: usize = 20;

/// Steps over more places of a grid do not help to measure it.
const MAX_STEP_SLOTS: i64 = 8;

/// How far from its place on a grid a picture may stand: what a clock of milliseconds rounds at both ends of a step.
const ROUNDING_US: i64 = 1_200;

/// Measures the rates of containers that count slots instead of times, and of animations.
pub(crate) fn measure_slot_rate(
    input: &mut Input,
    index: usize,
    facts: &mut VideoFacts,
    cancel: &Cancel,
) -> Result<(), Failure> {
    if is_avi(input) {
        // It counts slots, of which some writers leave every second one empty.
        let near = |one: Rational, other: Rational| (one.as_f64() / other.as_f64() - 1.0).abs() < RATE_TOLERANCE;
        if let Some(slots) = facts.average_fps
            && let Some(measured) = measure_average_rate(input, index, cancel)?
            && !near(measured, slots)
        {
            let half = Rational::new(slots.num, slots.den.saturating_mul(2));
            let own = [facts.base_fps, half]
                .into_iter()
                .flatten()
                .find(|rate| near(measured, *rate));
            facts.average_fps = own.or(facts.average_fps);
        }
    }
    if is_animation(input) {
        let told = (facts.average_fps, facts.base_fps);
        facts.average_fps = measure_animation_rate(input, index, told, cancel)?;
    }
    Ok(())
}

/// Measures the rates that headers leave open.
pub(crate) fn measure_missing_rate(
    input: &mut Input,
    index: usize,
    facts: &mut VideoFacts,
    cancel: &Cancel,
) -> Result<(), Failure> {
    if facts.average_fps.is_none_or(|rate| rate.as_f64() > MAX_FPS) {
        facts.average_fps = measure_average_rate(input, index, cancel)?.or(facts.average_fps);
    }
    // Each packet of interlaced pictures may be one of two fields.
    if leaves_rate_open(facts) && !facts.interlaced && !is_animation(input) {
        facts.regular_fps = measure_grid_rate(input, index, cancel)?;
    }
    Ok(())
}

/// Whether a file is an animated picture.
pub(crate) fn is_animation(input: &Input) -> bool {
    matches!(input.format().name(), "gif" | "apng")
}

/// The rate at which every picture is shown: one that fits all delays where there is one, else the fastest, but for regular
/// delays their average.
pub(crate) fn measure_animation_rate(
    input: &mut Input,
    index: usize,
    (average, base): (Option<Rational>, Option<Rational>),
    cancel: &Cancel,
) -> Result<Option<Rational>, Failure> {
    if let Some(base) = base.filter(|rate| rate.as_f64() <= MAX_ANIMATION_FPS) {
        return Ok(Some(base));
    }
    let Some(fastest) = measure_fastest_rate(input, index, cancel)? else {
        return Ok(average);
    };
    let regular = average.filter(|average| average.as_f64() >= REGULAR_RATE_RATIO * fastest.as_f64());
    Ok(Some(regular.unwrap_or(fastest)))
}

/// Pictures a second, over the first packets of a stream; `None` when they do not tell.
pub(crate) fn measure_average_rate(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Option<Rational>, Failure> {
    let times = first_timestamps(input, index, cancel)?;
    let length_us = match (times.first(), times.last()) {
        (Some(first), Some(last)) => last.saturating_sub(*first),
        _ => 0,
    };
    Ok(rate_from_steps(times.len().saturating_sub(1), length_us))
}

/// Pictures a second where they follow each other fastest, over the first packets of a stream; `None` when they do not tell.
pub(crate) fn measure_fastest_rate(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Option<Rational>, Failure> {
    let times = first_timestamps(input, index, cancel)?;
    let steps = times.windows(2).filter_map(|pair| match pair {
        [one, next] => Some(next.saturating_sub(*one)).filter(|us| *us > 0),
        _ => None,
    });
    Ok(steps.min().and_then(|us| rate_from_steps(1, us)))
}

/// The rate of the even grid on which the pictures stand, some of its places empty; `None` when they stand on none. Of a file with
/// an index of all its packets, the first [`MAX_INDEX_ENTRIES`] count.
pub(crate) fn measure_grid_rate(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Option<Rational>, Failure> {
    let indexed = input
        .stream(index)
        .filter(|stream| stream.frames() > 0 && input.format().name().starts_with("mov"))
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

/// The rate of a grid on which times in microseconds lie, but for what a clock of milliseconds rounds.
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
    // Longer gaps tell nothing of the grid: what was rounded of the shortest step counts as often as it fits.
    let slots_in = |us: i64| (us + shortest_us / 2) / shortest_us;
    let near: Vec<_> = steps.into_iter().filter(|us| slots_in(*us) <= MAX_STEP_SLOTS).collect();
    let slots: i64 = near.iter().map(|us| slots_in(*us)).sum();
    let length_us: i64 = near.iter().sum();
    let is_on_grid = |us: &&i64| (*us * slots - slots_in(**us) * length_us).abs() <= ROUNDING_US * slots;
    let on_grid = near.iter().filter(is_on_grid).count();
    let is_even = on_grid * 10 >= near.len() * 9;
    rate_from_steps(usize::try_from(slots).ok()?, length_us).filter(|_| is_even)
}

/// The times of the first packets of a stream in microseconds, in their order.
fn first_timestamps(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Vec<i64>, Failure> {
    let Some(base) = input.stream(index).map(|stream| stream.time_base()) else {
        return Ok(Vec::new());
    };
    // As above: from the beginning if it can be found again.
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

/// The rate of so many steps in so many microseconds, in thousandths.
fn rate_from_steps(steps: usize, length_us: i64) -> Option<Rational> {
    let steps = u64::try_from(steps).unwrap_or(0);
    let length_us = u64::try_from(length_us).ok()?;
    let thousandths = (steps * 1_000_000_000).checked_div(length_us)?;
    Rational::new(u32::try_from(thousandths).ok()?, 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate of a grid on which only some places hold a picture, by a clock of milliseconds, with jitter in microseconds.
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
    fn a_grid_is_measured_through_a_clock_of_milliseconds() {
        for fps in [23.976, 25.0, 26.0, 29.97, 31.25, 48.0, 50.0, 59.94, 60.0, 119.88] {
            let rate = measured(fps, 0).unwrap().as_f64();
            assert!((rate / fps - 1.0).abs() < 0.001, "{fps}: {rate}");
        }
    }

    #[test]
    fn times_that_jitter_stand_on_no_grid() {
        for jitter_us in [4_000, 8_000, 10_000] {
            assert_eq!(measured(30.0, jitter_us), None, "{jitter_us}");
        }
        assert_eq!(fit_grid(&[]), None);
        assert_eq!(fit_grid(&[7]), None);
    }
}
