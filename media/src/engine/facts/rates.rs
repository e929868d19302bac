//! How fast pictures follow each other where headers do not tell, or tell it wrongly.

use super::{animation, is_avi};
use crate::engine::{Cancel, measure};
use domain::probe::VideoFacts;
use domain::{Failure, Rational};
use ffmpeg_next::format::context::Input;
use std::ops::RangeInclusive;

/// An average above this is a broken header or a clock taken for a rate.
const MAX_FPS: f64 = 240.0;

/// Rates that differ by less than this part are the same, measured over a few pictures.
const NEAR: f64 = 0.05;

/// A base rate is that of pictures when it lies in this range, in pictures a second.
const USUAL: RangeInclusive<f64> = 1.0..=60.5;

/// An average of about half of the base rate: that counts fields, or a part of the pictures is missing.
const HALF: RangeInclusive<f64> = 0.45..=0.55;

/// An average of more than this part of the base rate is the base rate.
const STEADY: f64 = 0.985;

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
    let is_open = facts.average_fps.zip(facts.base_fps).is_some_and(|(average, base)| {
        let part = average.as_f64() / base.as_f64();
        part < STEADY && (HALF.contains(&part) || !USUAL.contains(&base.as_f64()))
    });
    // Each packet of woven pictures may be one of two fields.
    if is_open && !facts.interlaced && !animation::is_animation(input) {
        facts.regular_fps = measure::regular_rate(input, index, cancel)?;
    }
    Ok(())
}
