//! The decision itself: first what the source allows, then each output (in [`super::outputs`]).

use super::outputs::{Room, planned};
use super::rate::{DEFAULT_FPS, constant_rate};
use super::{Card, Plan, PlannedOutput, SourceVideo, VideoTrack, Warning, WarningCode, amount, names, sound};
use super::{Content, Done};
use crate::code::Code;
use crate::failure::{Failure, FailureKind};
use crate::limits::Limits;
use crate::probe::{AudioFacts, Probe, Size, Stream, StreamKind, VideoFacts};
use crate::recipe::{AudioMode, BumperEdit, Fps, Name, Output, Recipe, Trim, TrimMode};
use crate::time::{Rational, Span, Timecode};

/// The loudness of normalized sound: what streaming services ask for, in LUFS.
const NORMAL_LUFS: i32 = -16;

/// Most streams that a warning names; the number of the others follows.
const MOST_NAMED: usize = 10;

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
/// outside of the source, or what is to be made is over a bound; [`FailureKind::Unsupported`] when its only picture or sound cannot be decoded.
pub fn plan(recipe: &Recipe, probe: &Probe, clips: Clips<'_>, limits: &Limits) -> Result<Plan, Failure> {
    for facts in [Some(probe), clips.intro, clips.outro].into_iter().flatten() {
        limits.check(facts)?;
    }
    let mut warnings = Vec::new();
    let video = picture_source(recipe, probe)?;
    let audio = sound::source(recipe, probe, &mut warnings)?;
    let wanted = (video.map(|(_, facts)| facts), audio.map(|(_, facts)| facts));
    let (spans, span_us) = spans(recipe.trim.as_ref(), wanted_us(probe, wanted), &mut warnings)?;
    let (spans, span_us) = without_lead(recipe, wanted, (spans, span_us));
    begin_in_time(recipe, &spans, wanted.1)?;
    let asked = recipe.frame.as_ref().map(|frame| frame.fps).unwrap_or_default();
    let fps = match asked {
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
    // The pictures of a file of sound, and the sound of a silent video, are left out because the recipe says so.
    let used = [
        video.or(probe.main_video()).map(|(stream, _)| stream.index),
        audio.or(probe.main_audio()).map(|(stream, _)| stream.index),
    ];
    dropped(probe, &used, &mut warnings);
    let facts = video.map(|(_, facts)| facts);
    about_encoding(recipe, facts, &outputs, &mut warnings);
    warnings.extend(spatial_lost(facts, &outputs));
    let plan = Plan {
        video: video.map(|(stream, facts)| made_plain(stream, facts)),
        audio_stream: audio.map(|(stream, _)| stream.index),
        spans,
        span_us,
        // Sound alone begins where it does.
        origin_us: video.and(probe.origin_us),
        jumps: probe.jumps,
        fps,
        fps_asked: asked != Fps::Keep,
        intro,
        outro,
        loudness_lufs: (recipe.audio.mode == AudioMode::Normalize && audio.is_some()).then_some(NORMAL_LUFS),
        outputs,
        warnings,
    };
    amount::check(&plan, probe, limits)?;
    Ok(plan)
}

const fn made_plain(stream: &Stream, facts: &VideoFacts) -> SourceVideo {
    SourceVideo {
        stream: stream.index,
        mirrored: facts.mirrored,
        quarter_turns: facts.quarter_turns,
        deinterlace: facts.interlaced,
        tone_map: facts.hdr,
        size: Size {
            width_px: facts.width_px,
            height_px: facts.height_px,
        },
        sample_aspect: Some(facts.sample_aspect),
    }
}

/// The picture stream, when any output needs one.
fn picture_source<'a>(recipe: &Recipe, probe: &'a Probe) -> Result<Option<(&'a Stream, &'a VideoFacts)>, Failure> {
    if recipe.outputs.iter().any(Output::uses_video) {
        pictures_of(
            probe,
            "an output needs pictures; of sound alone the preset audio makes a file",
        )
        .map(Some)
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

/// Streams that end or begin so much apart do so together: packets are not cut to the frame.
const TOGETHER_US: u64 = 50_000;

/// Where the last of the streams ends that the outputs are made of, in microseconds; 0 when nobody knows.
fn wanted_us(probe: &Probe, (video, audio): (Option<&VideoFacts>, Option<&AudioFacts>)) -> u64 {
    let video_us = video.map(|facts| facts.duration_us);
    let audio_us = audio.map(|facts| facts.duration_us);
    let ends: Option<Vec<u64>> = video_us.into_iter().chain(audio_us).collect();
    let end_us = ends.and_then(|ends| ends.into_iter().max()).filter(|us| *us > 0);
    match end_us {
        Some(end_us) if end_us + TOGETHER_US < probe.duration_us => end_us,
        _ => probe.duration_us,
    }
}

/// Without a trim and without sound, a movie begins with its first picture, not with the sound before it.
fn without_lead(
    recipe: &Recipe,
    (video, audio): (Option<&VideoFacts>, Option<&AudioFacts>),
    (spans, span_us): (Vec<Span>, u64),
) -> (Vec<Span>, u64) {
    let lead_us = video.map_or(0, |facts| facts.start_us);
    if recipe.trim.is_some() || audio.is_some() || lead_us <= TOGETHER_US {
        return (spans, span_us);
    }
    let span = Span {
        start: Timecode::from_us(lead_us),
        end: None,
    };
    (vec![span], span_us.saturating_sub(lead_us))
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

/// Whether there is sound, for outputs that are nothing else, wherever a span begins: it may end long before the pictures.
/// Movies show their last picture meanwhile.
fn begin_in_time(recipe: &Recipe, spans: &[Span], audio: Option<&AudioFacts>) -> Result<(), Failure> {
    let alone = recipe.outputs.iter().any(|output| matches!(output, Output::Audio(_)));
    let sound = audio.filter(|_| alone).and_then(|facts| facts.duration_us);
    let Some(length) = sound.filter(|us| *us > 0).map(Timecode::from_us) else {
        return Ok(());
    };
    match spans.iter().find(|span| span.start >= length) {
        Some(span) => {
            let detail = format!("start {}; the sound ends at {length}", span.start);
            Err(Failure::input(Code::TrimOutsideSource, detail))
        }
        None => Ok(()),
    }
}

/// What movies show before and after the source.
fn cards(
    bumper: Option<&BumperEdit>,
    clips: Clips<'_>,
    fps: Rational,
) -> Result<(Option<Card>, Option<Card>), Failure> {
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

/// Streams that no output uses, by name; of a film with a hundred subtitles the first ones.
fn dropped(probe: &Probe, used: &[Option<usize>], warnings: &mut Vec<Warning>) {
    let unused = probe
        .streams
        .iter()
        .filter(|stream| !used.contains(&Some(stream.index)));
    let mut words: Vec<_> = unused
        .map(|stream| {
            let language = stream.language.as_ref().map_or(String::new(), |tag| format!(", {tag}"));
            format!("{} #{} ({}{language})", stream.kind.word(), stream.index, stream.codec)
        })
        .collect();
    let more = words.len().saturating_sub(MOST_NAMED);
    // One more name is as short as its number.
    if more > 1 {
        words.truncate(MOST_NAMED);
        words.push(format!("and {more} more"));
    }
    if !words.is_empty() {
        warnings.push(Warning::new(WarningCode::StreamsDropped, words.join(", ")));
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

/// No muxer of ours writes how pictures are laid out in space.
fn spatial_lost(facts: Option<&VideoFacts>, outputs: &[PlannedOutput]) -> Option<Warning> {
    let layout = facts?.spatial.as_deref()?;
    let is_movie = |output: &PlannedOutput| matches!(output.content, Content::Movie(_) | Content::Hls(_));
    let movies = outputs.iter().any(is_movie);
    movies.then(|| Warning::new(WarningCode::SpatialLost, layout))
}

fn encodes_pictures(output: &PlannedOutput) -> bool {
    match &output.content {
        Content::Movie(movie) => !movie.video.is_copy(),
        Content::Hls(hls) => hls.rungs.iter().any(|rung| matches!(rung.video, VideoTrack::Encode(_))),
        Content::Audio { .. } => false,
        Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => true,
    }
}
