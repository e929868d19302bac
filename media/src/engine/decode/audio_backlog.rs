//! Packets of sound that stand far ahead of their pictures in the file, or under a picture that stands for long. They wait
//! as packets: decoded, an hour of them would take more than a gigabyte.

use ffmpeg_next::Packet;
use std::collections::VecDeque;

/// Most bytes that wait.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// What waits, in its order.
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
