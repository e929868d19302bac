//! Reads the facts of an open file into a [`Probe`].

mod animation;
mod aspect;
mod lengths;
mod places;
mod rates;

use aspect::Shape;
pub(super) use aspect::{Told, widening};
pub(super) use lengths::promised_us;
use places::{Ends, after, ends, origin_of, place_streams};

use super::av::{self, CodecFacts, Kind};
use super::measure;
use super::{Cancel, clock, fault, input, keyframes};
use domain::probe::{AudioFacts, Size, Stream, StreamKind, VideoFacts};
use domain::{Code, Failure, FailureKind, Probe, Rational};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::{Disposition, Stream as Source};
use std::ops::RangeInclusive;

/// Transfer functions of ITU-R BT.2100 by their numbers in ITU-T H.273.
const PQ: i32 = 16;
const HLG: i32 = 18;

/// Beyond 7.1 there is no agreed way down to stereo.
pub(super) const MAX_CHANNELS: u32 = 8;

/// Sampling rates that sound has, in hertz; outside of them a header is broken, or no ear is meant.
pub(super) const RATES: RangeInclusive<u32> = 1_000..=768_000;

/// Whether a transfer function is PQ or HLG.
pub(super) const fn is_hdr(transfer: i32) -> bool {
    transfer == PQ || transfer == HLG
}

/// Reads the facts of a source; where the header has no length, its clock may jump, or it is FLAC, its packets are read through once. Of
/// Matroska and AVI those behind the last keyframe of the index are read, for a second file may follow.
///
/// # Errors
/// [`domain::Code::SourceDamaged`] when the packets cannot be read.
pub(super) fn read(input: &mut Input, bytes: u64, cancel: &Cancel) -> Result<Probe, Failure> {
    let mut probe = headers(input, bytes);
    settle_decodable(&mut probe, input)?;
    count_frames(&mut probe, input, cancel)?;
    let survey = if clock::may_jump(input) || is_flac(input) {
        Some(measure::survey(input, cancel)?)
    } else {
        None
    };
    let origin = origin_of(&probe, input);
    probe.origin_us = Some(origin);
    let Ends { end_us, ends, jumped } = ends(&probe, input, survey, cancel)?;
    probe.jumps = jumped;
    probe.duration_us = after(origin, end_us);
    place_streams(&mut probe, input, origin, &ends);
    if let Some(index) = probe.main_video().map(|(stream, _)| stream.index)
        && let Some(Stream { kind, .. }) = probe.streams.get_mut(index)
        && let StreamKind::Video(facts) = kind
    {
        look_closer(input, index, facts, cancel)?;
        let end_us = i64::try_from(facts.duration_us.unwrap_or(probe.duration_us)).unwrap_or(i64::MAX);
        let start_us = i64::try_from(facts.start_us).unwrap_or(0);
        let range_us = origin.saturating_add(start_us)..origin.saturating_add(end_us);
        facts.keyframes = keyframes::read(input, index, range_us, cancel)?;
    }
    Ok(probe)
}

/// Decides what decodes where nothing seems to.
fn settle_decodable(probe: &mut Probe, input: &Input) -> Result<(), Failure> {
    let has_decoder = |index: usize| {
        input
            .stream(index)
            .is_some_and(|stream| input::decoder(&stream).is_some())
    };
    if probe.main_video().is_none() {
        // A known codec of which nothing decodes is damage, not a codec we lack: the transcode will tell.
        for stream in &mut probe.streams {
            let sized = matches!(&stream.kind, StreamKind::Video(facts) if facts.width_px > 0 && facts.height_px > 0);
            stream.decodable |= sized && has_decoder(stream.index);
        }
    }
    if !probe.streams.iter().any(|stream| stream.decodable) && (0..probe.streams.len()).any(has_decoder) {
        if let Some(detail) = probe
            .sounds()
            .find_map(|(stream, facts)| unsupported_sound(&stream.codec, facts))
        {
            return Err(Failure::new(FailureKind::Unsupported, Code::CodecUnsupported, detail));
        }
        return Err(Failure::input(
            Code::SourceDamaged,
            "no stream has anything that decodes",
        ));
    }
    Ok(())
}

/// Counts the pictures of several streams where their container does not: one may be a set of stills.
fn count_frames(probe: &mut Probe, input: &mut Input, cancel: &Cancel) -> Result<(), Failure> {
    let unknown = |stream: &Stream| match &stream.kind {
        StreamKind::Video(facts) if stream.decodable => Some(facts.frames.is_none()),
        _ => None,
    };
    let videos: Vec<bool> = probe.streams.iter().filter_map(unknown).collect();
    if videos.len() < 2 || !videos.contains(&true) {
        return Ok(());
    }
    let counts = measure::count(input, cancel)?;
    for (stream, count) in probe.streams.iter_mut().zip(counts) {
        if let StreamKind::Video(facts) = &mut stream.kind {
            facts.frames = Some(count);
        }
    }
    Ok(())
}

/// Measures what the headers of the main picture do not tell, or tell wrongly.
fn look_closer(input: &mut Input, index: usize, facts: &mut VideoFacts, cancel: &Cancel) -> Result<(), Failure> {
    rates::measure_slots(input, index, facts, cancel)?;
    let size = Size {
        width_px: facts.width_px,
        height_px: facts.height_px,
    };
    if let Some(stream) = input.stream(index)
        && let Shape::Doubtful(guess) = shape_of(&stream)
    {
        let frames = measure::frame_aspects(input, index, cancel)?;
        facts.sample_aspect = aspect::by_frames(&frames, size).unwrap_or(guess);
    }
    let parameters = input.stream(index).map(|stream| stream.parameters());
    let order_is_known = parameters.is_some_and(|parameters| av::codec_facts(&parameters).field_order_known);
    if !facts.interlaced && !order_is_known {
        facts.interlaced = measure::frames_are_interlaced(input, index, cancel)?;
    }
    rates::measure_pictures(input, index, facts, cancel)
}

/// Why sound of a known codec is not decoded, when its header is not simply empty.
fn unsupported_sound(codec: &str, facts: &AudioFacts) -> Option<String> {
    let (channels, rate) = (facts.channels, facts.sample_rate_hz);
    if channels > MAX_CHANNELS {
        return Some(format!(
            "{codec} with {channels} channels; accepted: at most {MAX_CHANNELS}"
        ));
    }
    (rate > 0 && !RATES.contains(&rate)).then(|| {
        let (from, to) = (RATES.start(), RATES.end());
        format!("{codec} at {rate} Hz; accepted: {from} to {to}")
    })
}

/// Whether lengths and times are those of an AVI, which have ways of their own.
pub(super) fn is_avi(input: &Input) -> bool {
    input.format().name() == "avi"
}

/// Returns `true` for bare FLAC: its header tells the length of the first file only when a second one is appended.
fn is_flac(input: &Input) -> bool {
    input.format().name() == "flac"
}

/// The facts that need no packets; `duration_us` is the header's, 0 when it has none.
pub(super) fn headers(input: &Input, bytes: u64) -> Probe {
    Probe {
        container: input.format().name().to_owned(),
        bytes,
        duration_us: u64::try_from(input.duration()).unwrap_or(0),
        start_us: av::start_us(input).unwrap_or(0),
        origin_us: None,
        jumps: false,
        streams: input.streams().map(|stream| facts_of(&stream)).collect(),
        unfit: None,
    }
}

/// The moment that counts as zero: the first picture, or the first sample when there is none.
pub(super) fn origin_us(input: &Input, video: Option<usize>) -> i64 {
    let first_picture = video.and_then(|index| input.stream(index)).and_then(|stream| {
        let start = av::known(stream.start_time())?;
        Some(to_us(start, stream.time_base()))
    });
    first_picture.or_else(|| av::start_us(input)).unwrap_or(0)
}

/// A time of a stream in microseconds, to the nearest.
pub(super) fn to_us(time: i64, base: ffmpeg_next::Rational) -> i64 {
    let (num, den) = (i128::from(base.numerator()), i128::from(base.denominator().max(1)));
    let scaled = i128::from(time) * num * 1_000_000;
    let rounded = (2 * scaled + den).div_euclid(2 * den);
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

fn facts_of(stream: &Source<'_>) -> Stream {
    let facts = av::codec_facts(&stream.parameters());
    let known = match facts.kind {
        Kind::Video => facts.width_px > 0 && facts.height_px > 0 && av::pixel_format(facts.format).is_some(),
        Kind::Audio => RATES.contains(&facts.sample_rate_hz) && (1..=MAX_CHANNELS).contains(&facts.channels),
        Kind::Subtitle | Kind::Attachment | Kind::Data => false,
    };
    Stream {
        index: stream.index(),
        codec: if facts.name == "none" { "unknown" } else { facts.name }.to_owned(),
        decodable: known && input::decoder(stream).is_some(),
        default: stream.disposition().contains(Disposition::DEFAULT),
        language: language(stream),
        kind: kind_of(stream, &facts),
    }
}

fn kind_of(stream: &Source<'_>, facts: &CodecFacts) -> StreamKind {
    match facts.kind {
        Kind::Video if stream.disposition().contains(Disposition::ATTACHED_PIC) => StreamKind::CoverArt,
        Kind::Video => StreamKind::Video(video_facts(stream, facts)),
        Kind::Audio => StreamKind::Audio(AudioFacts {
            sample_rate_hz: facts.sample_rate_hz,
            channels: facts.channels,
            duration_us: duration_us(stream),
            start_us: 0,
            bitrate_bps: Some(facts.bitrate_bps).filter(|bps| *bps > 0),
            plain: keyframes::is_plain(facts),
        }),
        Kind::Subtitle => StreamKind::Subtitle,
        Kind::Attachment => StreamKind::Attachment,
        Kind::Data => StreamKind::Data,
    }
}

fn video_facts(stream: &Source<'_>, facts: &CodecFacts) -> VideoFacts {
    let (quarter_turns, mirrored) = av::display_matrix(stream).map_or((0, false), orientation);
    let (pixel_format, bit_depth) = av::pixel_format(facts.format).unwrap_or(("unknown", 8));
    let (Shape::Sure(sample_aspect) | Shape::Doubtful(sample_aspect)) = shape_of(stream);
    VideoFacts {
        width_px: facts.width_px,
        height_px: facts.height_px,
        sample_aspect,
        quarter_turns,
        mirrored,
        average_fps: rate(stream.avg_frame_rate()),
        base_fps: rate(stream.rate()),
        regular_fps: None,
        pixel_format: pixel_format.to_owned(),
        bit_depth,
        hdr: is_hdr(facts.color.transfer),
        interlaced: facts.interlaced,
        duration_us: duration_us(stream),
        start_us: 0,
        frames: u64::try_from(stream.frames()).ok().filter(|frames| *frames > 0),
        full_range: facts.color.range == 2,
        bitrate_bps: Some(facts.bitrate_bps).filter(|bps| *bps > 0),
        dolby_only: av::dolby_vision(stream).is_some_and(is_dolby_only),
        changes: false,
        spatial: spatial(stream),
        profile: u32::try_from(facts.profile).ok(),
        level: u32::try_from(facts.level).ok(),
        keyframes: None,
    }
}

/// The layout of pictures for a sphere or for two eyes, in words.
fn spatial(stream: &Source<'_>) -> Option<String> {
    let projection = av::projection(stream).map(|number| match number {
        0 | 2 => "360° equirectangular",
        1 => "360° cubemap",
        _ => "360°",
    });
    let layout = av::stereo_layout(stream).map(|number| match number {
        1 => "3D side by side",
        2 => "3D top and bottom",
        _ => "3D",
    });
    let words: Vec<_> = projection.into_iter().chain(layout).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Whether a profile of Dolby Vision has colors that nobody else knows: profile 5, and those of others whose base layer
/// is compatible with nothing (Dolby Vision Profiles and Levels 1.4).
const fn is_dolby_only((profile, compatibility): (u8, u8)) -> bool {
    matches!((profile, compatibility), (5, _) | (10 | 20, 0))
}

/// What the headers of a stream of pictures tell of its pixels.
fn shape_of(stream: &Source<'_>) -> Shape {
    let facts = av::codec_facts(&stream.parameters());
    let size = Size {
        width_px: facts.width_px,
        height_px: facts.height_px,
    };
    aspect::by_headers(av::container_aspect(stream), facts.sample_aspect, size)
}

fn rate(rate: ffmpeg_next::Rational) -> Option<Rational> {
    let num = u32::try_from(rate.numerator()).ok()?;
    Rational::new(num, u32::try_from(rate.denominator()).ok()?)
}

fn duration_us(stream: &Source<'_>) -> Option<u64> {
    let length = av::known(stream.duration()).filter(|length| *length > 0)?;
    u64::try_from(to_us(length, stream.time_base())).ok()
}

/// ISO 639 tags only: nothing else that stands in the file is taken over.
pub(super) fn language(stream: &Source<'_>) -> Option<String> {
    let tag = stream.metadata().get("language")?.to_owned();
    ((2..=3).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_lowercase()) && tag != "und").then_some(tag)
}

/// Quarter turns clockwise and mirror (before the turn) that come nearest to an orientation matrix.
fn orientation(matrix: [i32; 9]) -> (u8, bool) {
    let [a, b, _, c, d, ..] = matrix.map(i64::from);
    // A turn takes (x, y) to (ax + cy, bx + dy), y pointing down; the mirror turns the sign of x before that.
    let turns: [(u8, [i64; 4]); 4] = [
        (0, [1, 0, 0, 1]),
        (1, [0, 1, -1, 0]),
        (2, [-1, 0, 0, -1]),
        (3, [0, -1, 1, 0]),
    ];
    let mut best = (0, (0, false));
    for (turn, [ta, tb, tc, td]) in turns {
        for (mirrored, sign) in [(false, 1), (true, -1)] {
            let likeness = sign * (a * ta + b * tb) + c * tc + d * td;
            if likeness > best.0 {
                best = (likeness, (turn, mirrored));
            }
        }
    }
    best.1
}

/// The failure of a source whose packets cannot be read.
pub(super) fn unreadable(error: ffmpeg_next::Error) -> Failure {
    fault::reading("the packets", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orientation_matrix_is_a_mirror_and_quarter_turns() {
        let one = 1 << 16;
        for (abcd, turns, mirrored) in [
            ([one, 0, 0, one], 0, false),
            ([0, one, -one, 0], 1, false),
            ([-one, 0, 0, -one], 2, false),
            ([0, -one, one, 0], 3, false),
            ([-one, 0, 0, one], 0, true),
            ([one, 0, 0, -one], 2, true),
            ([0, one, one, 0], 3, true),
            ([0, -one, -one, 0], 1, true),
            ([0, 0, 0, 0], 0, false),
        ] {
            let [a, b, c, d] = abcd;
            assert_eq!(
                orientation([a, b, 0, c, d, 0, 0, 0, 1 << 30]),
                (turns, mirrored),
                "{abcd:?}"
            );
        }
    }

    #[test]
    fn stream_times_are_rounded_to_microseconds() {
        let base = ffmpeg_next::Rational::new(1, 30);
        assert_eq!(to_us(2, base), 66_667);
        assert_eq!(to_us(-1, base), -33_333);
        assert_eq!(to_us(i64::MAX, ffmpeg_next::Rational::new(1_000, 1)), i64::MAX);
    }
}
