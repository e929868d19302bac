//! Reads the packets of a source through: ends of streams, jumps of the clock, and packet counts.

use crate::engine::cancel::Cancel;
use crate::engine::demux::discontinuity::DiscontinuityRepair;
use crate::engine::demux::packets::next_packet;
use crate::engine::ffi::packet;
use crate::engine::ffi::parameters::{self, MediaType};
use crate::engine::time::to_us;
use domain::Failure;
use ffmpeg_next::Packet;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::{Disposition, Stream};

/// Packets counted to tell a movie from a few stills.
pub(crate) const MAX_COUNTED: u32 = 5_000;

/// What a look at every packet of a source tells.
pub(crate) struct Survey {
    /// Where each stream of pictures or sound ends on the repaired clock, in microseconds.
    pub(crate) ends_us: Vec<Option<i64>>,
    /// Whether the clock jumps.
    pub(crate) jumped: bool,
}

impl Survey {
    /// The end of the last picture or sample; 0 when no packet has a time.
    pub(crate) fn end_us(&self) -> i64 {
        self.ends_us.iter().flatten().copied().max().unwrap_or(0)
    }
}

/// Reads a source to its end from where it is.
pub(crate) fn survey_packets(input: &mut Input, cancel: &Cancel) -> Result<Survey, Failure> {
    let bases: Vec<_> = input.streams().map(|stream| lasting_base(&stream)).collect();
    let mut discontinuities = DiscontinuityRepair::of(input);
    let mut ends_us = vec![None; bases.len()];
    while let Some(mut packet) = next_packet(input, cancel)? {
        let index = packet.stream();
        if let (Some(Some(base)), Some(end_us)) = (bases.get(index), ends_us.get_mut(index)) {
            discontinuities.repair(&mut packet, *base);
            *end_us = (*end_us).max(end_of(&packet, *base));
        }
    }
    Ok(Survey {
        ends_us,
        jumped: discontinuities.has_jumped(),
    })
}

/// Reads a source from the last keyframe of a stream that its index tells to the end; `None` where FFmpeg cannot seek. In formats
/// without an index it looks through the whole file for the place. A second file
/// behind the first one, which the headers do not know, is read as well: its clock begins anew.
pub(crate) fn survey_tail(input: &mut Input, stream: usize, cancel: &Cancel) -> Result<Option<Survey>, Failure> {
    if packet::seek_stream(input, stream, i64::MAX / 2).is_err() {
        return Ok(None);
    }
    survey_packets(input, cancel).map(Some)
}

/// The time base of a stream that has a length: pictures or sound, no cover.
fn lasting_base(stream: &Stream<'_>) -> Option<ffmpeg_next::Rational> {
    let kind = parameters::codec_facts(&stream.parameters()).kind;
    let cover = stream.disposition().contains(Disposition::ATTACHED_PIC);
    (matches!(kind, MediaType::Video | MediaType::Audio) && !cover).then(|| stream.time_base())
}

fn end_of(packet: &Packet, base: ffmpeg_next::Rational) -> Option<i64> {
    let time = packet.pts().or_else(|| packet.dts())?;
    Some(to_us(time.saturating_add(packet.duration().max(0)), base))
}

/// Counts the packets of each stream, of which there are enough to tell a movie from a few stills, and goes back to the
/// beginning.
pub(crate) fn count_packets(input: &mut Input, cancel: &Cancel) -> Result<Vec<u64>, Failure> {
    let mut counts = vec![0; usize::try_from(input.nb_streams()).unwrap_or(0)];
    let mut read = 0;
    while read < MAX_COUNTED
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
