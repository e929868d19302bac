//! The bounded channel from the fan-out to the thread of one output.

use crate::engine::decode::timeline::Part;
use crate::engine::demux::copy_source::TrackKind;
use crate::engine::progress::OutputProgress;
use crate::engine::stage::Stage;
use crate::engine::video::scaled_frames::SharedFrame;
use ffmpeg_next::Packet;
use ffmpeg_next::frame::Audio;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

/// What an output is given. Times count in microseconds along the joined spans.
pub(crate) enum MediaItem {
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
    Packets(Vec<(Packet, TrackKind)>),
}

/// The pieces of one output in their order. While it waits for one, its stage is not at work.
pub(crate) struct MediaReceiver {
    from: Receiver<MediaItem>,
    progress: OutputProgress,
}

impl MediaReceiver {
    pub(crate) const fn new(from: Receiver<MediaItem>, progress: OutputProgress) -> Self {
        Self { from, progress }
    }

    /// The progress of whoever works on the pieces.
    pub(crate) const fn progress(&self) -> &OutputProgress {
        &self.progress
    }

    /// The next piece; `None` when no more come.
    pub(crate) fn recv(&self) -> Option<MediaItem> {
        let stage = self.progress.stage();
        stage.set_idle();
        let item = self.from.recv().ok();
        stage.count_item();
        item
    }
}

impl Iterator for &MediaReceiver {
    type Item = MediaItem;

    fn next(&mut self) -> Option<MediaItem> {
        self.recv()
    }
}

/// Hands a piece over; the stage that does so is not at work while there is no capacity. `false` when nobody takes it.
pub(crate) fn send_or_wait(to: &SyncSender<MediaItem>, item: MediaItem, stage: &Stage) -> bool {
    match to.try_send(item) {
        Ok(()) => true,
        Err(TrySendError::Disconnected(_)) => false,
        Err(TrySendError::Full(item)) => {
            stage.set_idle();
            let sent = to.send(item).is_ok();
            stage.set_active();
            sent
        }
    }
}

/// Hands pieces to one output.
pub(crate) struct MediaSender {
    pub(crate) to: SyncSender<MediaItem>,
    pub(crate) reader_stage: Stage,
}

impl MediaSender {
    /// Hands a piece over; `false` when the output is gone.
    pub(crate) fn send(&self, item: MediaItem) -> bool {
        send_or_wait(&self.to, item, &self.reader_stage)
    }
}
