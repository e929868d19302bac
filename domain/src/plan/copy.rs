//! Whether streams of the source are already what was asked, so that no work is the work. A refusal is the reason that
//! people read in the report.

mod profile;

use super::Picture;
use crate::probe::{AudioFacts, Probe, Size, Stream, Unfit, VideoFacts};
use crate::recipe::{AudioCodec, AudioEncoding, Fps, Recipe, TrimMode, VideoCodec, VideoEncoding};
use crate::time::Rational;

/// Players enter a stream at keyframes; further apart than this they wait too long.
const LONGEST_GOP_US: u64 = 10_000_000;

/// More bits a pixel than this are worth encoding again: a camera's file, not one for the web. At 1080p and 30 frames a
/// second that is 12.4 Mb/s.
const MOST_MILLIBITS_A_PIXEL: u64 = 200;

/// Below this no picture is too expensive, in bits per second.
const CHEAP_BPS: u64 = 2_000_000;

/// Copied sound may end so much before or after encoded pictures, in microseconds.
const SOUND_SLACK_US: u64 = 40_000;

/// Containers whose times of sound can be taken over as they are.
const SOUND_CONTAINERS: [&str; 4] = ["mov,", "matroska,", "mp3", "ogg"];

/// What a picture stream would have to be.
pub(super) struct Target<'a> {
    pub(super) codec: VideoCodec,
    pub(super) wish: &'a VideoEncoding,
    pub(super) picture: &'a Picture,
    pub(super) fps: Rational,
    /// Whether the container can hide pictures before its beginning.
    pub(super) hides: bool,
}

/// Whether the pictures can be copied.
///
/// # Errors
/// The reason why not.
pub(super) fn video(recipe: &Recipe, probe: &Probe, target: &Target<'_>) -> Result<(), String> {
    let (stream, facts) = probe.main_video().ok_or("there are no pictures")?;
    untouched(recipe, probe)?;
    let word = target.codec.ffmpeg_name();
    let own = Size {
        width_px: facts.width_px,
        height_px: facts.height_px,
    };
    let wanted = target.picture;
    let played = profile::plays(target.codec, facts);
    let rules: [(bool, &dyn Fn() -> String); 15] = [
        (stream.codec == word, &|| format!("{} is not {word}", stream.codec)),
        (target.wish.crf.is_none() && target.wish.speed.is_none(), &|| {
            "the recipe sets crf or speed".into()
        }),
        (wanted.overlay.is_none(), &|| {
            "a watermark is laid over the picture".into()
        }),
        (facts.quarter_turns == 0 && !facts.mirrored, &|| {
            "the picture is turned or mirrored by metadata".into()
        }),
        (
            wanted.canvas == own && wanted.scaled == own && facts.display_size() == own,
            &|| {
                let (from, to) = (facts.display_size(), wanted.canvas);
                let Size { width_px, height_px } = from;
                format!("{width_px}x{height_px} becomes {}x{}", to.width_px, to.height_px)
            },
        ),
        (facts.pixel_format == "yuv420p" && !facts.full_range, &|| {
            format!("{} is not 8-bit 4:2:0 in limited range", facts.pixel_format)
        }),
        (played.is_ok(), &|| played.clone().err().unwrap_or_default()),
        (!facts.hdr && !facts.interlaced, &|| {
            "the picture is HDR or interlaced".into()
        }),
        (!facts.changes, &|| "its headers change on the way".into()),
        (
            is_constant(facts, target.fps) && is_what_was_asked(recipe, facts),
            &|| "the frame rate changes or is another one".into(),
        ),
        (has_clean_times(probe), &|| {
            format!("times in {} are not reliable", probe.container)
        }),
        (facts.keyframes.is_none_or(|k| !k.hidden) || target.hides, &|| {
            "its container hides its beginning, and the new one cannot".into()
        }),
        (facts.keyframes.is_some_and(|k| k.first && k.closed), &|| {
            "its groups of pictures are not known to be closed".into()
        }),
        (facts.keyframes.is_none_or(|k| k.longest_us <= LONGEST_GOP_US), &|| {
            "its keyframes are too far apart".into()
        }),
        (!is_expensive(facts, target.fps), &|| {
            format!("{} b/s is more than its size needs", facts.bitrate_bps.unwrap_or(0))
        }),
    ];
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, why)) => Err(why()),
        None => Ok(()),
    }
}

/// Whether the packets are sound, and no edit of the recipe touches all of them.
fn untouched(recipe: &Recipe, probe: &Probe) -> Result<(), String> {
    if probe.unfit == Some(Unfit::All) {
        return Err(
            "copied at first, its packets turned out to be damaged or to change: it is made a second time".to_owned(),
        );
    }
    if let Some(trim) = &recipe.trim {
        let whole = trim
            .spans()
            .iter()
            .all(|span| span.start.unwrap_or_default().us() == 0 && span.end.is_none());
        if trim.mode == TrimMode::Exact && !(whole && trim.ranges.len() < 2) {
            return Err("the trim is exact".to_owned());
        }
    }
    let joined = recipe.bumper.as_ref().is_some_and(|bumper| {
        let clips = bumper.intro_task.is_some() || bumper.outro_task.is_some();
        clips || bumper.intro_ms > 0 || bumper.outro_ms > 0
    });
    if joined {
        return Err("a bumper is joined to it".to_owned());
    }
    Ok(())
}

/// A constant rate that is the one of the plan: what the average and the clock of the file say differs by less than
/// half a percent.
fn is_constant(facts: &VideoFacts, fps: Rational) -> bool {
    let near = |rate: Option<Rational>| rate.is_some_and(|rate| (rate.as_f64() / fps.as_f64() - 1.0).abs() < 0.005);
    near(facts.average_fps) && near(facts.base_fps)
}

/// Whether the average is the rate that the recipe names, if it names one: 30 is not 30000/1001.
fn is_what_was_asked(recipe: &Recipe, facts: &VideoFacts) -> bool {
    let Some(Fps::Fixed(asked)) = recipe.frame.as_ref().map(|frame| frame.fps) else {
        return true;
    };
    let average = facts.average_fps.map_or(0.0, Rational::as_f64);
    (average / asked.as_f64() - 1.0).abs() < 0.000_5
}

/// Containers whose times can be taken over as they are.
fn has_clean_times(probe: &Probe) -> bool {
    let containers = ["mov,", "matroska,"];
    !probe.jumps && containers.iter().any(|name| probe.container.starts_with(name))
}

fn is_expensive(facts: &VideoFacts, fps: Rational) -> bool {
    let pixels = u64::from(facts.width_px) * u64::from(facts.height_px);
    let each_second = pixels * u64::from(fps.num) / u64::from(fps.den.max(1));
    let most = (each_second * MOST_MILLIBITS_A_PIXEL / 1_000).max(CHEAP_BPS);
    facts.bitrate_bps.is_some_and(|bps| bps > most)
}

/// Whether the sound can be copied, beside pictures that are copied or encoded, or alone.
///
/// # Errors
/// The reason why not.
pub(super) fn audio(
    recipe: &Recipe,
    (probe, stream, facts): (&Probe, &Stream, &AudioFacts),
    (codec, wish): (AudioCodec, AudioEncoding),
    beside: Beside<'_>,
) -> Result<(), String> {
    untouched(recipe, probe)?;
    if probe.unfit == Some(Unfit::Sound) {
        return Err(
            "copied at first, it turned out to have holes, and many players play what follows one too early".to_owned(),
        );
    }
    let word = codec.ffmpeg_name();
    if stream.codec != word {
        return Err(format!("{} is not {word}", stream.codec));
    }
    if !facts.plain {
        return Err(format!("this {word} is of a kind that not every player takes"));
    }
    if wish.bitrate_bps.is_some() {
        return Err("the recipe sets its bit rate".to_owned());
    }
    if recipe.audio.mode == crate::recipe::AudioMode::Normalize {
        return Err("its loudness is normalized".to_owned());
    }
    let container = &probe.container;
    if probe.jumps || !SOUND_CONTAINERS.iter().any(|name| container.starts_with(name)) {
        return Err(format!("times in {container} are not reliable"));
    }
    if facts.channels > 2 {
        return Err(format!("{} channels become 2", facts.channels));
    }
    match beside {
        Beside::Encoded { video, .. } if !ends_with(facts, video).unwrap_or(false) => {
            Err("it is not known to end with the pictures".to_owned())
        }
        Beside::Copied { video, apart: true } if !ends_with(facts, video).unwrap_or(true) => {
            Err("it ends before or after the pictures".to_owned())
        }
        // A fragment tells when it begins, and some players take the first one for the beginning.
        Beside::Encoded { apart: true, .. } | Beside::Copied { apart: true, .. } if facts.start_us > SOUND_SLACK_US => {
            Err("it begins after the pictures".to_owned())
        }
        Beside::Encoded { .. } if recipe.trim.is_some() => Err("the trim is exact".to_owned()),
        Beside::Nothing if recipe.trim.as_ref().is_some_and(|trim| trim.mode == TrimMode::Fast) => {
            Err("a trim of sound alone is exact".to_owned())
        }
        Beside::Encoded { .. } | Beside::Copied { .. } | Beside::Nothing => Ok(()),
    }
}

/// What stands beside the sound.
#[derive(Clone, Copy)]
pub(super) enum Beside<'a> {
    /// Pictures that are encoded, into the same file or one of their own.
    Encoded { video: &'a VideoFacts, apart: bool },
    /// Pictures that are copied, likewise.
    Copied { video: &'a VideoFacts, apart: bool },
    /// No pictures.
    Nothing,
}

/// Whether sound ends with the pictures; `None` where the container tells no lengths of single streams.
fn ends_with(audio: &AudioFacts, video: &VideoFacts) -> Option<bool> {
    let (audio, video) = audio.duration_us.zip(video.duration_us)?;
    Some(audio.abs_diff(video) <= SOUND_SLACK_US)
}

#[cfg(test)]
mod tests;
