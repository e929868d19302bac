//! Surveys of packets: reads all packets of a source, or those at its end, to find the ends of streams and
//! discontinuities, and counts packets. Nothing is decoded.

use crate::engine::cancel::Cancel;
use crate::engine::demux::container::is_cover_art;
use crate::engine::demux::discontinuity::DiscontinuityRepair;
use crate::engine::demux::packets::next_packet;
use crate::engine::ffi::packet;
use crate::engine::ffi::parameters::{self, MediaType};
use crate::engine::time::to_us;
use domain::Failure;
use ffmpeg_next::Packet;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Stream;

/// Packets read to tell a video from a few stills.
pub(crate) const MAX_COUNTED_PACKETS: u32 = 5_000;

/// Result of reading the packets of a source.
pub(crate) struct Survey {
    /// End of each video and audio stream in source time, in microseconds; `None` without packets, and for other
    /// streams.
    pub(crate) ends_us: Vec<Option<i64>>,
    /// `true` when the timestamps have a discontinuity.
    pub(crate) has_discontinuity: bool,
}

impl Survey {
    /// End of the last frame or sample; 0 when no packet has a timestamp.
    pub(crate) fn end_us(&self) -> i64 {
        self.ends_us.iter().flatten().copied().max().unwrap_or(0)
    }
}

/// Surveys a source from its current position to its end.
pub(crate) fn survey_packets(input: &mut Input, cancel: &Cancel) -> Result<Survey, Failure> {
    let bases: Vec<_> = input.streams().map(|stream| media_time_base(&stream)).collect();
    let mut discontinuities = DiscontinuityRepair::of(input);
    let mut ends_us = vec![None; bases.len()];
    while let Some(mut packet) = next_packet(input, cancel)? {
        let index = packet.stream();
        if let (Some(Some(base)), Some(end_us)) = (bases.get(index), ends_us.get_mut(index)) {
            discontinuities.repair(&mut packet, *base);
            *end_us = (*end_us).max(packet_end_us(&packet, *base));
        }
    }
    Ok(Survey {
        ends_us,
        has_discontinuity: discontinuities.has_discontinuity(),
    })
}

/// Surveys a source from the last keyframe of a stream in its index to its end; `None` where FFmpeg cannot seek. A
/// second file that is appended to the first is read as well; its timestamps begin with a discontinuity. In formats
/// without an index, FFmpeg would read the whole file to seek.
pub(crate) fn survey_tail(input: &mut Input, stream: usize, cancel: &Cancel) -> Result<Option<Survey>, Failure> {
    if packet::seek_stream(input, stream, i64::MAX / 2).is_err() {
        return Ok(None);
    }
    survey_packets(input, cancel).map(Some)
}

/// Time base of a video or audio stream; `None` for cover art and other streams, which have no duration.
fn media_time_base(stream: &Stream<'_>) -> Option<ffmpeg_next::Rational> {
    let kind = parameters::codec_facts(&stream.parameters()).kind;
    (matches!(kind, MediaType::Video | MediaType::Audio) && !is_cover_art(stream)).then(|| stream.time_base())
}

fn packet_end_us(packet: &Packet, base: ffmpeg_next::Rational) -> Option<i64> {
    let time = packet.pts().or_else(|| packet.dts())?;
    Some(to_us(time.saturating_add(packet.duration().max(0)), base))
}

/// Counts the packets of each stream among the first [`MAX_COUNTED_PACKETS`] of the source, then seeks to the
/// beginning.
pub(crate) fn count_packets(input: &mut Input, cancel: &Cancel) -> Result<Vec<u64>, Failure> {
    let mut counts = vec![0; usize::try_from(input.nb_streams()).unwrap_or(0)];
    let mut read = 0;
    while read < MAX_COUNTED_PACKETS
        && let Some(packet) = next_packet(input, cancel)?
    {
        if let Some(count) = counts.get_mut(packet.stream()) {
            *count += 1;
        }
        read += 1;
    }
    let _ = input.seek(i64::MIN / 2, ..);
    Ok(counts)
}
