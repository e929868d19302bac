//! Decodes the first frames of a stream for facts that headers lack: interlacing and sample aspect ratio.

use crate::engine::cancel::Cancel;
use crate::engine::demux::open;
use crate::engine::demux::packets::next_packet;
use crate::engine::error::{AGAIN, unreadable_packets};
use crate::engine::probe::pixel_aspect::RawAspect;
use crate::engine::shortage;
use domain::Failure;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Error, Frame, codec};

/// Maximum packets sent to the decoder.
const MAX_PACKETS: u32 = 300;

/// Maximum frames to inspect.
const MAX_FRAMES: u32 = 8;

/// Returns `true` when one of the first frames is flagged as interlaced.
pub(crate) fn frames_are_interlaced(input: &mut Input, index: usize, cancel: &Cancel) -> Result<bool, Failure> {
    let mut interlaced = false;
    for_each_first_frame(input, index, cancel, |frame| {
        interlaced |= frame.is_interlaced();
        !interlaced
    })?;
    Ok(interlaced)
}

/// Sample aspect ratios of the first frames of a stream.
pub(crate) fn frame_aspects(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Vec<RawAspect>, Failure> {
    let mut aspects = Vec::new();
    for_each_first_frame(input, index, cancel, |frame| {
        let aspect = frame.aspect_ratio();
        aspects.push((aspect.numerator(), aspect.denominator()));
        true
    })?;
    Ok(aspects)
}

/// Decodes the first frames of a stream and calls `inspect` with each, until it returns `false`.
fn for_each_first_frame(
    input: &mut Input,
    index: usize,
    cancel: &Cancel,
    mut inspect: impl FnMut(&Video) -> bool,
) -> Result<(), Failure> {
    let Some(stream) = input.stream(index) else {
        return Ok(());
    };
    let Some(decoder) = open::find_decoder(&stream) else {
        return Ok(());
    };
    let context = codec::Context::from_parameters(stream.parameters()).map_err(unreadable_packets)?;
    let mut decoder = match context.decoder().open_as(decoder) {
        Ok(decoder) => decoder,
        Err(error) => {
            shortage::check_open_error(error);
            return Ok(());
        }
    };
    // The source may have been read to its end before. If it cannot seek back, frames after the current position have
    // to do.
    let _ = input.seek(i64::MIN / 2, ..);
    let (mut frames, mut packets) = (0, 0);
    while let Some(packet) = next_packet(input, cancel)? {
        if packet.stream() != index {
            continue;
        }
        packets += 1;
        // Damage is reported by the transcode.
        let _ = decoder.send_packet(&packet);
        let mut frame = Video::empty();
        while receive_frame(&mut decoder, &mut frame)? {
            if !inspect(&frame) {
                return Ok(());
            }
            frames += 1;
        }
        if frames >= MAX_FRAMES || packets >= MAX_PACKETS {
            break;
        }
    }
    Ok(())
}

/// Receives a frame; `false` when the decoder needs more packets or is drained.
fn receive_frame(decoder: &mut codec::decoder::Opened, frame: &mut Frame) -> Result<bool, Failure> {
    match decoder.receive_frame(frame) {
        Ok(()) => Ok(true),
        Err(Error::Eof | Error::InvalidData) => Ok(false),
        Err(error) if error == AGAIN => Ok(false),
        Err(error) => Err(unreadable_packets(error)),
    }
}
