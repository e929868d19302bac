//! Bytes at the end of a file that the demuxer does not read.
//!
//! *Problem.* In some formats FFmpeg ends where a second file follows the first one: FLV, ASF, and Ogg whose second
//! file has several streams or another codec. All packets that it returns are complete, so nothing else shows that a
//! part of the file was not read.
//!
//! *Evidence.* The position of the last packet in FLV; in Ogg as well, where reading ended with errors; the size of the
//! file in the header of an ASF. A few bytes behind them are normal: the end of the last packet, an index.

use crate::engine::demux::asf;
use ffmpeg_next::Packet;
use std::fs::File;

/// Minimum number of unread bytes that is reported.
const LEAST_BYTES: u64 = 16 << 10;

/// Minimum part of the file that is reported: one byte in this many.
const LEAST_PART: u64 = 50;

/// Tracks the end of the packets that were read.
#[derive(Debug)]
pub(crate) struct UnreadBytes {
    source: Option<File>,
    format: &'static str,
    /// End of the last packet in the file.
    read_to: u64,
}

impl UnreadBytes {
    pub(crate) fn new(source: &File, format: &str) -> Self {
        let formats = ["flv", "ogg", "asf"];
        Self {
            source: source.try_clone().ok(),
            format: formats.into_iter().find(|name| *name == format).unwrap_or_default(),
            read_to: 0,
        }
    }

    /// Records a packet that was read.
    pub(crate) fn record_packet(&mut self, packet: &Packet) {
        if let Ok(at) = u64::try_from(packet.position()) {
            self.read_to = self.read_to.max(at.saturating_add(packet.size() as u64));
        }
    }

    /// Number of bytes after the last packet, if there are more than usual. `failed`: reading ended with errors.
    pub(crate) fn count(&self, failed: bool) -> Option<u64> {
        let source = self.source.as_ref()?;
        let length = source.metadata().ok()?.len();
        let end = match self.format {
            "flv" if self.read_to > 0 => self.read_to,
            "ogg" if self.read_to > 0 && failed => self.read_to,
            "asf" => asf::header_bytes(source)?,
            _ => return None,
        };
        let count = length.saturating_sub(end);
        (count > LEAST_BYTES && count > length / LEAST_PART).then_some(count)
    }
}
