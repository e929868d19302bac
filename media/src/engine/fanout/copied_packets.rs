//! References to packets that outputs copy, held by the thread that reads them until the outputs have written them.
//!
//! The demuxer allocates the data of a packet on the reading thread. If the thread of an output frees it, both threads
//! wait for the lock of the same heap (an *arena* of the C library, malloc(3)) with every packet, which took a fifth of
//! the time of a copy. So the reading thread drops the last reference.

use crate::engine::ffi::packet;
use ffmpeg_next::{Error, Packet};
use std::collections::VecDeque;

/// Maximum number of packets that are held.
const MAX_PACKETS: usize = 512;

/// Packets of this size or more are not held. With [`MAX_PACKETS`] it bounds the bytes. They are few, and the C library
/// maps memory for them outside its heaps.
const MAX_PACKET_BYTES: usize = 64 << 10;

/// References to packets in the order in which they were read.
#[derive(Default)]
pub(crate) struct CopiedPackets(VecDeque<Packet>);

impl CopiedPackets {
    /// Drops the packets that all outputs have written, and holds another one.
    pub(crate) fn hold(&mut self, packet: &Packet) -> Result<(), Error> {
        while self.0.len() >= MAX_PACKETS || self.0.front().is_some_and(|packet| !packet::is_shared(packet)) {
            self.0.pop_front();
        }
        if packet.size() < MAX_PACKET_BYTES {
            self.0.push_back(packet::share_packet(packet)?);
        }
        Ok(())
    }
}
