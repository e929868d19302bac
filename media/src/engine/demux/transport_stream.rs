//! Repairs the start of a transport stream that was cut at an arbitrary packet (ISO/IEC 13818-1).
//!
//! Such a recording may begin before the tables (PAT and PMT), which are repeated at intervals, and in the middle of a
//! PES packet. FFmpeg drops all video until it has read the tables and then the start of a PES packet. If the only
//! keyframe is in the dropped part, the rest cannot be decoded. Therefore copies of the tables, and a PES header
//! without timestamps, are put before the stream.

use crate::engine::demux::edited_file::ByteEdits;
use crate::engine::file_bytes::{length, read_up_to};
use domain::mpeg_ts::Layout;
use std::fs::File;

/// Number of bytes in which the tables are searched. They are repeated at least ten times per second in practice.
const SEARCHED_BYTES: usize = 1 << 20;

/// Number of null packets that fill the first 2,048 bytes, which FFmpeg probes first (`PROBE_BUF_MIN`).
const NULL_PACKETS: usize = 12;

/// Size of a packet in bytes, without a timestamp before it or a checksum after it.
const PACKET_BYTES: usize = 188;

/// `stream_type` values of video: MPEG-1, MPEG-2, MPEG-4 part 2, H.264, HEVC.
const VIDEO_STREAM_TYPES: [u8; 5] = [0x01, 0x02, 0x10, 0x1b, 0x24];

/// PES header of a video stream without timestamps and with unspecified length (§2.4.3.6).
const PES_HEADER: [u8; 9] = [0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0];

/// Edits for a stream whose first whole packet is at this offset: it is read from there on, after the missing packets.
/// Null packets before them fill FFmpeg's first probe buffer: without tables there, which may come later, FFmpeg would
/// detect the format of the payload instead.
pub(crate) fn edits(file: &File, offset: usize, layout: Layout) -> ByteEdits {
    let from = offset as u64;
    let mut start = vec![0; SEARCHED_BYTES];
    let count = read_up_to(file, &mut start, from).unwrap_or(0);
    let mut prefix = layout.stuffing(NULL_PACKETS);
    prefix.extend(missing_packets(start.get(..count).unwrap_or_default(), layout));
    let whole = from..length(file);
    ByteEdits {
        prefix,
        ranges: vec![whole],
        ..ByteEdits::default()
    }
}

/// One packet.
#[derive(Clone, Copy)]
struct TsPacket<'a> {
    /// The packet with a timestamp before it or a checksum after it, if the layout has them.
    whole: &'a [u8],
    bytes: &'a [u8; PACKET_BYTES],
}

impl<'a> TsPacket<'a> {
    fn of(whole: &'a [u8], layout: Layout) -> Option<Self> {
        let bytes = whole.get(layout.lead..)?.first_chunk()?;
        Some(Self { whole, bytes })
    }

    fn pid(&self) -> u16 {
        let [_, high, low, ..] = self.bytes;
        u16::from(high & 0x1f) << 8 | u16::from(*low)
    }

    /// `payload_unit_start_indicator`: a table or a PES packet starts in this packet.
    fn has_unit_start(&self) -> bool {
        let [_, flags, ..] = self.bytes;
        flags & 0x40 != 0
    }

    fn continuity_counter(&self) -> u8 {
        let [_, _, _, counter, ..] = self.bytes;
        counter & 0x0f
    }

    /// The table section that starts in this packet, after the pointer field.
    fn table(&self) -> Option<&'a [u8]> {
        let [_, _, _, control, length, ..] = self.bytes;
        let adaptation_field = if control & 0x20 == 0 {
            0
        } else {
            1 + usize::from(*length)
        };
        let payload = self.bytes.get(4 + adaptation_field..)?;
        payload.get(1 + usize::from(*payload.first()?)..)
    }
}

/// Returns the packets to read before a stream with these bytes: tables that come later, and the start of a cut PES
/// packet. Empty if the stream begins with its tables, or if no tables are found.
fn missing_packets(bytes: &[u8], layout: Layout) -> Vec<u8> {
    find_missing(bytes, layout).unwrap_or_default()
}

fn find_missing(bytes: &[u8], layout: Layout) -> Option<Vec<u8>> {
    let packets = || {
        bytes
            .chunks_exact(layout.step)
            .filter_map(|whole| TsPacket::of(whole, layout))
    };
    let first_start = |pid: u16| packets().find(|packet| packet.has_unit_start() && packet.pid() == pid);
    let pat = first_start(0)?;
    let pmt = first_start(pmt_pid(pat.table()?)?)?;
    let video = video_pid(pmt.table()?)?;
    let (video_index, first) = packets().enumerate().find(|(_, packet)| packet.pid() == video)?;
    let pmt_index = packets().position(|packet| packet.has_unit_start() && packet.pid() == pmt.pid())?;
    if first.has_unit_start() && pmt_index < video_index {
        return None;
    }
    let mut missing = [pat.whole, pmt.whole].concat();
    if !first.has_unit_start() {
        missing.extend(pes_start(first, layout));
    }
    Some(missing)
}

/// PID of the program map table of the first program in a program association table (§2.4.4.3). Program number 0 is the
/// network information table.
fn pmt_pid(pat: &[u8]) -> Option<u16> {
    let entries = pat.get(8..)?.chunks_exact(4);
    let mut pids = entries.filter_map(|entry| match entry {
        [0, 0, ..] => None,
        [_, _, high, low] => Some(u16::from(high & 0x1f) << 8 | u16::from(*low)),
        _ => None,
    });
    pids.next()
}

/// PID of the first video stream in a program map table (§2.4.4.8).
fn video_pid(pmt: &[u8]) -> Option<u16> {
    let length = |high: &u8, low: &u8| usize::from(high & 0x0f) << 8 | usize::from(*low);
    let end = 3 + length(pmt.get(1)?, pmt.get(2)?);
    let mut rest = pmt.get(12 + length(pmt.get(10)?, pmt.get(11)?)..end.min(pmt.len()))?;
    while let [stream_type, high, low, info_high, info_low, after @ ..] = rest {
        if VIDEO_STREAM_TYPES.contains(stream_type) {
            return Some(u16::from(high & 0x1f) << 8 | u16::from(*low));
        }
        rest = after.get(length(info_high, info_low)..)?;
    }
    None
}

/// Creates a packet that starts a PES packet, to be read before the packet `first`. Stuffing in the adaptation field
/// fills it up.
fn pes_start(first: TsPacket<'_>, layout: Layout) -> Vec<u8> {
    let [pid_high, pid_low] = first.pid().to_be_bytes();
    let counter = first.continuity_counter().wrapping_sub(1) & 0x0f;
    let adaptation_field = PACKET_BYTES - 4 - 1 - PES_HEADER.len();
    let mut packet = vec![0xff; layout.step];
    let header = [
        0x47,
        0x40 | pid_high,
        pid_low,
        0x30 | counter,
        u8::try_from(adaptation_field).unwrap_or(0),
        0,
    ];
    let start = packet.iter_mut().skip(layout.lead);
    start.zip(header).for_each(|(to, from)| *to = from);
    let payload = packet.iter_mut().skip(layout.lead + PACKET_BYTES - PES_HEADER.len());
    payload.zip(PES_HEADER).for_each(|(to, from)| *to = from);
    packet
}
