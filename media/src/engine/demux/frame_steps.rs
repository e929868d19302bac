//! Detection of video whose frames are not at the rate that the header states.
//!
//! Matroska has one duration for all frames (`DefaultDuration`), from which FFmpeg computes both rates of the
//! stream. The timestamps of the packets show if that is true. They are sorted into the order of presentation
//! and compared with the rate.

use crate::engine::time::to_us;
use ffmpeg_next::{Packet, Rational};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Maximum number of frames that are reordered (H.264, H.265).
const REORDERED: usize = 16;

/// Deviations of up to one part in this many of the duration are tolerated, as between the rates of a header.
const TOLERANCE_PARTS: i64 = 200;

/// Tolerance of one step in microseconds: both of its timestamps are rounded to milliseconds.
const ROUNDING_US: i64 = 1_200;

/// Sums of the steps between frames.
#[derive(Debug)]
pub(crate) struct FrameSteps {
    base: Rational,
    interval_us: i64,
    waiting: BinaryHeap<Reverse<i64>>,
    latest_us: Option<i64>,
    steps: i64,
    total_us: i64,
    /// Sum of the differences between single steps and the interval, in microseconds.
    error_us: i64,
}

impl FrameSteps {
    /// `interval_us` is the frame interval by the header, in microseconds.
    pub(crate) const fn new(base: Rational, interval_us: i64) -> Self {
        Self {
            base,
            interval_us,
            waiting: BinaryHeap::new(),
            latest_us: None,
            steps: 0,
            total_us: 0,
            error_us: 0,
        }
    }

    /// Records a packet, in decoding order.
    pub(crate) fn record_packet(&mut self, packet: &Packet) {
        let Some(time) = packet.pts() else { return };
        self.waiting.push(Reverse(to_us(time, self.base)));
        if self.waiting.len() > REORDERED {
            self.take();
        }
    }

    /// Returns `true` if the frames are not at a constant rate. `at_end`: all packets were recorded, so the last frames
    /// can be compared too.
    pub(crate) fn are_uneven(&mut self, at_end: bool) -> bool {
        while at_end && !self.waiting.is_empty() {
            self.take();
        }
        let drift_us = (self.total_us - self.steps.saturating_mul(self.interval_us)).abs();
        let tolerated_us = (self.total_us / TOLERANCE_PARTS).max(self.interval_us / 2);
        self.error_us.max(drift_us) > tolerated_us
    }

    fn take(&mut self) {
        let Some(Reverse(at_us)) = self.waiting.pop() else {
            return;
        };
        if let Some(latest_us) = self.latest_us.replace(at_us) {
            let step_us = at_us.saturating_sub(latest_us);
            let error_us = step_us.saturating_sub(self.interval_us).abs();
            self.steps += 1;
            self.total_us = self.total_us.saturating_add(step_us);
            self.error_us = self.error_us.saturating_add((error_us - ROUNDING_US).max(0));
        }
    }
}
