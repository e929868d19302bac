//! The decision itself: first what the source allows, then each output.

use super::geometry::{Narrower, fit};
use super::rate::{DEFAULT_FPS, constant_rate};
use super::{BumperPlan, Content, H264, Overlay, Picture, Plan, PlannedOutput, SourceVideo, Warning, WarningCode};
use crate::code::Code;
use crate::failure::{Failure, FailureKind};
use crate::limits::Limits;
use crate::probe::{Probe, Size, Stream, StreamKind, VideoFacts};
use crate::recipe::{AudioFormat, AudioMode, Fps, Frame, Mp4, Output, Poster, PosterFormat, Recipe, Trim};
use crate::time::{Span, Timecode};

/// Seconds between keyframes, so that a player can seek and a later cut needs little work.
const GOP_S: u32 = 4;

/// Turns a wish and facts into orders.
///
/// # Errors
/// [`FailureKind::Input`] when the source breaks a limit or lacks what an output needs, or the trim lies outside of
/// it; [`FailureKind::Unsupported`] when its only picture or sound cannot be decoded.
pub fn plan(recipe: &Recipe, probe: &Probe, limits: &Limits) -> Result<Plan, Failure> {
    limits.check(probe)?;
    let mut warnings = Vec::new();
    let video = picture_source(recipe, probe)?;
    let audio_stream = sound_source(recipe, probe, &mut warnings)?;
    let (span, span_us) = span(recipe.trim.as_ref(), probe.duration_us, &mut warnings)?;
    let sources = Sources {
        video: video.map(|(_, facts)| facts),
        audio: audio_stream.is_some(),
        span_us,
    };
    let outputs = recipe.outputs.iter().enumerate();
    let outputs = outputs
        .map(|(place, output)| planned(recipe, output, place, &sources))
        .collect::<Vec<_>>();
    dropped(
        probe,
        &[video.map(|(stream, _)| stream.index), audio_stream],
        &mut warnings,
    );
    if let Some((_, facts)) = video {
        converted(facts, &mut warnings);
    }
    let video = video.map(|(stream, facts)| SourceVideo {
        stream: stream.index,
        mirrored: facts.mirrored,
        quarter_turns: facts.quarter_turns,
        deinterlace: facts.interlaced,
        tone_map: facts.hdr,
    });
    Ok(Plan {
        video,
        audio_stream,
        span,
        span_us,
        outputs,
        warnings,
    })
}

/// The picture stream, when any output needs one.
fn picture_source<'a>(recipe: &Recipe, probe: &'a Probe) -> Result<Option<(&'a Stream, &'a VideoFacts)>, Failure> {
    if !recipe
        .outputs
        .iter()
        .any(|output| matches!(output, Output::Mp4(_) | Output::Poster(_)))
    {
        return Ok(None);
    }
    if let Some(found) = probe.main_video() {
        return Ok(Some(found));
    }
    let undecodable = probe
        .streams
        .iter()
        .find(|stream| matches!(stream.kind, StreamKind::Video(_)));
    Err(undecodable.map_or_else(
        || Failure::input(Code::NoVideoStream, "an output asks for pictures"),
        |stream| {
            Failure::new(
                FailureKind::Unsupported,
                Code::CodecUnsupported,
                format!("video codec {}", stream.codec),
            )
        },
    ))
}

/// The sound stream, when any output can use one.
fn sound_source(recipe: &Recipe, probe: &Probe, warnings: &mut Vec<Warning>) -> Result<Option<usize>, Failure> {
    let needed = recipe.outputs.iter().any(|output| matches!(output, Output::Audio(_)));
    let wanted = recipe
        .outputs
        .iter()
        .any(|output| matches!(output, Output::Mp4(_) | Output::Audio(_)));
    if !wanted || recipe.audio.mode == AudioMode::Drop {
        return Ok(None);
    }
    if let Some((stream, _)) = probe.main_audio() {
        return Ok(Some(stream.index));
    }
    let undecodable = probe
        .streams
        .iter()
        .find(|stream| matches!(stream.kind, StreamKind::Audio(_)));
    match undecodable {
        Some(Stream { codec, .. }) if needed => Err(Failure::new(
            FailureKind::Unsupported,
            Code::CodecUnsupported,
            format!("audio codec {codec}"),
        )),
        None if needed => Err(Failure::input(Code::NoAudioStream, "an output asks for sound")),
        Some(Stream { codec, .. }) => {
            warnings.push(Warning::new(WarningCode::AudioUndecodable, codec.clone()));
            Ok(None)
        }
        None => Ok(None),
    }
}

/// What is kept, and how long that is. A source without a known length is kept open-ended.
fn span(trim: Option<&Trim>, duration_us: u64, warnings: &mut Vec<Warning>) -> Result<(Span, u64), Failure> {
    let start = trim.and_then(|trim| trim.start).unwrap_or_default();
    let mut end = trim.and_then(|trim| trim.end);
    if duration_us > 0 && start.us() >= duration_us {
        let length = Timecode::from_us(duration_us);
        return Err(Failure::input(
            Code::TrimOutsideSource,
            format!("start {start}; the source ends at {length}"),
        ));
    }
    if let Some(asked) = end.filter(|end| duration_us > 0 && end.us() > duration_us) {
        let detail = format!(
            "asked until {asked}, the source ends at {}",
            Timecode::from_us(duration_us)
        );
        warnings.push(Warning::new(WarningCode::TrimShortened, detail));
        end = None;
    }
    let until = end.map_or(duration_us, Timecode::us);
    Ok((Span { start, end }, until.saturating_sub(start.us())))
}

/// What the outputs can draw on.
struct Sources<'a> {
    video: Option<&'a VideoFacts>,
    audio: bool,
    span_us: u64,
}

fn planned(recipe: &Recipe, output: &Output, place: usize, sources: &Sources<'_>) -> PlannedOutput {
    let (word, ending) = match output {
        Output::Mp4(_) => ("video", "mp4"),
        Output::Audio(audio) => match audio.format {
            AudioFormat::M4a => ("audio", "m4a"),
            AudioFormat::Mp3 => ("audio", "mp3"),
            AudioFormat::Opus => ("audio", "opus"),
        },
        Output::Poster(poster) => match poster.format {
            PosterFormat::Jpeg => ("poster", "jpg"),
            PosterFormat::Png => ("poster", "png"),
        },
    };
    // Two unnamed outputs of one kind: the later one carries its place.
    let taken =
        recipe.outputs.iter().take(place).any(|earlier| {
            earlier.name().is_none() && std::mem::discriminant(earlier) == std::mem::discriminant(output)
        });
    let stem = match output.name() {
        Some(name) => name.to_string(),
        None if taken => format!("{word}-{}", place + 1),
        None => word.to_owned(),
    };
    let content = match output {
        Output::Mp4(mp4) => movie(recipe, mp4, sources),
        Output::Audio(audio) => Content::Audio {
            format: audio.format,
            bitrate_bps: audio.bitrate_bps,
        },
        Output::Poster(wish) => still(recipe, wish, sources),
    };
    PlannedOutput {
        file: format!("{stem}.{ending}"),
        content,
    }
}

fn movie(recipe: &Recipe, mp4: &Mp4, sources: &Sources<'_>) -> Content {
    let frame = recipe.frame.clone().unwrap_or_default();
    let fps = match frame.fps {
        Fps::Fixed(rate) => rate,
        Fps::Keep => sources.video.map_or(DEFAULT_FPS, constant_rate),
    };
    let bumper = recipe.bumper.as_ref().map(|bumper| BumperPlan {
        image: bumper.image.clone(),
        intro_frames: fps.frames_in(bumper.intro_ms * 1_000),
        outro_frames: fps.frames_in(bumper.outro_ms * 1_000),
    });
    let narrower = Narrower {
        max_width_px: mp4.max_width_px,
        max_height_px: mp4.max_height_px,
    };
    Content::Mp4 {
        picture: picture(recipe, &frame, narrower, sources),
        fps,
        bumper,
        video: H264 {
            crf: mp4.video.crf,
            speed: mp4.video.speed,
            gop_frames: u32::try_from(fps.frames_in(u64::from(GOP_S) * 1_000_000))
                .unwrap_or(u32::MAX)
                .max(1),
        },
        audio_bitrate_bps: sources.audio.then_some(mp4.audio.bitrate_bps),
    }
}

fn still(recipe: &Recipe, poster: &Poster, sources: &Sources<'_>) -> Content {
    let frame = recipe.frame.clone().unwrap_or_default();
    let narrower = Narrower {
        max_width_px: poster.width_px,
        max_height_px: None,
    };
    Content::Poster {
        picture: picture(recipe, &frame, narrower, sources),
        at_us: poster.at_ms.map_or(sources.span_us / 10, |ms| ms * 1_000),
        format: poster.format,
    }
}

fn picture(recipe: &Recipe, frame: &Frame, narrower: Narrower, sources: &Sources<'_>) -> Picture {
    let shown = sources.video.map_or(
        Size {
            width_px: 2,
            height_px: 2,
        },
        VideoFacts::display_size,
    );
    let mut picture = fit(shown, frame, narrower);
    picture.overlay = recipe.watermark.as_ref().map(|mark| Overlay {
        image: mark.image.clone(),
        width_px: (picture.canvas.width_px * mark.width_percent / 100).max(2),
        position: mark.position,
        margin_px: mark.margin_px,
        opacity_percent: mark.opacity.percent,
        span: Span {
            start: mark.start_ms.map(Timecode::from_ms).unwrap_or_default(),
            end: mark.end_ms.map(Timecode::from_ms),
        },
    });
    picture
}

fn dropped(probe: &Probe, used: &[Option<usize>], warnings: &mut Vec<Warning>) {
    let unused = probe
        .streams
        .iter()
        .filter(|stream| !used.contains(&Some(stream.index)));
    let words: Vec<_> = unused
        .map(|stream| format!("{} #{} ({})", stream.kind.word(), stream.index, stream.codec))
        .collect();
    if !words.is_empty() {
        warnings.push(Warning::new(WarningCode::StreamsDropped, words.join(", ")));
    }
}

fn converted(facts: &VideoFacts, warnings: &mut Vec<Warning>) {
    if facts.hdr || facts.pixel_format != "yuv420p" {
        let what = if facts.hdr { "HDR " } else { "" };
        let detail = format!("{what}{} to yuv420p", facts.pixel_format);
        warnings.push(Warning::new(WarningCode::PictureConverted, detail));
    }
}
