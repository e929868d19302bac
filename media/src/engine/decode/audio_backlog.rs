//! Backlog of audio packets that are far ahead of the video in the file, or under a frame that is shown for long. They
//! wait undecoded: an hour of decoded stereo at 48 kHz takes more than a gigabyte.

use ffmpeg_next::Packet;
use std::collections::VecDeque;

/// Maximum bytes of waiting packets.
pub(crate) const MAX_BACKLOG_BYTES: usize = 64 << 20;

/// Waiting audio packets, in their order.
#[derive(Default)]
pub(crate) struct AudioBacklog {
    pub(crate) packets: VecDeque<Packet>,
    pub(crate) bytes: usize,
}

impl AudioBacklog {
    pub(crate) fn push(&mut self, packet: Packet) {
        self.bytes += packet.size();
        self.packets.push_back(packet);
    }

    pub(crate) fn pop(&mut self) -> Option<Packet> {
        let packet = self.packets.pop_front()?;
        self.bytes = self.bytes.saturating_sub(packet.size());
        Some(packet)
    }
}
