//! How fast pictures follow each other where headers do not tell, or tell it wrongly.

use super::{animation, is_avi};
use crate::engine::{Cancel, measure};
use domain::plan::leaves_rate_open;
use domain::probe::VideoFacts;
use domain::{Failure, Rational};
use ffmpeg_next::format::context::Input;

/// An average above this is a broken header or a clock taken for a rate.
const MAX_FPS: f64 = 240.0;

/// Rates that differ by less than this part are the same, measured over a few pictures.
const NEAR: f64 = 0.05;

/// Measures the rates of containers that count slots instead of times, and of animations.
pub(super) fn measure_slots(
    input: &mut Input,
    index: usize,
    facts: &mut VideoFacts,
    cancel: &Cancel,
) -> Result<(), Failure> {
    if is_avi(input) {
        // It counts slots, of which some writers leave every second one empty.
        let near = |one: Rational, other: Rational| (one.as_f64() / other.as_f64() - 1.0).abs() < NEAR;
        if let Some(slots) = facts.average_fps
            && let Some(measured) = measure::average_rate(input, index, cancel)?
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
    if animation::is_animation(input) {
        let told = (facts.average_fps, facts.base_fps);
        facts.average_fps = animation::rate(input, index, told, cancel)?;
    }
    Ok(())
}

/// Measures the rates that headers leave open.
pub(super) fn measure_pictures(
    input: &mut Input,
    index: usize,
    facts: &mut VideoFacts,
    cancel: &Cancel,
) -> Result<(), Failure> {
    if facts.average_fps.is_none_or(|rate| rate.as_f64() > MAX_FPS) {
        facts.average_fps = measure::average_rate(input, index, cancel)?.or(facts.average_fps);
    }
    // Each packet of interlaced pictures may be one of two fields.
    if leaves_rate_open(facts) && !facts.interlaced && !animation::is_animation(input) {
        facts.regular_fps = measure::regular_rate(input, index, cancel)?;
    }
    Ok(())
}
