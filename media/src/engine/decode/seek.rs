//! Seeks to the position where decoding must begin so that the first needed frame is complete.
//!
//! `av_seek_frame` is not enough. Some indexes hold decoding times, so the keyframe found may be shown after the
//! target, and an open GOP or an intra refresh needs more frames to be complete. After each seek, packets are therefore
//! read up to the next keyframe. If frames are not complete by the target, the next step back is longer. The last
//! resort is the beginning.

use crate::engine::cancel::Cancel;
use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::demux::packets::next_packet;
use crate::engine::ffi::{input, packet};
use crate::engine::time::to_us;
use domain::Failure;
use ffmpeg_next::format::context::Input;

/// Distances before the target of successive seeks, in microseconds. The first one only covers the difference between
/// decoding and presentation times (B-frames).
const STEPS_BACK_US: [i64; 4] = [130_000, 2_200_000, 12_000_000, 60_000_000];

/// Video packets read to find a keyframe before the next step back.
const MAX_PACKETS: u32 = 1_000;

/// Containers without an index, whose timestamps after a seek are estimates. They contain only audio and are read from
/// their beginning.
const CONTAINERS_WITHOUT_INDEX: [&str; 2] = ["mp3", "aac"];

/// Containers that can be read from any byte. A seek by time may not find their beginning, because the first packets
/// may have no timestamp; they are rewound by byte position.
const MPEG_CONTAINERS: [&str; 2] = ["mpegts", "mpeg"];

/// Seeks to a keyframe from which frames are complete at source time `target_us`, or to the beginning.
pub(crate) fn seek_to_keyframe(
    input: &mut Input,
    video: Option<&StreamDecoder>,
    target_us: i64,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let origin = video.map_or_else(|| input::start_us(input).unwrap_or(0), |decoder| decoder.start_us);
    if target_us <= origin || CONTAINERS_WITHOUT_INDEX.contains(&input.format().name()) {
        return Ok(());
    }
    let mut has_moved = false;
    for step in STEPS_BACK_US {
        let from = target_us - step;
        if from <= origin || input.seek(from, ..from).is_err() {
            break;
        }
        has_moved = true;
        let Some(decoder) = video else { return Ok(()) };
        if complete_frame_follows(input, decoder, target_us, cancel)? && input.seek(from, ..from).is_ok() {
            return Ok(());
        }
    }
    if has_moved {
        // To continue from here would lose frames. So would a seek to the time of the first frame, whose packet comes
        // before that time. If even the beginning cannot be found again, the loss is reported as damage.
        let is_mpeg = MPEG_CONTAINERS.contains(&input.format().name());
        if !is_mpeg || packet::rewind(input).is_err() {
            let _ = input.seek(i64::MIN / 2, ..);
        }
    }
    Ok(())
}

/// Returns `true` when a keyframe follows from which frames are complete at or before the target.
fn complete_frame_follows(
    input: &mut Input,
    decoder: &StreamDecoder,
    target_us: i64,
    cancel: &Cancel,
) -> Result<bool, Failure> {
    let mut packets_read = 0;
    while packets_read < MAX_PACKETS
        && let Some(packet) = next_packet(input, cancel)?
    {
        if packet.stream() != decoder.index {
            continue;
        }
        if let Some(recovery_us) = decoder.recovery_us(&packet) {
            let shown = packet.pts().or_else(|| packet.dts());
            let complete_us = shown.map(|time| to_us(time, decoder.time_base).saturating_add(recovery_us));
            return Ok(complete_us.is_some_and(|us| us <= target_us));
        }
        packets_read += 1;
    }
    Ok(false)
}
