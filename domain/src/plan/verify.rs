//! Whether a finished file is what the plan and the report say.

use super::{Content, PlannedOutput};
use crate::code::Code;
use crate::failure::{Failure, FailureKind};
use crate::probe::{AudioFacts, Probe, Size, VideoFacts};
use crate::protocol::{Checked, Made};
use crate::recipe::{AudioFormat, PosterFormat};

/// A file may be longer or shorter than its report by one frame or this many microseconds.
const SLACK_US: u64 = 50_000;

/// Compares a file that was opened again with what was planned and what its maker reported.
///
/// # Errors
/// [`Code::OutputInvalid`] with the first difference.
pub fn verify(planned: &PlannedOutput, made: &Made, checked: &Checked) -> Result<(), Failure> {
    let probe = &checked.probe;
    let file = &planned.file;
    let wrong = |what: String| {
        Err(Failure::new(
            FailureKind::MediaCrash,
            Code::OutputInvalid,
            format!("{file}: {what}"),
        ))
    };
    if checked.decode_errors > 0 {
        return wrong(format!("{} decode errors", checked.decode_errors));
    }
    if !checked.index_first || !checked.starts_with_keyframe {
        return wrong("index not first, or no keyframe at the start".to_owned());
    }
    let (video, audio) = (probe.main_video(), probe.main_audio());
    let codecs = (
        video.map(|(s, _)| s.codec.as_str()),
        audio.map(|(s, _)| s.codec.as_str()),
    );
    let expected = codecs_of(&planned.content);
    if codecs != expected {
        return wrong(format!("codecs {codecs:?}, planned {expected:?}"));
    }
    if let Some(difference) = picture_difference(&planned.content, video.map(|(_, facts)| facts)) {
        return wrong(difference);
    }
    if let Some(difference) = length_difference(&planned.content, made, checked) {
        return wrong(difference);
    }
    match audio {
        Some((_, AudioFacts { channels, .. })) if *channels == 0 || *channels > 2 => {
            wrong(format!("{channels} channels"))
        }
        _ => Ok(()),
    }
}

type Codecs = (Option<&'static str>, Option<&'static str>);

const fn codecs_of(content: &Content) -> Codecs {
    match content {
        Content::Mp4 {
            audio_bitrate_bps: Some(_),
            ..
        } => (Some("h264"), Some("aac")),
        Content::Mp4 {
            audio_bitrate_bps: None,
            ..
        } => (Some("h264"), None),
        Content::Audio {
            format: AudioFormat::M4a,
            ..
        } => (None, Some("aac")),
        Content::Audio {
            format: AudioFormat::Mp3,
            ..
        } => (None, Some("mp3")),
        Content::Audio {
            format: AudioFormat::Opus,
            ..
        } => (None, Some("opus")),
        Content::Poster {
            format: PosterFormat::Jpeg,
            ..
        } => (Some("mjpeg"), None),
        Content::Poster {
            format: PosterFormat::Png,
            ..
        } => (Some("png"), None),
    }
}

fn picture_difference(content: &Content, facts: Option<&VideoFacts>) -> Option<String> {
    let (Content::Mp4 { picture, .. } | Content::Poster { picture, .. }) = content else {
        return None;
    };
    let facts = facts?;
    let size = Size {
        width_px: facts.width_px,
        height_px: facts.height_px,
    };
    if size != picture.canvas || facts.display_size() != size {
        return Some(format!("{size:?}, planned {:?}", picture.canvas));
    }
    let Content::Mp4 { fps, .. } = content else { return None };
    if facts.pixel_format != "yuv420p" {
        return Some(format!("pixel format {}", facts.pixel_format));
    }
    let rate = facts.average_fps?;
    let off = (rate.as_f64() / fps.as_f64() - 1.0).abs();
    // A very short file's average is its frames over its rounded length.
    (off > 0.01 && facts.duration_us.unwrap_or_default() > 1_000_000).then(|| format!("{rate} fps, planned {fps}"))
}

fn length_difference(content: &Content, made: &Made, checked: &Checked) -> Option<String> {
    let Probe { duration_us, .. } = checked.probe;
    let slack = match content {
        Content::Mp4 { fps, .. } => fps.duration_us(1).max(SLACK_US),
        Content::Audio { .. } => SLACK_US,
        Content::Poster { .. } => return None,
    };
    if checked.frames != made.frames && matches!(content, Content::Mp4 { .. }) {
        return Some(format!("{} frames, reported {}", checked.frames, made.frames));
    }
    (duration_us.abs_diff(made.duration_us) > slack)
        .then(|| format!("{duration_us} microseconds, reported {}", made.duration_us))
}
