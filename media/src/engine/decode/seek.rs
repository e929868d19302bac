//! Seeks to where decoding must begin so that the first wanted frame is complete.

use crate::engine::cancel::Cancel;
use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::demux::packets::next_packet;
use crate::engine::ffi::{input, packet};
use crate::engine::time::to_us;
use domain::Failure;
use ffmpeg_next::format::context::Input;

/// How far before the target to look for a keyframe, one try after the other. The first is small: indexes count in
/// decoding order, and B-frames are shown later than they are decoded.
const STEPS_BACK_US: [i64; 4] = [130_000, 2_200_000, 12_000_000, 60_000_000];

/// Packets of pictures looked through for a keyframe, before a longer step back is taken.
const MAX_PACKETS: u32 = 1_000;

/// Containers without an index, whose times after a seek are only guessed. They carry sound alone and are read from
/// their beginning.
const UNINDEXED: [&str; 2] = ["mp3", "aac"];

/// Containers of packets that can be read from any byte. A search by time may not find their beginning again, where the first
/// packets have no time.
const PACKETIZED: [&str; 2] = ["mpegts", "mpeg"];

/// Goes to the last keyframe at or before `target_us` on the source's clock, or to the beginning.
pub(crate) fn seek_to_keyframe(
    input: &mut Input,
    video: Option<&StreamDecoder>,
    target_us: i64,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let origin = video.map_or_else(|| input::start_us(input).unwrap_or(0), |decoder| decoder.start_us);
    if target_us <= origin || UNINDEXED.contains(&input.format().name()) {
        return Ok(());
    }
    let mut moved = false;
    for step in STEPS_BACK_US {
        let from = target_us - step;
        if from <= origin || input.seek(from, ..from).is_err() {
            break;
        }
        moved = true;
        let Some(decoder) = video else { return Ok(()) };
        if keyframe_follows(input, decoder, target_us, cancel)? && input.seek(from, ..from).is_ok() {
            return Ok(());
        }
    }
    if moved {
        // Reading on from a place that is too late would lose pictures, as would the place of the first one's time:
        // it is decoded before. If even the beginning cannot be found again, the loss shows in the report.
        let is_packetized = PACKETIZED.contains(&input.format().name());
        if !is_packetized || packet::rewind(input).is_err() {
            let _ = input.seek(i64::MIN / 2, ..);
        }
    }
    Ok(())
}

/// Whether the next keyframe is shown at or before the target, and pictures are whole by then.
fn keyframe_follows(
    input: &mut Input,
    decoder: &StreamDecoder,
    target_us: i64,
    cancel: &Cancel,
) -> Result<bool, Failure> {
    let mut looked_at = 0;
    while looked_at < MAX_PACKETS
        && let Some(packet) = next_packet(input, cancel)?
    {
        if packet.stream() != decoder.index {
            continue;
        }
        if let Some(wait_us) = decoder.recovery_us(&packet) {
            let shown = packet.pts().or_else(|| packet.dts());
            let whole_us = shown.map(|time| to_us(time, decoder.time_base).saturating_add(wait_us));
            return Ok(whole_us.is_some_and(|us| us <= target_us));
        }
        looked_at += 1;
    }
    Ok(false)
}
