//! Probes an open file: reads its facts into a [`Probe`].
//!
//! Headers are read first ([`headers`]), because they are cheap. Where they are missing, wrong or ambiguous, packets
//! are read or the first frames decoded:
//!
//! | fact | source beyond headers |
//! |---|---|
//! | `duration`, ends of streams | packets of the whole file or of its end ([`survey`]), index of Matroska and AVI |
//! | `frame_rate` | timestamps of the first packets, or of the index |
//! | `pixel_aspect`, interlacing | first decoded frames ([`first_frames`]) |
//! | `keyframes` | index of the container, slice headers of some keyframes |
//!
//! Only files without any stream that can be decoded are refused here. All other decisions are those of the plan, which
//! is made from these facts.

pub(crate) mod duration;
pub(crate) mod first_frames;
pub(crate) mod frame_rate;
pub(crate) mod headers;
pub(crate) mod keyframes;
pub(crate) mod pixel_aspect;
pub(crate) mod survey;

use crate::engine::audio::params::{MAX_CHANNELS, SAMPLE_RATES_HZ};
use crate::engine::cancel::Cancel;
use crate::engine::demux::container::{self, is_flac};
use crate::engine::demux::open;
use crate::engine::ffi::parameters;
use crate::engine::probe::duration::{Extent, after_origin_us, find_origin_us, measure_extent, set_stream_times};
use crate::engine::probe::headers::{header_aspect, read_headers};
use crate::engine::probe::pixel_aspect::HeaderAspect;
use domain::probe::{AudioFacts, Size, Stream, StreamKind, VideoFacts};
use domain::{Code, Failure, Probe};
use ffmpeg_next::format::context::Input;

/// Probes a source of `bytes` bytes. All its packets are read once when its header has no duration, its format allows
/// discontinuities, or it is FLAC. Of Matroska and AVI, the packets after the last keyframe of the index are read,
/// because a second file may be appended.
///
/// # Errors
/// [`domain::Code::SourceDamaged`] when the packets cannot be read.
pub(crate) fn read(input: &mut Input, bytes: u64, cancel: &Cancel) -> Result<Probe, Failure> {
    let mut probe = read_headers(input, bytes);
    resolve_decodable(&mut probe, input)?;
    count_frames(&mut probe, input, cancel)?;
    let survey = if container::allows_forward_discontinuity(input) || is_flac(input) {
        Some(survey::survey_packets(input, cancel)?)
    } else {
        None
    };
    let origin = find_origin_us(&probe, input);
    probe.origin_us = Some(origin);
    let Extent {
        end_us,
        ends,
        has_discontinuity,
    } = measure_extent(&probe, input, survey, cancel)?;
    probe.jumps = has_discontinuity;
    probe.duration_us = after_origin_us(origin, end_us);
    set_stream_times(&mut probe, input, origin, &ends);
    if let Some(index) = probe.main_video().map(|(stream, _)| stream.index)
        && let Some(Stream { kind, .. }) = probe.streams.get_mut(index)
        && let StreamKind::Video(facts) = kind
    {
        measure_main_video(input, index, facts, cancel)?;
        let end_us = i64::try_from(facts.duration_us.unwrap_or(probe.duration_us)).unwrap_or(i64::MAX);
        let start_us = i64::try_from(facts.start_us).unwrap_or(0);
        let range_us = origin.saturating_add(start_us)..origin.saturating_add(end_us);
        facts.keyframes = keyframes::read(input, index, range_us, cancel)?;
    }
    Ok(probe)
}

/// Corrects which streams are decodable where no video or no stream at all is.
///
/// # Errors
/// When streams have a decoder, but their headers are unsupported or damaged.
fn resolve_decodable(probe: &mut Probe, input: &Input) -> Result<(), Failure> {
    let has_decoder = |index: usize| {
        input
            .stream(index)
            .is_some_and(|stream| open::find_decoder(&stream).is_some())
    };
    if probe.main_video().is_none() {
        // A known codec with an incomplete header is damage, not an unsupported codec. The transcode reports it.
        for stream in &mut probe.streams {
            let sized = matches!(&stream.kind, StreamKind::Video(facts) if facts.width_px > 0 && facts.height_px > 0);
            stream.decodable |= sized && has_decoder(stream.index);
        }
    }
    if !probe.streams.iter().any(|stream| stream.decodable) && (0..probe.streams.len()).any(has_decoder) {
        if let Some(detail) = probe
            .audio_streams()
            .find_map(|(stream, facts)| unsupported_audio_detail(&stream.codec, facts))
        {
            return Err(Failure::new(Code::CodecUnsupported, detail));
        }
        return Err(Failure::new(Code::SourceDamaged, "no stream can be decoded"));
    }
    Ok(())
}

/// Counts the frames of several video streams where the container does not: one of them may be a few stills.
fn count_frames(probe: &mut Probe, input: &mut Input, cancel: &Cancel) -> Result<(), Failure> {
    let unknown = |stream: &Stream| match &stream.kind {
        StreamKind::Video(facts) if stream.decodable => Some(facts.frames.is_none()),
        _ => None,
    };
    let videos: Vec<bool> = probe.streams.iter().filter_map(unknown).collect();
    if videos.len() < 2 || !videos.contains(&true) {
        return Ok(());
    }
    let counts = survey::count_packets(input, cancel)?;
    for (stream, count) in probe.streams.iter_mut().zip(counts) {
        if let StreamKind::Video(facts) = &mut stream.kind {
            facts.frames = Some(count);
        }
    }
    Ok(())
}

/// Measures facts of the main video that its headers lack or have wrong: frame rate, sample aspect ratio, interlacing.
fn measure_main_video(input: &mut Input, index: usize, facts: &mut VideoFacts, cancel: &Cancel) -> Result<(), Failure> {
    frame_rate::measure_slot_rate(input, index, facts, cancel)?;
    let size = Size {
        width_px: facts.width_px,
        height_px: facts.height_px,
    };
    if let Some(stream) = input.stream(index)
        && let HeaderAspect::Unreliable(guess) = header_aspect(&stream)
    {
        let frames = first_frames::frame_aspects(input, index, cancel)?;
        facts.sample_aspect = pixel_aspect::from_frames(&frames, size).unwrap_or(guess);
    }
    let parameters = input.stream(index).map(|stream| stream.parameters());
    let order_is_known = parameters.is_some_and(|parameters| parameters::codec_facts(&parameters).field_order_known);
    if !facts.interlaced && !order_is_known {
        facts.interlaced = first_frames::frames_are_interlaced(input, index, cancel)?;
    }
    frame_rate::measure_missing_rate(input, index, facts, cancel)
}

/// Detail of the error for audio whose channels or sample rate are not supported; `None` when its header is empty.
fn unsupported_audio_detail(codec: &str, facts: &AudioFacts) -> Option<String> {
    let (channels, rate) = (facts.channels, facts.sample_rate_hz);
    if channels > MAX_CHANNELS {
        return Some(format!(
            "{codec} with {channels} channels; accepted: at most {MAX_CHANNELS}"
        ));
    }
    (rate > 0 && !SAMPLE_RATES_HZ.contains(&rate)).then(|| {
        let (from, to) = (SAMPLE_RATES_HZ.start(), SAMPLE_RATES_HZ.end());
        format!("{codec} at {rate} Hz; accepted: {from} to {to}")
    })
}
