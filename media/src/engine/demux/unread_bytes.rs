//! Bytes at the end of a file that the demuxer does not read.
//!
//! *Problem.* In some formats FFmpeg stops before the end of the file: where a second file follows the first one (FLV,
//! ASF, MP4, Ogg whose second file has several streams or another codec, Matroska whose segment has an unknown size),
//! or where the header states too small a size (WAV). No packet is damaged and no timestamp is missing, so nothing else
//! shows that a part of the file was not read.
//!
//! *Evidence.* The position of the last packet in FLV, and in Ogg where reading ended with errors; the size of the file
//! in the header of an ASF. A few bytes behind them are normal: the end of the last packet, an index. In Matroska the
//! header of the second file, or a block that is cut, after the last packet. In MP4 and WAV, the boxes or chunks after
//! the part that was read.

use crate::engine::demux::container::{is_matroska, is_mp4};
use crate::engine::demux::file_structure::FileStructure;
use crate::engine::demux::matroska_chain::{self, Tail};
use crate::engine::demux::{asf, wav};
use crate::engine::file_bytes::length;
use ffmpeg_next::Packet;
use std::fs::File;

/// Minimum number of unread bytes that is reported where an index or the end of a packet may follow.
const LEAST_BYTES: u64 = 16 << 10;

/// Minimum part of the file that is reported there: one byte in this many.
const LEAST_PART: u64 = 50;

/// The end of a file after the packets that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnreadTail {
    /// No media.
    None,
    /// A packet that the end of the file cuts.
    Cut,
    /// Bytes that were not read.
    Bytes(u64),
}

/// Tracks the end of the packets that were read.
#[derive(Debug)]
pub(crate) struct UnreadBytes {
    source: Option<File>,
    container: String,
    /// Offset of a second file in an MP4.
    second_file: Option<u64>,
    /// End of the last packet in the file.
    read_to: u64,
    /// Position of the last packet in the file.
    last: u64,
}

impl UnreadBytes {
    pub(crate) fn new(source: &File, container: &str, structure: &FileStructure) -> Self {
        Self {
            source: source.try_clone().ok(),
            container: container.to_owned(),
            second_file: structure.boxes().and_then(|chain| chain.second_file),
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

    /// Determines the content of the file after the last packet. `failed`: reading ended with errors.
    pub(crate) fn tail(&self, failed: bool) -> UnreadTail {
        let Some(source) = &self.source else {
            return UnreadTail::None;
        };
        let length = length(source);
        let from = |start: Option<u64>| start.map(|start| length.saturating_sub(start));
        let unusual = |end: Option<u64>| from(end).filter(|count| *count > LEAST_BYTES && *count > length / LEAST_PART);
        let count = match self.container.as_str() {
            "flv" => unusual(Some(self.read_to).filter(|end| *end > 0)),
            "ogg" => unusual(Some(self.read_to).filter(|end| *end > 0 && failed)),
            "asf" => unusual(asf::header_bytes(source)),
            "wav" => wav::unread_in_wav(source),
            name if is_mp4(name) => from(self.second_file),
            name if is_matroska(name) && self.last > 0 => match matroska_chain::tail(source, self.last) {
                Tail::File(at) => from(Some(at)),
                Tail::Cut => return UnreadTail::Cut,
                Tail::Empty => None,
            },
            _ => None,
        };
        count.map_or(UnreadTail::None, UnreadTail::Bytes)
    }
}
