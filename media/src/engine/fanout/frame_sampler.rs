//! Selects the frames of outputs that sample them. Posters and sprites need the frames shown at certain times
//! ([`FrameSampler`]), animations those of a range ([`FrameRange`]). All times are timeline times in microseconds.

use crate::engine::error;
use crate::engine::fanout::channel::{MediaItem, MediaSender};
use crate::engine::ffi::frame;
use crate::engine::time::signed_us;
use domain::{Failure, Rational};
use ffmpeg_next::frame::Video;

/// Selects the frames that are shown at evenly spaced times. For times after the last frame, the last frame is used.
pub(crate) struct FrameSampler {
    next_us: i64,
    every_us: i64,
    remaining: u64,
    /// The best frame so far for `next_us`, with its time: the latest one at or before it, else the first frame of all.
    best: Option<(Video, i64)>,
}

impl FrameSampler {
    /// Samples `count` frames, the first at `first_us`.
    pub(crate) fn new(first_us: u64, every_us: u64, count: u64) -> Self {
        Self {
            next_us: signed_us(first_us),
            every_us: signed_us(every_us).max(1),
            remaining: count,
            best: None,
        }
    }

    /// Returns `true` when no frame is needed any more.
    pub(crate) const fn is_over(&self) -> bool {
        self.remaining == 0
    }

    /// Takes the next frame, and sends the best one for each sample time that it reaches.
    pub(crate) fn offer(&mut self, frame: &Video, at_us: i64, sender: &MediaSender) -> Result<(), Failure> {
        loop {
            if at_us <= self.next_us || self.best.is_none() {
                self.best = Some((share(frame)?, at_us));
            }
            if self.remaining == 0 || at_us < self.next_us {
                return Ok(());
            }
            self.send(sender)?;
        }
    }

    /// Sends the remaining samples, after the last frame.
    pub(crate) fn end(&mut self, sender: &MediaSender) -> Result<(), Failure> {
        while self.remaining > 0 && self.best.is_some() {
            self.send(sender)?;
        }
        Ok(())
    }

    fn send(&mut self, sender: &MediaSender) -> Result<(), Failure> {
        self.remaining -= 1;
        self.next_us = self.next_us.saturating_add(self.every_us);
        if let Some((frame, at_us)) = &self.best {
            let item = MediaItem::Frame {
                frame: share(frame)?.into(),
                at_us: *at_us,
                duration_us: 0,
            };
            // An output that has ended returns its error when its thread is joined.
            if !sender.send(item) {
                self.remaining = 0;
            }
        }
        Ok(())
    }
}

/// Selects the frames of a range; their times count from its start.
pub(crate) struct FrameRange {
    start_us: i64,
    end_us: i64,
    /// When the first frame of the range begins later than this, the frame before it fills the beginning.
    late_us: i64,
    /// The last frame before the range.
    before: Option<Video>,
    has_frames: bool,
    over: bool,
}

impl FrameRange {
    /// Selects the frames shown from `start_us` until `end_us`, for an output with a rate of `fps`.
    pub(crate) fn new(start_us: u64, end_us: u64, fps: Rational) -> Self {
        Self {
            start_us: signed_us(start_us),
            end_us: signed_us(end_us),
            late_us: signed_us(fps.duration_us(1) / 2),
            before: None,
            has_frames: false,
            over: false,
        }
    }

    /// Returns `true` when no frame is needed any more.
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// Takes the next frame, and sends it if it is in the range.
    pub(crate) fn offer(
        &mut self,
        frame: &Video,
        at_us: i64,
        duration_us: i64,
        sender: &MediaSender,
    ) -> Result<(), Failure> {
        if self.over {
            return Ok(());
        }
        if at_us < self.start_us {
            self.before = Some(share(frame)?);
            return Ok(());
        }
        let in_range_us = at_us - self.start_us;
        if in_range_us > self.late_us || at_us >= self.end_us {
            self.send_before(in_range_us, sender);
        }
        if at_us >= self.end_us {
            self.end(None, sender);
            return Ok(());
        }
        let frame = share(frame)?;
        self.send(frame, in_range_us, duration_us, sender);
        Ok(())
    }

    /// Ends the range. The last frame is shown until `until_us`; `None` is the end of the range.
    pub(crate) fn end(&mut self, until_us: Option<i64>, sender: &MediaSender) {
        if !self.over {
            let until_us = until_us.map(|us| us.saturating_sub(self.start_us));
            self.send_before(1, sender);
            self.over = true;
            let _ = sender.send(MediaItem::VideoEnd { until_us });
        }
    }

    /// Sends the last frame before the range, which is still shown for `duration_us`, unless a frame was sent.
    fn send_before(&mut self, duration_us: i64, sender: &MediaSender) {
        if let Some(frame) = self.before.take().filter(|_| !self.has_frames) {
            self.send(frame, 0, duration_us, sender);
        }
    }

    fn send(&mut self, frame: Video, at_us: i64, duration_us: i64, sender: &MediaSender) {
        self.has_frames = true;
        let item = MediaItem::Frame {
            frame: frame.into(),
            at_us,
            duration_us,
        };
        // An output that has ended returns its error when its thread is joined.
        self.over |= !sender.send(item);
    }
}

fn share(frame: &Video) -> Result<Video, Failure> {
    frame::share_video(frame).map_err(|error| error::engine_failure("frame", error))
}
