//! The spans of the source to keep.

use super::audio_source::AudioStream;
use super::video_source::VideoStream;
use super::{Warning, WarningCode};
use crate::code::Code;
use crate::failure::Failure;
use crate::probe::{AudioFacts, Probe, VideoFacts};
use crate::recipe::{Output, Recipe, Trim};
use crate::time::{Span, Timecode};

/// Streams whose starts or ends differ by at most this much start or end together: packets are not cut to the frame.
const TOLERANCE_US: u64 = 50_000;

/// The spans to keep and their total duration.
pub(super) struct Spans {
    pub(super) spans: Vec<Span>,
    pub(super) total_us: u64,
}

/// The streams of the source that the outputs use.
#[derive(Clone, Copy)]
struct UsedStreams<'a> {
    video: Option<&'a VideoFacts>,
    audio: Option<&'a AudioFacts>,
}

/// Plans the spans of a recipe for the selected streams.
///
/// # Errors
/// [`Code::TrimOutsideSource`] if a span starts after the end of the source, or of its audio if an output is an audio
/// file.
pub(super) fn plan_spans(
    recipe: &Recipe,
    probe: &Probe,
    video: Option<VideoStream<'_>>,
    audio: Option<AudioStream<'_>>,
    warnings: &mut Vec<Warning>,
) -> Result<Spans, Failure> {
    let streams = UsedStreams {
        video: video.map(|video| video.facts),
        audio: audio.map(|audio| audio.facts),
    };
    let trimmed = trim(recipe.trim.as_ref(), end_us(probe, streams), warnings)?;
    let spans = without_leading_audio(recipe, streams, trimmed);
    check_audio_files(recipe, &spans.spans, streams.audio)?;
    Ok(spans)
}

/// Returns the end of the longest used stream in microseconds; 0 if unknown. It is the end of the source, unless an
/// unused stream is longer.
fn end_us(probe: &Probe, streams: UsedStreams<'_>) -> u64 {
    let video_us = streams.video.map(|facts| facts.duration_us);
    let audio_us = streams.audio.map(|facts| facts.duration_us);
    let ends: Option<Vec<u64>> = video_us.into_iter().chain(audio_us).collect();
    let end_us = ends.and_then(|ends| ends.into_iter().max()).filter(|us| *us > 0);
    match end_us {
        Some(end_us) if end_us + TOLERANCE_US < probe.duration_us => end_us,
        _ => probe.duration_us,
    }
}

/// Moves the start to the first frame if the source begins with audio that no output uses and the recipe has no trim.
fn without_leading_audio(recipe: &Recipe, streams: UsedStreams<'_>, spans: Spans) -> Spans {
    let lead_us = streams.video.map_or(0, |facts| facts.start_us);
    if recipe.trim.is_some() || streams.audio.is_some() || lead_us <= TOLERANCE_US {
        return spans;
    }
    let span = Span {
        start: Timecode::from_us(lead_us),
        end: None,
    };
    Spans {
        spans: vec![span],
        total_us: spans.total_us.saturating_sub(lead_us),
    }
}

/// Applies a trim to a source of `duration_us`. With an unknown duration (0), spans are not checked and may have no
/// end.
fn trim(trim: Option<&Trim>, duration_us: u64, warnings: &mut Vec<Warning>) -> Result<Spans, Failure> {
    let whole = Trim::default();
    let mut spans = Vec::new();
    let mut total_us = 0_u64;
    for range in trim.unwrap_or(&whole).spans() {
        let (start, mut end) = (range.start.unwrap_or_default(), range.end);
        let source_end = Timecode::from_us(duration_us);
        if duration_us > 0 && start >= source_end {
            let detail = format!("start {start}; the source ends at {source_end}");
            return Err(Failure::new(Code::TrimOutsideSource, detail));
        }
        if let Some(requested) = end.filter(|end| duration_us > 0 && *end > source_end) {
            let detail = format!("end {requested}; the source ends at {source_end}");
            warnings.push(Warning::new(WarningCode::TrimShortened, detail));
            end = None;
        }
        total_us += end.unwrap_or(source_end).us().saturating_sub(start.us());
        spans.push(Span { start, end });
    }
    Ok(Spans { spans, total_us })
}

/// Rejects a span without audio for an audio file: audio may end long before the video. A movie needs no check, because
/// its video continues without audio.
fn check_audio_files(recipe: &Recipe, spans: &[Span], audio: Option<&AudioFacts>) -> Result<(), Failure> {
    let has_audio_file = recipe.outputs.iter().any(|output| matches!(output, Output::Audio(_)));
    let audio_us = audio.filter(|_| has_audio_file).and_then(|facts| facts.duration_us);
    let Some(audio_end) = audio_us.filter(|us| *us > 0).map(Timecode::from_us) else {
        return Ok(());
    };
    match spans.iter().find(|span| span.start >= audio_end) {
        Some(span) => {
            let detail = format!("start {}; the audio ends at {audio_end}", span.start);
            Err(Failure::new(Code::TrimOutsideSource, detail))
        }
        None => Ok(()),
    }
}
