//! What posters, sprites and animations are given of the pictures that go by. Times count along the joined spans.

use super::feed::{Piece, Sender};
use super::{av, fault};
use domain::{Failure, Rational};
use ffmpeg_next::frame::Video;

/// The pictures that are shown at moments at even distances; the last one where a moment comes after all of them.
pub(super) struct Moments {
    next_us: i64,
    every_us: i64,
    left: u64,
    /// The best picture so far for the next moment.
    best: Option<(Video, i64)>,
}

impl Moments {
    /// `count` moments, the first of them at `first_us`.
    pub(super) fn new(first_us: u64, every_us: u64, count: u64) -> Self {
        Self {
            next_us: signed(first_us),
            every_us: signed(every_us).max(1),
            left: count,
            best: None,
        }
    }

    /// Whether nothing more is wanted.
    pub(super) const fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Looks at the next picture, and sends those whose moments are reached.
    pub(super) fn see(&mut self, picture: &Video, at_us: i64, to: &Sender) -> Result<(), Failure> {
        loop {
            if at_us <= self.next_us || self.best.is_none() {
                self.best = Some((share(picture)?, at_us));
            }
            if self.left == 0 || at_us < self.next_us {
                return Ok(());
            }
            self.send(to)?;
        }
    }

    /// No picture follows.
    pub(super) fn end(&mut self, to: &Sender) -> Result<(), Failure> {
        while self.left > 0 && self.best.is_some() {
            self.send(to)?;
        }
        Ok(())
    }

    fn send(&mut self, to: &Sender) -> Result<(), Failure> {
        self.left -= 1;
        self.next_us = self.next_us.saturating_add(self.every_us);
        if let Some((picture, at_us)) = &self.best {
            let piece = Piece::Picture {
                picture: share(picture)?.into(),
                at_us: *at_us,
                duration_us: 0,
            };
            // An output that is gone tells why when its thread is joined.
            if !to.send(piece) {
                self.left = 0;
            }
        }
        Ok(())
    }
}

/// The pictures of a part of the joined spans, with times that count from its beginning.
pub(super) struct Excerpt {
    start_us: i64,
    end_us: i64,
    /// A first picture that comes later than this leaves room for the one before.
    late_us: i64,
    before: Option<Video>,
    begun: bool,
    over: bool,
}

impl Excerpt {
    /// What is shown from `start_us` until `end_us`, for a rate of `fps`.
    pub(super) fn new(start_us: u64, end_us: u64, fps: Rational) -> Self {
        Self {
            start_us: signed(start_us),
            end_us: signed(end_us),
            late_us: signed(fps.duration_us(1) / 2),
            before: None,
            begun: false,
            over: false,
        }
    }

    /// Whether nothing more is wanted.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Looks at the next picture, and sends it if it belongs there.
    pub(super) fn see(
        &mut self,
        (picture, at_us): (&Video, i64),
        duration_us: i64,
        to: &Sender,
    ) -> Result<(), Failure> {
        if self.over {
            return Ok(());
        }
        if at_us < self.start_us {
            self.before = Some(share(picture)?);
            return Ok(());
        }
        let own_us = at_us - self.start_us;
        if own_us > self.late_us || at_us >= self.end_us {
            self.send_before(own_us, to);
        }
        if at_us >= self.end_us {
            self.end(None, to);
            return Ok(());
        }
        let picture = share(picture)?;
        self.send(picture, own_us, duration_us, to);
        Ok(())
    }

    /// No picture follows; the last one stands until `until_us`, or to the end when there is more after the spans.
    pub(super) fn end(&mut self, until_us: Option<i64>, to: &Sender) {
        if !self.over {
            let until_us = until_us.map(|us| us.saturating_sub(self.start_us));
            self.send_before(1, to);
            self.over = true;
            let _ = to.send(Piece::PicturesEnd { until_us });
        }
    }

    /// Sends the picture before the first one, which is still shown for so long.
    fn send_before(&mut self, duration_us: i64, to: &Sender) {
        if let Some(picture) = self.before.take().filter(|_| !self.begun) {
            self.send(picture, 0, duration_us, to);
        }
    }

    fn send(&mut self, picture: Video, at_us: i64, duration_us: i64, to: &Sender) {
        self.begun = true;
        let piece = Piece::Picture {
            picture: picture.into(),
            at_us,
            duration_us,
        };
        // As above.
        self.over |= !to.send(piece);
    }
}

fn share(picture: &Video) -> Result<Video, Failure> {
    av::share_picture(picture).map_err(|error| fault::engine("picture", error))
}

fn signed(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX)
}
