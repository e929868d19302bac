//! The bounded channel from the fan-out to the thread of one output, and the items that it carries.

use crate::engine::decode::timeline::Part;
use crate::engine::demux::copy_source::TrackKind;
use crate::engine::progress::OutputProgress;
use crate::engine::stage::Stage;
use crate::engine::video::scaled_frames::SharedFrame;
use ffmpeg_next::Packet;
use ffmpeg_next::frame::Audio;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

/// An item for an output. Times are timeline times: microseconds after the start of the joined spans.
pub(crate) enum MediaItem {
    /// The items that follow belong to this part.
    Part(Part),
    /// A frame; `duration_us` is approximate where the source does not state it.
    Frame {
        frame: SharedFrame,
        at_us: i64,
        duration_us: i64,
    },
    /// The end of the video of a part. The last frame is shown until `until_us`; `None` is the end of the part, where
    /// its source continues after it.
    VideoEnd { until_us: Option<i64> },
    /// Decoded samples.
    Audio { audio: Audio, at_us: i64 },
    /// Packets of the source, with its repaired timestamps.
    Packets(Vec<(Packet, TrackKind)>),
}

/// Receives the items of one output in order. Its stage is idle while it waits for one.
pub(crate) struct MediaReceiver {
    receiver: Receiver<MediaItem>,
    progress: OutputProgress,
}

impl MediaReceiver {
    pub(crate) const fn new(receiver: Receiver<MediaItem>, progress: OutputProgress) -> Self {
        Self { receiver, progress }
    }

    /// The progress of the thread that renders the items.
    pub(crate) const fn progress(&self) -> &OutputProgress {
        &self.progress
    }

    /// Returns the next item; `None` after the last one.
    pub(crate) fn recv(&self) -> Option<MediaItem> {
        let stage = self.progress.stage();
        stage.set_idle();
        let item = self.receiver.recv().ok();
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

/// Sends an item; `stage`, the stage of the calling thread, is idle while the channel is full. Returns `false` when the
/// receiver is gone.
pub(crate) fn send_or_wait(sender: &SyncSender<MediaItem>, item: MediaItem, stage: &Stage) -> bool {
    match sender.try_send(item) {
        Ok(()) => true,
        Err(TrySendError::Disconnected(_)) => false,
        Err(TrySendError::Full(item)) => {
            stage.set_idle();
            let sent = sender.send(item).is_ok();
            stage.set_active();
            sent
        }
    }
}

/// Sends items to one output.
pub(crate) struct MediaSender {
    pub(crate) sender: SyncSender<MediaItem>,
    /// The stage of the sending thread.
    pub(crate) reader_stage: Stage,
}

impl MediaSender {
    /// Sends an item; returns `false` when the output has ended.
    pub(crate) fn send(&self, item: MediaItem) -> bool {
        send_or_wait(&self.sender, item, &self.reader_stage)
    }
}
