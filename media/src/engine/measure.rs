//! Facts that no header tells: they are measured on packets and frames.

use super::av::packets;
use super::clock::{self, Clock};
use super::facts::{Told, to_us, unreadable};
use super::{Cancel, av, fault, input};
use domain::{Failure, Rational};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::{Disposition, Stream};
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Error, Frame, Packet, codec};

/// Read errors in a row that are taken for hiccups of a damaged file; after that it is over.
pub(super) const MAX_READ_ERRORS: u32 = 64;

/// Packets looked at for a flagged frame.
const MAX_PACKETS: u32 = 300;

/// Packets whose times are averaged.
const MAX_TIMES: usize = 300;

/// Entries of an index whose times are looked at.
const MAX_ENTRIES: usize = 20_000;

/// The step of a grid is the one that is longer than one in so many of all.
const REGULAR: usize = 20;

/// Steps over more places of a grid do not help to measure it.
const MAX_PLACES: i64 = 8;

/// How far from its place on a grid a picture may stand: what a clock of milliseconds rounds at both ends of a step.
const ROUNDED_US: i64 = 1_200;

/// Packets counted to tell a movie from a few stills.
const MAX_COUNTED: u32 = 5_000;

/// Frames looked at for the interlaced flag, or the shape of their pixels.
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

/// What a look at every packet of a source tells.
pub(super) struct Survey {
    /// Where each stream of pictures or sound ends on the repaired clock, in microseconds.
    pub(super) ends_us: Vec<Option<i64>>,
    /// Whether the clock jumps.
    pub(super) jumped: bool,
}

impl Survey {
    /// The end of the last picture or sample; 0 when no packet has a time.
    pub(super) fn end_us(&self) -> i64 {
        self.ends_us.iter().flatten().copied().max().unwrap_or(0)
    }
}

/// Reads a source to its end from where it is.
pub(super) fn survey(input: &mut Input, cancel: &Cancel) -> Result<Survey, Failure> {
    let bases: Vec<_> = input.streams().map(|stream| lasting_base(&stream)).collect();
    let mut clock = Clock::new(clock::may_jump(input), bases.len());
    let mut ends_us = vec![None; bases.len()];
    while let Some(mut packet) = next_packet(input, cancel)? {
        let index = packet.stream();
        if let (Some(Some(base)), Some(end_us)) = (bases.get(index), ends_us.get_mut(index)) {
            clock.repair(&mut packet, *base);
            *end_us = (*end_us).max(end_of(&packet, *base));
        }
    }
    Ok(Survey {
        ends_us,
        jumped: clock.has_jumped(),
    })
}

/// Reads a source from the last keyframe of a stream that its index tells to the end; `None` where FFmpeg cannot seek. In formats
/// without an index it looks through the whole file for the place. A second file
/// behind the first one, which the headers do not know, is read as well: its clock begins anew.
pub(super) fn tail(input: &mut Input, stream: usize, cancel: &Cancel) -> Result<Option<Survey>, Failure> {
    if packets::seek_stream(input, stream, i64::MAX / 2).is_err() {
        return Ok(None);
    }
    survey(input, cancel).map(Some)
}

/// The time base of a stream that has a length: pictures or sound, no cover.
fn lasting_base(stream: &Stream<'_>) -> Option<ffmpeg_next::Rational> {
    let kind = av::codec_facts(&stream.parameters()).kind;
    let cover = stream.disposition().contains(Disposition::ATTACHED_PIC);
    (matches!(kind, av::Kind::Video | av::Kind::Audio) && !cover).then(|| stream.time_base())
}

fn end_of(packet: &Packet, base: ffmpeg_next::Rational) -> Option<i64> {
    let time = packet.pts().or_else(|| packet.dts())?;
    Some(to_us(time.saturating_add(packet.duration().max(0)), base))
}

/// Counts the packets of each stream, of which there are enough to tell a movie from a few stills, and goes back to the
/// beginning.
pub(super) fn count(input: &mut Input, cancel: &Cancel) -> Result<Vec<u64>, Failure> {
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

/// Whether the first frames of a stream say that they are woven of two fields.
pub(super) fn frames_are_interlaced(input: &mut Input, index: usize, cancel: &Cancel) -> Result<bool, Failure> {
    let mut interlaced = false;
    look_at_frames(input, index, cancel, |frame| {
        interlaced |= frame.is_interlaced();
        !interlaced
    })?;
    Ok(interlaced)
}

/// The shapes of the pixels of the first frames of a stream.
pub(super) fn frame_aspects(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Vec<Told>, Failure> {
    let mut aspects = Vec::new();
    look_at_frames(input, index, cancel, |frame| {
        let aspect = frame.aspect_ratio();
        aspects.push((aspect.numerator(), aspect.denominator()));
        true
    })?;
    Ok(aspects)
}

/// Decodes the first frames of a stream and shows them to `look`, until it has seen enough.
fn look_at_frames(
    input: &mut Input,
    index: usize,
    cancel: &Cancel,
    mut look: impl FnMut(&Video) -> bool,
) -> Result<(), Failure> {
    let Some(stream) = input.stream(index) else {
        return Ok(());
    };
    let Some(decoder) = input::decoder(&stream) else {
        return Ok(());
    };
    let context = codec::Context::from_parameters(stream.parameters()).map_err(unreadable)?;
    let Ok(mut decoder) = context.decoder().open_as(decoder) else {
        return Ok(());
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
        let mut frame = Video::empty();
        while receive(&mut decoder, &mut frame)? {
            if !look(&frame) {
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

/// Pictures a second, over the first packets of a stream; `None` when they do not tell.
pub(super) fn average_rate(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Option<Rational>, Failure> {
    let times = first_times(input, index, cancel)?;
    let length_us = match (times.first(), times.last()) {
        (Some(first), Some(last)) => last.saturating_sub(*first),
        _ => 0,
    };
    Ok(per_second(times.len().saturating_sub(1), length_us))
}

/// Pictures a second where they follow each other fastest, over the first packets of a stream; `None` when they do not tell.
pub(super) fn fastest_rate(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Option<Rational>, Failure> {
    let times = first_times(input, index, cancel)?;
    let steps = times.windows(2).filter_map(|pair| match pair {
        [one, next] => Some(next.saturating_sub(*one)).filter(|us| *us > 0),
        _ => None,
    });
    Ok(steps.min().and_then(|us| per_second(1, us)))
}

/// The rate of the even grid on which the pictures stand, some of its places empty; `None` when they stand on none. Of a file with
/// an index of all its packets, the first [`MAX_ENTRIES`] count.
pub(super) fn regular_rate(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Option<Rational>, Failure> {
    let indexed = input
        .stream(index)
        .filter(|stream| stream.frames() > 0 && input.format().name().starts_with("mov"))
        .map(|stream| stream.time_base());
    let times = match indexed {
        Some(base) => {
            let mut times = Vec::new();
            packets::for_each_entry(input, index, |entry| {
                if times.len() < MAX_ENTRIES {
                    times.push(to_us(entry.time, base));
                }
            });
            times
        }
        None => first_times(input, index, cancel)?,
    };
    Ok(rate_of_grid(&times))
}

/// The rate of a grid on which times in microseconds lie, but for what a clock of milliseconds rounds.
fn rate_of_grid(times: &[i64]) -> Option<Rational> {
    let mut steps: Vec<_> = times
        .windows(2)
        .filter_map(|pair| match pair {
            [one, next] => Some(next.saturating_sub(*one)).filter(|us| *us > 0),
            _ => None,
        })
        .collect();
    steps.sort_unstable();
    let shortest_us = *steps.get(steps.len() / REGULAR)?;
    // Longer gaps tell nothing of the grid: what was rounded of the shortest step counts as often as it fits.
    let places_in = |us: i64| (us + shortest_us / 2) / shortest_us;
    let near: Vec<_> = steps.into_iter().filter(|us| places_in(*us) <= MAX_PLACES).collect();
    let places: i64 = near.iter().map(|us| places_in(*us)).sum();
    let length_us: i64 = near.iter().sum();
    let is_on_grid = |us: &&i64| (*us * places - places_in(**us) * length_us).abs() <= ROUNDED_US * places;
    let on_grid = near.iter().filter(is_on_grid).count();
    let is_even = on_grid * 10 >= near.len() * 9;
    per_second(usize::try_from(places).ok()?, length_us).filter(|_| is_even)
}

/// The times of the first packets of a stream in microseconds, in their order.
fn first_times(input: &mut Input, index: usize, cancel: &Cancel) -> Result<Vec<i64>, Failure> {
    let Some(base) = input.stream(index).map(|stream| stream.time_base()) else {
        return Ok(Vec::new());
    };
    // As above: from the beginning if it can be found again.
    let _ = input.seek(i64::MIN / 2, ..);
    let (mut times, mut read) = (Vec::new(), 0);
    while times.len() < MAX_TIMES
        && read < MAX_COUNTED
        && let Some(packet) = next_packet(input, cancel)?
    {
        read += 1;
        if packet.stream() == index {
            times.extend(packet.pts().or_else(|| packet.dts()).map(|time| to_us(time, base)));
        }
    }
    times.sort_unstable();
    Ok(times)
}

/// The rate of so many steps in so many microseconds, in thousandths.
fn per_second(steps: usize, length_us: i64) -> Option<Rational> {
    let steps = u64::try_from(steps).unwrap_or(0);
    let length_us = u64::try_from(length_us).ok()?;
    let thousandths = (steps * 1_000_000_000).checked_div(length_us)?;
    Rational::new(u32::try_from(thousandths).ok()?, 1_000)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate of a grid on which only some places hold a picture, by a clock of milliseconds, with jitter in microseconds.
    fn measured(fps: f64, jitter_us: i64) -> Option<Rational> {
        let mut state = 7_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            i64::from(state >> 16)
        };
        let mut place = 0_u32;
        let times = std::iter::repeat_with(|| {
            place += 1 + u32::from(random() % 2 == 0);
            let jitter = random() % (2 * jitter_us + 1) - jitter_us;
            #[allow(clippy::cast_possible_truncation, reason = "some minutes in milliseconds")]
            let ms = (f64::from(place) * 1_000.0 / fps).round() as i64;
            ms * 1_000 + jitter
        });
        rate_of_grid(&times.take(300).collect::<Vec<_>>())
    }

    #[test]
    fn a_grid_is_measured_through_a_clock_of_milliseconds() {
        for fps in [23.976, 25.0, 26.0, 29.97, 31.25, 48.0, 50.0, 59.94, 60.0, 119.88] {
            let rate = measured(fps, 0).unwrap().as_f64();
            assert!((rate / fps - 1.0).abs() < 0.001, "{fps}: {rate}");
        }
    }

    #[test]
    fn times_that_jitter_stand_on_no_grid() {
        for jitter_us in [4_000, 8_000, 10_000] {
            assert_eq!(measured(30.0, jitter_us), None, "{jitter_us}");
        }
        assert_eq!(rate_of_grid(&[]), None);
        assert_eq!(rate_of_grid(&[7]), None);
    }
}
