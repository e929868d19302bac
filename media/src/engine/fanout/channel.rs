//! The bounded channel from the fan-out to the thread of one output.

use crate::engine::decode::timeline::Part;
use crate::engine::demux::copy_source::Medium;
use crate::engine::progress::OutputProgress;
use crate::engine::stage::Stage;
use crate::engine::video::scaled_frames::SharedFrame;
use ffmpeg_next::Packet;
use ffmpeg_next::frame::Audio;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

/// What an output is given. Times count in microseconds along the joined spans.
pub(crate) enum Piece {
    /// What follows is of another part.
    Part(Part),
    /// A picture and for about how long it is shown.
    Frame {
        frame: SharedFrame,
        at_us: i64,
        duration_us: i64,
    },
    /// No picture of the part follows. The last one stands until `until_us`, or to the end of the part when its file has
    /// more after it.
    VideoEnd { until_us: Option<i64> },
    /// Samples.
    Audio { audio: Audio, at_us: i64 },
    /// Packets as the source has them, with times of the source's clock.
    Packets(Vec<(Packet, Medium)>),
}

/// The pieces of one output in their order. While it waits for one, its stage is not at work.
pub(crate) struct Inbox {
    from: Receiver<Piece>,
    meter: OutputProgress,
}

impl Inbox {
    pub(crate) const fn new(from: Receiver<Piece>, meter: OutputProgress) -> Self {
        Self { from, meter }
    }

    /// The progress of whoever works on the pieces.
    pub(crate) const fn meter(&self) -> &OutputProgress {
        &self.meter
    }

    /// The next piece; `None` when no more come.
    pub(crate) fn recv(&self) -> Option<Piece> {
        let stage = self.meter.stage();
        stage.waits();
        let piece = self.from.recv().ok();
        stage.moves();
        piece
    }
}

impl Iterator for &Inbox {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        self.recv()
    }
}

/// Hands a piece over; the stage that does so is not at work while there is no room. `false` when nobody takes it.
pub(crate) fn hand_over(to: &SyncSender<Piece>, piece: Piece, stage: &Stage) -> bool {
    match to.try_send(piece) {
        Ok(()) => true,
        Err(TrySendError::Disconnected(_)) => false,
        Err(TrySendError::Full(piece)) => {
            stage.waits();
            let sent = to.send(piece).is_ok();
            stage.works();
            sent
        }
    }
}

/// Hands pieces to one output.
pub(crate) struct Sender {
    pub(crate) to: SyncSender<Piece>,
    pub(crate) reading: Stage,
}

impl Sender {
    /// Hands a piece over; `false` when the output is gone.
    pub(crate) fn send(&self, piece: Piece) -> bool {
        hand_over(&self.to, piece, &self.reading)
    }
}
