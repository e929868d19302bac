//! Whether a finished output is what the plan and the report say.

use super::{
    AudioTrack, Container, Content, Hls, Movie, Plan, PlannedOutput, SHEET_SIDE, VideoTrack, Warning, WarningCode,
    sheet_rows,
};
use crate::code::Code;
use crate::failure::{Failure, FailureKind};
use crate::probe::{Probe, Size, Unfit, VideoFacts};
use crate::protocol::{Checked, CheckedFile, CheckedHls, CheckedSprite, Imprint, Made, Report};
use crate::recipe::{AudioFormat, PosterFormat};
use crate::time::Rational;

/// A file may be longer or shorter than its report by one frame or this many microseconds.
const SLACK_US: u64 = 50_000;

/// Compares an output that was opened again with what was planned and what its maker reported.
///
/// # Errors
/// [`Code::OutputInvalid`] with the first difference.
pub fn verify(plan: &Plan, planned: &PlannedOutput, made: &Made, checked: &Checked) -> Result<(), Failure> {
    let difference = match (&planned.content, checked) {
        (Content::Hls(hls), Checked::Hls(checked)) => stream(plan, hls, made, checked),
        (
            Content::Sprite {
                picture,
                every_us,
                count,
            },
            Checked::Sprite(checked),
        ) => sprite(picture.canvas, (*every_us, *count), checked),
        (content, Checked::File(checked)) => file(plan, content, made, checked),
        (_, Checked::Hls(_) | Checked::Sprite(_)) => Err("it is of another kind".to_owned()),
    };
    difference.map_err(|what| {
        let detail = format!("{}: {what}", planned.file);
        Failure::new(FailureKind::MediaCrash, Code::OutputInvalid, detail)
    })
}

/// Which packets that were taken over from the source turned out to be unfit, by what the maker told or by the failure of the
/// attempt: the task is planned anew with [`Probe::without_copies_of`]. What became of packets that are damaged, change their
/// headers or have a hole between them only a decoder can tell.
#[must_use]
pub fn unfit(plan: &Plan, told: Result<&Report, &Failure>) -> Option<Unfit> {
    let concerns_all =
        |warning: &Warning| matches!(warning.code, WarningCode::SourceDamaged | WarningCode::HeadersChange);
    let is_all = match told {
        Ok(report) => report.warnings.iter().any(concerns_all),
        Err(failure) => failure.code == Code::OutputInvalid,
    };
    if is_all {
        return plan.copies().then_some(Unfit::All);
    }
    // Many players play what follows a hole too early.
    let has_holes = told.is_ok_and(|report| report.silent_source_us > 0);
    (has_holes && plan.copies_sound()).then_some(Unfit::Sound)
}

/// Adds to the warnings of a second take those of the first one that only a copy can see: headers that change, and damage that
/// the decoders of the second one passed over.
pub fn retell(first: &[Warning], second: &mut Vec<Warning>) {
    for code in [WarningCode::HeadersChange, WarningCode::SourceDamaged] {
        let is_told = |warning: &&Warning| warning.code == code;
        if !second.iter().any(|warning| is_told(&warning)) {
            second.extend(first.iter().find(is_told).cloned());
        }
    }
}

fn file(plan: &Plan, content: &Content, made: &Made, checked: &CheckedFile) -> Result<(), String> {
    sound_of_body(checked)?;
    codecs(&checked.probe, codecs_of(content))?;
    audible(made, checked)?;
    same_packets("pictures", made.copied.pictures, checked.copied.pictures)?;
    same_packets("sound", made.copied.sound, checked.copied.sound)?;
    let facts = checked.probe.main_video().map(|(_, facts)| facts);
    if let Some((facts, size)) = facts.zip(content.size()) {
        same_size(facts, size)?;
    }
    if let (Content::Movie(movie), Some(facts)) = (content, facts) {
        moving(&movie.video, plan.fps, facts)?;
    }
    let (counted, slack_us) = match content {
        Content::Movie(movie) => (true, slack(plan.fps, &movie.video, movie.container)),
        // One that stands still has no length; FFmpeg makes one up.
        Content::Gif { .. } if made.frames == 1 && checked.frames == 1 => return Ok(()),
        Content::Gif { fps, .. } => (true, fps.duration_us(1).max(SLACK_US)),
        Content::Audio { .. } => (false, SLACK_US),
        Content::Poster { .. } | Content::Hls(_) | Content::Sprite { .. } => return Ok(()),
    };
    if counted && checked.frames != made.frames {
        return Err(format!("{} frames, reported {}", checked.frames, made.frames));
    }
    same_length(checked.probe.duration_us, made.duration_us, slack_us)
}

/// Copied packets keep the ends that they had: sound may go on for a while after the pictures.
fn slack(fps: Rational, video: &VideoTrack, container: Container) -> u64 {
    let frame_us = fps.duration_us(1).max(SLACK_US);
    match (video, container) {
        (VideoTrack::Copy { .. }, _) => frame_us + 10 * SLACK_US,
        // Opus ends in whole packets, and WebM tells of no end within one.
        (VideoTrack::Encode(_), Container::Webm) => frame_us + SLACK_US,
        (VideoTrack::Encode(_), Container::Mp4) => frame_us,
    }
}

fn stream(plan: &Plan, hls: &Hls, made: &Made, checked: &CheckedHls) -> Result<(), String> {
    if checked.rungs.len() != hls.rungs.len() || checked.audio.is_some() != hls.audio.is_some() {
        return Err(format!("{} rungs, planned {}", checked.rungs.len(), hls.rungs.len()));
    }
    if !checked.aligned || !checked.independent || checked.segments == 0 {
        return Err("segments are not aligned, or do not begin with a keyframe".to_owned());
    }
    if checked.longest_us > checked.target_us {
        return Err(format!(
            "a segment of {} us, promised {}",
            checked.longest_us, checked.target_us
        ));
    }
    for (rung, file) in hls.rungs.iter().zip(&checked.rungs) {
        sound_of_body(file)?;
        codecs(&file.probe, (Some(rung.video.codec().ffmpeg_name()), None))?;
        let (_, facts) = file.probe.main_video().ok_or("a rung has no pictures")?;
        same_size(facts, rung.video.size())?;
        moving(&rung.video, plan.fps, facts)?;
        if rung.video.is_copy() {
            same_packets("pictures", made.copied.pictures, file.copied.pictures)?;
        }
        if file.frames != made.frames {
            return Err(format!("{} frames in a rung, reported {}", file.frames, made.frames));
        }
        same_length(
            file.probe.duration_us,
            made.duration_us,
            slack(plan.fps, &rung.video, Container::Mp4),
        )?;
    }
    if let (Some(track), Some(file)) = (&hls.audio, &checked.audio) {
        sound_of_body(file)?;
        audible(made, file)?;
        same_packets("sound", made.copied.sound, file.copied.sound)?;
        codecs(&file.probe, (None, Some(track.codec().ffmpeg_name())))?;
        let slack_us = if track.is_copy() { 10 * SLACK_US } else { 2 * SLACK_US };
        // It may come late, and what counts is where it ends.
        let end_us = file.probe.duration_us.saturating_add_signed(file.probe.start_us);
        same_length(end_us, made.duration_us, slack_us)?;
    }
    Ok(())
}

fn sprite(still: Size, (every_us, count): (u64, u64), checked: &CheckedSprite) -> Result<(), String> {
    let rows = sheet_rows(still);
    let sheets = usize::try_from(count.div_ceil(u64::from(SHEET_SIDE * rows))).unwrap_or(usize::MAX);
    if checked.cues != count || checked.sheets.len() != sheets || checked.astray > 0 {
        return Err(format!(
            "{} cues on {} sheets, planned {count} on {sheets}",
            checked.cues,
            checked.sheets.len()
        ));
    }
    if checked.end_us > every_us * count + SLACK_US {
        return Err(format!("the index ends at {} us", checked.end_us));
    }
    let (widest, highest) = (still.width_px * SHEET_SIDE, still.height_px * rows);
    let fits = |sheet: &Size| {
        sheet.width_px <= widest && sheet.height_px <= highest && sheet.height_px.is_multiple_of(still.height_px)
    };
    if checked.sheets.iter().all(fits) {
        Ok(())
    } else {
        Err("a sheet is not made of stills".to_owned())
    }
}

/// What must hold for every file.
fn sound_of_body(checked: &CheckedFile) -> Result<(), String> {
    if checked.decode_errors > 0 {
        return Err(format!("{} decode errors", checked.decode_errors));
    }
    if !checked.index_first || !checked.starts_with_keyframe {
        return Err("index not first, or no keyframe at the start".to_owned());
    }
    match checked.probe.main_audio() {
        Some((_, facts)) if facts.channels == 0 || facts.channels > 2 => Err(format!("{} channels", facts.channels)),
        _ => Ok(()),
    }
}

/// Encoders change a peak, but not to less than a quarter.
fn audible(made: &Made, checked: &CheckedFile) -> Result<(), String> {
    let heard = checked.peak_permille.unwrap_or(0);
    match made.loudest {
        Some(loudest) if heard < loudest.peak_permille / 4 => Err(format!(
            "it is silent where it should not be: {heard} permille at {} us, reported {}",
            loudest.at_us, loudest.peak_permille
        )),
        _ => Ok(()),
    }
}

/// Copied packets are found as they were written.
fn same_packets(what: &str, written: Option<Imprint>, found: Option<Imprint>) -> Result<(), String> {
    let count = |imprint: Option<Imprint>| imprint.map_or(0, |imprint| imprint.packets);
    if written == found {
        return Ok(());
    }
    Err(format!(
        "{} packets of {what} are not the {} that were copied",
        count(found),
        count(written)
    ))
}

type Codecs = (Option<&'static str>, Option<&'static str>);

fn codecs(probe: &Probe, expected: Codecs) -> Result<(), String> {
    let found = (
        probe.main_video().map(|(stream, _)| stream.codec.as_str()),
        probe.main_audio().map(|(stream, _)| stream.codec.as_str()),
    );
    if found == expected {
        Ok(())
    } else {
        Err(format!("codecs {found:?}, planned {expected:?}"))
    }
}

fn codecs_of(content: &Content) -> Codecs {
    match content {
        Content::Movie(Movie { video, audio, .. }) => (
            Some(video.codec().ffmpeg_name()),
            audio.as_ref().map(|track| AudioTrack::codec(track).ffmpeg_name()),
        ),
        Content::Audio { format, .. } => match format {
            AudioFormat::M4a => (None, Some("aac")),
            AudioFormat::Mp3 => (None, Some("mp3")),
            AudioFormat::Opus => (None, Some("opus")),
        },
        Content::Gif { .. } => (Some("gif"), None),
        Content::Poster { format, .. } => match format {
            PosterFormat::Jpeg => (Some("mjpeg"), None),
            PosterFormat::Png => (Some("png"), None),
            PosterFormat::Webp => (Some("webp"), None),
        },
        Content::Hls(_) | Content::Sprite { .. } => (None, None),
    }
}

fn same_size(facts: &VideoFacts, planned: Size) -> Result<(), String> {
    let size = Size {
        width_px: facts.width_px,
        height_px: facts.height_px,
    };
    if size == planned && facts.display_size() == size {
        Ok(())
    } else {
        Err(format!("{size:?}, planned {planned:?}"))
    }
}

/// Pixel format and rate of moving pictures.
fn moving(video: &VideoTrack, fps: Rational, facts: &VideoFacts) -> Result<(), String> {
    if facts.pixel_format != "yuv420p" {
        return Err(format!("pixel format {}", facts.pixel_format));
    }
    let Some(rate) = facts.average_fps.filter(|_| !video.is_copy()) else {
        return Ok(());
    };
    let off = (rate.as_f64() / fps.as_f64() - 1.0).abs();
    // A very short file's average is its frames over its rounded length.
    if off > 0.01 && facts.duration_us.unwrap_or_default() > 1_000_000 {
        return Err(format!("{rate} fps, planned {fps}"));
    }
    Ok(())
}

fn same_length(found_us: u64, reported_us: u64, slack_us: u64) -> Result<(), String> {
    if found_us.abs_diff(reported_us) <= slack_us {
        Ok(())
    } else {
        Err(format!("{found_us} microseconds, reported {reported_us}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{AudioFacts, Stream, StreamKind};
    use crate::{Limits, Recipe, plan};

    /// The plan of an audio output of a file of AAC.
    fn of_sound(json: &str) -> Plan {
        let facts = AudioFacts {
            sample_rate_hz: 48_000,
            channels: 2,
            duration_us: Some(20_000_000),
            start_us: 0,
            bitrate_bps: Some(128_000),
            plain: true,
        };
        let stream = Stream {
            index: 0,
            codec: "aac".into(),
            decodable: true,
            default: true,
            language: None,
            kind: StreamKind::Audio(facts),
        };
        let probe = Probe {
            container: "mov,mp4,m4a,3gp,3g2,mj2".into(),
            bytes: 400_000,
            duration_us: 20_000_000,
            start_us: 0,
            origin_us: None,
            jumps: false,
            streams: vec![stream],
            unfit: None,
        };
        let recipe: Recipe = serde_json::from_str(json).unwrap();
        plan::plan(&recipe, &probe, plan::Clips::default(), &Limits::default()).unwrap()
    }

    #[test]
    fn holes_of_the_source_make_copied_sound_unfit_and_losses_of_an_output_nothing() {
        let copied = of_sound(r#"{"outputs":[{"kind":"audio"}]}"#);
        let encoded = of_sound(r#"{"outputs":[{"kind":"audio","bitrate_bps":96000}]}"#);
        assert!(copied.copies() && !encoded.copies());
        let report = |silent_source_us, codes: &[WarningCode]| Report {
            warnings: codes.iter().map(|code| Warning::new(*code, "20 ms lost")).collect(),
            silent_source_us,
            ..Report::default()
        };
        let hole = report(2_000_000, &[WarningCode::SoundShortened]);
        let of_output = report(0, &[WarningCode::SoundShortened]);
        let damage = report(2_000_000, &[WarningCode::SourceDamaged, WarningCode::SoundShortened]);
        let invalid = Failure::new(FailureKind::MediaCrash, Code::OutputInvalid, "");
        assert_eq!(unfit(&copied, Ok(&hole)), Some(Unfit::Sound));
        assert_eq!(unfit(&copied, Ok(&of_output)), None);
        assert_eq!(unfit(&copied, Ok(&damage)), Some(Unfit::All));
        assert_eq!(unfit(&copied, Err(&invalid)), Some(Unfit::All));
        assert_eq!(unfit(&encoded, Ok(&hole)), None);
        assert_eq!(unfit(&encoded, Ok(&damage)), None);
    }

    #[test]
    fn a_second_take_tells_once_what_only_the_first_one_could_see() {
        let warning = |code| Warning::new(code, "first");
        let first = [
            warning(WarningCode::HeadersChange),
            warning(WarningCode::SourceDamaged),
            warning(WarningCode::SoundShortened),
        ];
        let own = Warning::new(WarningCode::SourceDamaged, "second");
        let mut second = vec![own.clone()];
        retell(&first, &mut second);
        assert_eq!(second, [own, warning(WarningCode::HeadersChange)]);
    }
}
