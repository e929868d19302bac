//! The decision itself: first what the source allows, then each output (in [`super::outputs`]).

use super::outputs::{Room, planned};
use super::rate::{DEFAULT_FPS, constant_rate};
use super::{Card, Plan, PlannedOutput, SourceVideo, VideoTrack, Warning, WarningCode, names, sound};
use super::{Content, Done};
use crate::code::Code;
use crate::failure::{Failure, FailureKind};
use crate::limits::Limits;
use crate::probe::{AudioFacts, Probe, Stream, StreamKind, VideoFacts};
use crate::recipe::{AudioMode, Bumper, Fps, Name, Output, Recipe, Trim, TrimMode};
use crate::time::{Rational, Span, Timecode};

/// The loudness of normalized sound: what streaming services ask for, in LUFS.
const NORMAL_LUFS: i32 = -16;

/// Facts of the clips that a recipe puts before and after the video.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clips<'a> {
    /// Of the source of `bumper.intro_task`.
    pub intro: Option<&'a Probe>,
    /// Of the source of `bumper.outro_task`.
    pub outro: Option<&'a Probe>,
}

/// Turns a wish and facts into orders.
///
/// The files of the session are the source, then the clip of the intro, then that of the outro, as far as there are.
///
/// # Errors
/// [`FailureKind::Input`] when the source or a clip breaks a limit or lacks what an output needs, or the trim lies
/// outside of the source; [`FailureKind::Unsupported`] when its only picture or sound cannot be decoded.
pub fn plan(recipe: &Recipe, probe: &Probe, clips: Clips<'_>, limits: &Limits) -> Result<Plan, Failure> {
    for facts in [Some(probe), clips.intro, clips.outro].into_iter().flatten() {
        limits.check(facts)?;
    }
    let mut warnings = Vec::new();
    let video = picture_source(recipe, probe)?;
    let audio = sound::source(recipe, probe, &mut warnings)?;
    let (spans, span_us) = spans(recipe.trim.as_ref(), probe.duration_us, &mut warnings)?;
    begin_in_time(
        recipe,
        &spans,
        video.map(|(_, facts)| facts),
        audio.map(|(_, facts)| facts),
    )?;
    let fps = match recipe.frame.as_ref().map(|frame| frame.fps).unwrap_or_default() {
        Fps::Fixed(rate) => rate,
        Fps::Keep => video.map_or(DEFAULT_FPS, |(_, facts)| constant_rate(facts)),
    };
    let (intro, outro) = cards(recipe.bumper.as_ref(), clips, fps)?;
    let room = Room {
        recipe,
        probe,
        clips,
        video: video.map(|(_, facts)| facts),
        audio,
        span_us,
        fps,
    };
    let named = recipe.outputs.iter().zip(names::files(&recipe.outputs)).enumerate();
    let outputs = named
        .map(|(place, (output, file))| planned(&room, place, output, file))
        .collect::<Result<Vec<_>, _>>()?;
    let used = [
        video.map(|(stream, _)| stream.index),
        audio.map(|(stream, _)| stream.index),
    ];
    dropped(probe, &used, &mut warnings);
    about_sound(
        &spans,
        probe,
        video.map(|(_, facts)| facts).zip(audio),
        &outputs,
        &mut warnings,
    );
    about_encoding(recipe, video.map(|(_, facts)| facts), &outputs, &mut warnings);
    Ok(Plan {
        video: video.map(|(stream, facts)| made_plain(stream, facts)),
        audio_stream: audio.map(|(stream, _)| stream.index),
        spans,
        span_us,
        fps,
        intro,
        outro,
        loudness_lufs: (recipe.audio.mode == AudioMode::Normalize && audio.is_some()).then_some(NORMAL_LUFS),
        outputs,
        warnings,
    })
}

const fn made_plain(stream: &Stream, facts: &VideoFacts) -> SourceVideo {
    SourceVideo {
        stream: stream.index,
        mirrored: facts.mirrored,
        quarter_turns: facts.quarter_turns,
        deinterlace: facts.interlaced,
        tone_map: facts.hdr,
    }
}

/// The picture stream, when any output needs one.
fn picture_source<'a>(recipe: &Recipe, probe: &'a Probe) -> Result<Option<(&'a Stream, &'a VideoFacts)>, Failure> {
    if recipe.outputs.iter().any(Output::has_pictures) {
        pictures_of(probe, "an output asks for pictures").map(Some)
    } else {
        Ok(None)
    }
}

fn pictures_of<'a>(probe: &'a Probe, who: &str) -> Result<(&'a Stream, &'a VideoFacts), Failure> {
    if let Some((stream, facts)) = probe.main_video() {
        if facts.dolby_only {
            let detail = "Dolby Vision without a base layer for other decoders";
            return Err(Failure::new(FailureKind::Unsupported, Code::CodecUnsupported, detail));
        }
        return Ok((stream, facts));
    }
    let undecodable = probe
        .streams
        .iter()
        .find(|stream| matches!(stream.kind, StreamKind::Video(_)));
    Err(undecodable.map_or_else(
        || Failure::input(Code::NoVideoStream, who),
        |stream| {
            let detail = format!("video codec {}", stream.codec);
            Failure::new(FailureKind::Unsupported, Code::CodecUnsupported, detail)
        },
    ))
}

/// What is kept, and how long that is in all. A source without a known length is kept open-ended.
fn spans(trim: Option<&Trim>, duration_us: u64, warnings: &mut Vec<Warning>) -> Result<(Vec<Span>, u64), Failure> {
    let whole = Trim::default();
    let mut spans = Vec::new();
    let mut total_us = 0_u64;
    for range in trim.unwrap_or(&whole).spans() {
        let (start, mut end) = (range.start.unwrap_or_default(), range.end);
        let length = Timecode::from_us(duration_us);
        if duration_us > 0 && start >= length {
            let detail = format!("start {start}; the source ends at {length}");
            return Err(Failure::input(Code::TrimOutsideSource, detail));
        }
        if let Some(asked) = end.filter(|end| duration_us > 0 && *end > length) {
            let detail = format!("asked until {asked}, the source ends at {length}");
            warnings.push(Warning::new(WarningCode::TrimShortened, detail));
            end = None;
        }
        total_us += end.unwrap_or(length).us().saturating_sub(start.us());
        spans.push(Span { start, end });
    }
    Ok((spans, total_us))
}

/// Whether there are pictures, or sound for those that are nothing else, wherever a span begins: one stream of a source may
/// end long before the other.
fn begin_in_time(
    recipe: &Recipe,
    spans: &[Span],
    video: Option<&VideoFacts>,
    audio: Option<&AudioFacts>,
) -> Result<(), Failure> {
    let pictures = video.and_then(|facts| facts.duration_us);
    let alone = recipe.outputs.iter().any(|output| matches!(output, Output::Audio(_)));
    let sound = audio.filter(|_| alone).and_then(|facts| facts.duration_us);
    for (what, length_us) in [("pictures end", pictures), ("sound ends", sound)] {
        let Some(length) = length_us.filter(|us| *us > 0).map(Timecode::from_us) else {
            continue;
        };
        if let Some(span) = spans.iter().find(|span| span.start >= length) {
            let detail = format!("start {}; the {what} at {length}", span.start);
            return Err(Failure::input(Code::TrimOutsideSource, detail));
        }
    }
    Ok(())
}

/// What movies show before and after the source.
fn cards(bumper: Option<&Bumper>, clips: Clips<'_>, fps: Rational) -> Result<(Option<Card>, Option<Card>), Failure> {
    let Some(bumper) = bumper else { return Ok((None, None)) };
    let intro = match clips.intro {
        Some(probe) => Some(clip(probe, 1, fps)?),
        None => still(&bumper.image, bumper.intro_ms, fps),
    };
    let outro = match clips.outro {
        Some(probe) => Some(clip(probe, 1 + usize::from(clips.intro.is_some()), fps)?),
        None => still(&bumper.image, bumper.outro_ms, fps),
    };
    Ok((intro, outro))
}

fn still(image: &Name, length_ms: u64, fps: Rational) -> Option<Card> {
    let frames = fps.frames_in(length_ms * 1_000);
    (frames > 0).then(|| Card::Still {
        image: image.clone(),
        frames,
    })
}

fn clip(probe: &Probe, file: usize, fps: Rational) -> Result<Card, Failure> {
    let (stream, facts) = pictures_of(probe, "a bumper is a clip without pictures")?;
    Ok(Card::Clip {
        file,
        video: made_plain(stream, facts),
        audio_stream: probe.main_audio().map(|(stream, _)| stream.index),
        frames: fps.frames_in(probe.duration_us).max(1),
    })
}

fn dropped(probe: &Probe, used: &[Option<usize>], warnings: &mut Vec<Warning>) {
    let unused = probe
        .streams
        .iter()
        .filter(|stream| !used.contains(&Some(stream.index)));
    let words: Vec<_> = unused
        .map(|stream| {
            let language = stream.language.as_ref().map_or(String::new(), |tag| format!(", {tag}"));
            format!("{} #{} ({}{language})", stream.kind.word(), stream.index, stream.codec)
        })
        .collect();
    if !words.is_empty() {
        warnings.push(Warning::new(WarningCode::StreamsDropped, words.join(", ")));
    }
}

/// Sound that goes on after the pictures for longer than this is missed, in microseconds.
const MISSED_US: u64 = 500_000;

/// What the user should know when sound goes on after the pictures, and a video is asked for that ends with them.
fn about_sound(
    spans: &[Span],
    probe: &Probe,
    streams: Option<(&VideoFacts, (&Stream, &AudioFacts))>,
    outputs: &[PlannedOutput],
    warnings: &mut Vec<Warning>,
) {
    let cut = outputs.iter().any(|output| match &output.content {
        Content::Movie(movie) => movie
            .audio
            .is_some_and(|audio| !(movie.video.is_copy() && audio.is_copy())),
        Content::Hls(hls) => hls.audio.is_some(),
        Content::Audio { .. } | Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => false,
    });
    let Some((video, (_, audio))) = streams.filter(|_| cut) else {
        return;
    };
    let Some(pictures_us) = video.duration_us.filter(|us| *us > 0) else {
        return;
    };
    let sound_us = audio.duration_us.unwrap_or(probe.duration_us);
    let to_the_end = |span: &Span| span.end.is_none_or(|end| end.us() > pictures_us + MISSED_US);
    if sound_us > pictures_us + MISSED_US && spans.iter().any(to_the_end) {
        let (pictures, sound) = (Timecode::from_us(pictures_us), Timecode::from_us(sound_us));
        let detail = format!("the pictures end at {pictures}, the sound at {sound}");
        warnings.push(Warning::new(WarningCode::SoundShortened, detail));
    }
}

/// What the user should know when pictures are encoded.
fn about_encoding(recipe: &Recipe, facts: Option<&VideoFacts>, outputs: &[PlannedOutput], warnings: &mut Vec<Warning>) {
    let encoded: Vec<_> = outputs.iter().filter(|output| encodes_pictures(output)).collect();
    let Some(facts) = facts.filter(|_| !encoded.is_empty()) else {
        return;
    };
    if facts.hdr || facts.full_range || facts.pixel_format != "yuv420p" {
        let what = if facts.hdr { "HDR " } else { "" };
        let detail = format!("{what}{} to yuv420p", facts.pixel_format);
        warnings.push(Warning::new(WarningCode::PictureConverted, detail));
    }
    let movie = encoded
        .iter()
        .find(|output| matches!(output.content, Content::Movie(_) | Content::Hls(_)));
    if let Some(trim) = &recipe.trim
        && trim.mode == TrimMode::Fast
        && let Some(step) = movie.and_then(|movie| movie.steps.iter().find(|step| step.done == Done::Transcode))
    {
        warnings.push(Warning::new(WarningCode::TrimExact, step.reason.clone()));
    }
}

fn encodes_pictures(output: &PlannedOutput) -> bool {
    match &output.content {
        Content::Movie(movie) => !movie.video.is_copy(),
        Content::Hls(hls) => hls.rungs.iter().any(|rung| matches!(rung.video, VideoTrack::Encode(_))),
        Content::Audio { .. } => false,
        Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => true,
    }
}
