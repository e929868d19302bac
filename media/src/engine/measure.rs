//! Facts that no header tells: they are measured on packets and frames.

use super::facts::{to_us, unreadable};
use super::{Cancel, av, fault, input};
use domain::{Failure, Rational};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Error, Frame, Packet, codec};

/// Read errors in a row that are taken for hiccups of a damaged file; after that it is over.
pub(super) const MAX_READ_ERRORS: u32 = 64;

/// Packets looked at for a flagged frame.
const MAX_PACKETS: u32 = 300;

/// Packets whose times are averaged.
const MAX_TIMES: usize = 300;

/// Frames looked at for the interlaced flag.
const MAX_FRAMES: u32 = 8;

/// Reads the next packet; `None` at the end, or when errors do not stop.
///
/// # Errors
/// When the work is canceled.
pub(super) fn next_packet(input: &mut Input, cancel: &Cancel) -> Result<Option<Packet>, Failure> {
    for _ in 0..MAX_READ_ERRORS {
        cancel.check()?;
        let mut packet = Packet::empty();
        match packet.read(input) {
            Ok(()) => {
                cancel.count();
                return Ok(Some(packet));
            }
            Err(Error::Eof) => return Ok(None),
            Err(_) => {}
        }
    }
    Ok(None)
}

/// The end of the last picture or sample, in microseconds; 0 when no packet has a time.
pub(super) fn end_us(input: &mut Input, cancel: &Cancel) -> Result<i64, Failure> {
    let used = input.streams().map(|stream| {
        let kind = av::codec_facts(&stream.parameters()).kind;
        let cover = stream
            .disposition()
            .contains(ffmpeg_next::format::stream::Disposition::ATTACHED_PIC);
        (matches!(kind, av::Kind::Video | av::Kind::Audio) && !cover).then(|| stream.time_base())
    });
    let bases: Vec<_> = used.collect();
    let mut end = 0;
    while let Some(packet) = next_packet(input, cancel)? {
        let time = packet.pts().or_else(|| packet.dts());
        if let (Some(time), Some(Some(base))) = (time, bases.get(packet.stream())) {
            end = end.max(to_us(time.saturating_add(packet.duration().max(0)), *base));
        }
    }
    Ok(end)
}

/// Whether the first frames of a stream say that they are woven of two fields.
pub(super) fn frames_are_interlaced(input: &mut Input, index: usize, cancel: &Cancel) -> Result<bool, Failure> {
    let Some(stream) = input.stream(index) else {
        return Ok(false);
    };
    let Some(decoder) = input::decoder(&stream) else {
        return Ok(false);
    };
    let context = codec::Context::from_parameters(stream.parameters()).map_err(unreadable)?;
    let Ok(mut decoder) = context.decoder().open_as(decoder) else {
        return Ok(false);
    };
    // It may have been read to its end before; a source that cannot go back is looked at from where it is.
    let _ = input.seek(i64::MIN / 2, ..);
    let (mut frames, mut packets) = (0, 0);
    while let Some(packet) = next_packet(input, cancel)? {
        if packet.stream() != index {
            continue;
        }
        packets += 1;
        // Damage shows later, in the transcode.
        let _ = decoder.send_packet(&packet);
        let mut frame = ffmpeg_next::frame::Video::empty();
        while receive(&mut decoder, &mut frame)? {
            if frame.is_interlaced() {
                return Ok(true);
            }
            frames += 1;
        }
        if frames >= MAX_FRAMES || packets >= MAX_PACKETS {
            break;
        }
    }
    Ok(false)
}

/// Pictures a second, over the first packets of a stream; `None` when they do not tell.
pub(super) fn average_rate(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Option<Rational>, Failure> {
    let Some(base) = input.stream(index).map(|stream| stream.time_base()) else {
        return Ok(None);
    };
    // As above: from the beginning if it can be found again.
    let _ = input.seek(i64::MIN / 2, ..);
    let mut times = Vec::new();
    while times.len() < MAX_TIMES
        && let Some(packet) = next_packet(input, cancel)?
    {
        if packet.stream() == index {
            times.extend(packet.pts().or_else(|| packet.dts()).map(|time| to_us(time, base)));
        }
    }
    let (first, last) = (times.iter().min().copied(), times.iter().max().copied());
    let length_us = last.zip(first).map_or(0, |(last, first)| last.saturating_sub(first));
    let steps = u64::try_from(times.len()).unwrap_or(0).saturating_sub(1);
    let thousandths = u64::try_from(length_us)
        .ok()
        .and_then(|us| (steps * 1_000_000_000).checked_div(us));
    let thousandths = thousandths.and_then(|rate| u32::try_from(rate).ok());
    Ok(thousandths.and_then(|rate| Rational::new(rate, 1_000)))
}

/// Takes a frame out of a decoder; `false` when it wants more packets or has nothing more.
fn receive(decoder: &mut codec::decoder::Opened, frame: &mut Frame) -> Result<bool, Failure> {
    match decoder.receive_frame(frame) {
        Ok(()) => Ok(true),
        Err(Error::Eof | Error::InvalidData) => Ok(false),
        Err(error) if error == fault::AGAIN => Ok(false),
        Err(error) => Err(unreadable(error)),
    }
}
