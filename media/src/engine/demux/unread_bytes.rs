//! Bytes at the end of a file that the demuxer does not read.
//!
//! *Problem.* In some formats FFmpeg ends where a second file follows the first one: FLV, ASF, Ogg whose second file
//! has several streams or another codec, and Matroska whose segment has an unknown size. All packets that it returns
//! are complete, so nothing else shows that a part of the file was not read.
//!
//! *Evidence.* The position of the last packet in FLV; in Ogg as well, where reading ended with errors; the size of the
//! file in the header of an ASF. A few bytes behind them are normal: the end of the last packet, an index. In Matroska
//! the header of the second file, or a block that is cut, after the last packet.

use crate::engine::demux::asf;
use crate::engine::demux::matroska_chain::{self, Tail};
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
    /// Position of the last packet in the file.
    last: u64,
}

impl UnreadBytes {
    pub(crate) fn new(source: &File, format: &str) -> Self {
        let formats = ["flv", "ogg", "asf", "matroska,webm"];
        Self {
            source: source.try_clone().ok(),
            format: formats.into_iter().find(|name| *name == format).unwrap_or_default(),
            read_to: 0,
            last: 0,
        }
    }

    /// Records a packet that was read.
    pub(crate) fn record_packet(&mut self, packet: &Packet) {
        if let Ok(at) = u64::try_from(packet.position()) {
            self.read_to = self.read_to.max(at.saturating_add(packet.size() as u64));
            self.last = self.last.max(at);
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
            "matroska,webm" => match self.tail()? {
                Tail::File(at) => return Some(length.saturating_sub(at)),
                Tail::Cut | Tail::Empty => return None,
            },
            _ => return None,
        };
        let count = length.saturating_sub(end);
        (count > LEAST_BYTES && count > length / LEAST_PART).then_some(count)
    }

    /// Returns `true` if the file ends inside of a block after the last packet.
    pub(crate) fn is_cut(&self) -> bool {
        self.tail() == Some(Tail::Cut)
    }

    fn tail(&self) -> Option<Tail> {
        let source = self.source.as_ref()?;
        (self.format == "matroska,webm" && self.last > 0).then(|| matroska_chain::tail(source, self.last))
    }
}
