//! Verification of finished outputs.
//!
//! *Problem.* Encoders and muxers may produce files that no player opens, that are too short, or that are silent,
//! without an error. The child that created a file is not trusted to judge it: it has processed untrusted media.
//!
//! *Mechanism.* A second child, which has never seen the source, opens each output and measures it ([`OutputFacts`]).
//! [`verify`] compares the measurements with the plan and with the report of the first child ([`OutputReport`]):
//! codecs, sizes, frame count, duration, decode errors, the audio peak, digests of copied packets, and the segments of
//! adaptive streams.
//!
//! *Invariants.* An output is stored only if it was verified. A copy that failed is planned again without copies
//! (`replan.rs`); an encoded output that failed is a crash of the child.

use super::{
    AudioTrack, Container, Content, Hls, Movie, Plan, PlannedOutput, Rung, SHEET_SIDE, VideoTrack, sheet_rows,
};
use crate::code::Code;
use crate::failure::Failure;
use crate::probe::{Probe, Size, VideoFacts};
use crate::protocol::{FileFacts, HlsFacts, OutputFacts, OutputReport, SpriteFacts, StreamDigest};
use crate::recipe::{AudioFormat, PosterFormat};
use crate::time::Rational;

/// Tolerance for durations in microseconds; at least one frame is tolerated too.
const TOLERANCE_US: u64 = 50_000;

/// Compares the measured properties of an output with its plan and its report.
///
/// # Errors
/// [`Code::OutputInvalid`] with the first difference.
pub fn verify(
    plan: &Plan,
    planned: &PlannedOutput,
    report: &OutputReport,
    checked: &OutputFacts,
) -> Result<(), Failure> {
    let difference = match (&planned.content, checked) {
        (Content::Hls(hls), OutputFacts::Hls(checked)) => check_hls(plan, hls, report, checked),
        (
            Content::Sprite {
                layout,
                every_us,
                count,
            },
            OutputFacts::Sprite(checked),
        ) => check_sprite(layout.canvas, *every_us, *count, checked),
        (content, OutputFacts::File(checked)) => check_file(plan, content, report, checked),
        (_, OutputFacts::Hls(_) | OutputFacts::Sprite(_)) => Err("it is another kind of output".to_owned()),
    };
    difference.map_err(|difference| {
        let detail = format!("{}: {difference}", planned.file);
        Failure::new(Code::OutputInvalid, detail)
    })
}

fn check_file(plan: &Plan, content: &Content, report: &OutputReport, checked: &FileFacts) -> Result<(), String> {
    check_integrity(checked)?;
    check_codecs(&checked.probe, &Codecs::of(content))?;
    check_peak(report, checked)?;
    check_digest("video", report.copied.video, checked.copied.video)?;
    check_digest("audio", report.copied.audio, checked.copied.audio)?;
    let facts = checked.probe.main_video().map(|(_, facts)| facts);
    if let Some((facts, size)) = facts.zip(content.size()) {
        check_size(facts, size)?;
    }
    if let (Content::Movie(movie), Some(facts)) = (content, facts) {
        check_format_and_rate(&movie.video, plan.fps, facts)?;
    }
    let (has_frames, tolerance_us) = match content {
        Content::Movie(movie) => (true, duration_tolerance_us(plan.fps, &movie.video, movie.container)),
        // A GIF of one frame has no duration; FFmpeg reports an arbitrary one.
        Content::Gif { .. } if report.frames == 1 && checked.frames == 1 => return Ok(()),
        Content::Gif { fps, .. } => (true, fps.duration_us(1).max(TOLERANCE_US)),
        Content::Audio { .. } => (false, TOLERANCE_US),
        Content::Poster { .. } | Content::Hls(_) | Content::Sprite { .. } => return Ok(()),
    };
    if has_frames && checked.frames != report.frames {
        return Err(format!("{} frames, reported {}", checked.frames, report.frames));
    }
    check_duration(checked.probe.duration_us, report.duration_us, tolerance_us)
}

/// Returns the tolerance for the duration of a movie in microseconds.
fn duration_tolerance_us(fps: Rational, video: &VideoTrack, container: Container) -> u64 {
    let frame_us = fps.duration_us(1).max(TOLERANCE_US);
    match (video, container) {
        // Copied streams keep their ends: audio may continue after the video.
        (VideoTrack::Copy { .. }, _) => frame_us + 10 * TOLERANCE_US,
        // Opus ends with a whole packet, and WebM cannot store an end inside of one.
        (VideoTrack::Encode(_), Container::Webm) => frame_us + TOLERANCE_US,
        (VideoTrack::Encode(_), Container::Mp4) => frame_us,
    }
}

fn check_hls(plan: &Plan, hls: &Hls, report: &OutputReport, checked: &HlsFacts) -> Result<(), String> {
    if checked.rungs.len() != hls.rungs.len() {
        return Err(format!("{} rungs, planned {}", checked.rungs.len(), hls.rungs.len()));
    }
    if checked.audio.is_some() != hls.audio.is_some() {
        return Err("the audio rendition is missing, or was not planned".to_owned());
    }
    if checked.segments == 0 {
        return Err("no segments".to_owned());
    }
    if !checked.aligned || !checked.independent {
        return Err("segments are not aligned, or do not begin with a keyframe".to_owned());
    }
    if checked.longest_us > checked.target_us {
        return Err(format!(
            "a segment of {} us, target duration {}",
            checked.longest_us, checked.target_us
        ));
    }
    for (rung, file) in hls.rungs.iter().zip(&checked.rungs) {
        check_rung(plan, rung, report, file)?;
    }
    if let (Some(track), Some(file)) = (&hls.audio, &checked.audio) {
        check_integrity(file)?;
        check_peak(report, file)?;
        check_digest("audio", report.copied.audio, file.copied.audio)?;
        check_codecs(&file.probe, &Codecs::audio(track.codec().ffmpeg_name()))?;
        let tolerance_us = if track.is_copy() {
            10 * TOLERANCE_US
        } else {
            2 * TOLERANCE_US
        };
        // Audio may start late, so its end is compared, not its duration.
        let end_us = file.probe.duration_us.saturating_add_signed(file.probe.start_us);
        check_duration(end_us, report.duration_us, tolerance_us)?;
    }
    Ok(())
}

fn check_rung(plan: &Plan, rung: &Rung, report: &OutputReport, file: &FileFacts) -> Result<(), String> {
    check_integrity(file)?;
    check_codecs(&file.probe, &Codecs::video(rung.video.codec().ffmpeg_name()))?;
    let (_, facts) = file.probe.main_video().ok_or("a rung has no video")?;
    check_size(facts, rung.video.size())?;
    check_format_and_rate(&rung.video, plan.fps, facts)?;
    if rung.video.is_copy() {
        check_digest("video", report.copied.video, file.copied.video)?;
    }
    if file.frames != report.frames {
        return Err(format!("{} frames in a rung, reported {}", file.frames, report.frames));
    }
    check_duration(
        file.probe.duration_us,
        report.duration_us,
        duration_tolerance_us(plan.fps, &rung.video, Container::Mp4),
    )
}

fn check_sprite(still: Size, every_us: u64, count: u64, checked: &SpriteFacts) -> Result<(), String> {
    let rows = sheet_rows(still);
    let sheets = usize::try_from(count.div_ceil(u64::from(SHEET_SIDE * rows))).unwrap_or(usize::MAX);
    if checked.cues_outside_sheet > 0 {
        return Err(format!("{} cues outside of their sheet", checked.cues_outside_sheet));
    }
    if checked.cues != count || checked.sheets.len() != sheets {
        return Err(format!(
            "{} cues on {} sheets, planned {count} on {sheets}",
            checked.cues,
            checked.sheets.len()
        ));
    }
    if checked.end_us > every_us * count + TOLERANCE_US {
        return Err(format!("the index ends at {} us", checked.end_us));
    }
    let (max_width_px, max_height_px) = (still.width_px * SHEET_SIDE, still.height_px * rows);
    let is_grid = |sheet: &Size| {
        let is_small_enough = sheet.width_px <= max_width_px && sheet.height_px <= max_height_px;
        is_small_enough && sheet.height_px.is_multiple_of(still.height_px)
    };
    if checked.sheets.iter().all(is_grid) {
        Ok(())
    } else {
        Err("the size of a sheet is not a multiple of the size of a still".to_owned())
    }
}

/// Checks the properties that every file must have.
fn check_integrity(checked: &FileFacts) -> Result<(), String> {
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

/// Checks that audio is not silent at its peak. An encoder changes the peak, but never to less than a quarter.
fn check_peak(report: &OutputReport, checked: &FileFacts) -> Result<(), String> {
    let peak_permille = checked.peak_permille.unwrap_or(0);
    match report.audio_peak {
        Some(reported) if peak_permille < reported.peak_permille / 4 => Err(format!(
            "the audio is too quiet: {peak_permille} permille at {} us, reported {}",
            reported.at_us, reported.peak_permille
        )),
        _ => Ok(()),
    }
}

/// Checks that the packets of a copied stream are unchanged.
fn check_digest(stream: &str, written: Option<StreamDigest>, found: Option<StreamDigest>) -> Result<(), String> {
    let packets = |digest: Option<StreamDigest>| digest.map_or(0, |digest| digest.packets);
    if written == found {
        return Ok(());
    }
    Err(format!(
        "the {} {stream} packets differ from the {} copied ones",
        packets(found),
        packets(written)
    ))
}

/// FFmpeg's names of the codecs of a file; `None` if it has no such stream.
#[derive(Debug, PartialEq, Eq)]
struct Codecs<'a> {
    video: Option<&'a str>,
    audio: Option<&'a str>,
}

impl<'a> Codecs<'a> {
    const fn video(codec: &'a str) -> Self {
        Self {
            video: Some(codec),
            audio: None,
        }
    }

    const fn audio(codec: &'a str) -> Self {
        Self {
            video: None,
            audio: Some(codec),
        }
    }

    /// Returns the planned codecs of a file.
    fn of(content: &Content) -> Self {
        match content {
            Content::Movie(Movie { video, audio, .. }) => Self {
                video: Some(video.codec().ffmpeg_name()),
                audio: audio.as_ref().map(|track| AudioTrack::codec(track).ffmpeg_name()),
            },
            Content::Audio { format, .. } => Self::audio(match format {
                AudioFormat::M4a => "aac",
                AudioFormat::Mp3 => "mp3",
                AudioFormat::Opus => "opus",
            }),
            Content::Gif { .. } => Self::video("gif"),
            Content::Poster { format, .. } => Self::video(match format {
                PosterFormat::Jpeg => "mjpeg",
                PosterFormat::Png => "png",
                PosterFormat::Webp => "webp",
            }),
            Content::Hls(_) | Content::Sprite { .. } => Self {
                video: None,
                audio: None,
            },
        }
    }
}

fn check_codecs(probe: &Probe, planned: &Codecs<'_>) -> Result<(), String> {
    let found = Codecs {
        video: probe.main_video().map(|(stream, _)| stream.codec.as_str()),
        audio: probe.main_audio().map(|(stream, _)| stream.codec.as_str()),
    };
    if found == *planned {
        return Ok(());
    }
    let list = |codecs: &Codecs<'_>| {
        let (video, audio) = (codecs.video.unwrap_or("none"), codecs.audio.unwrap_or("none"));
        format!("video {video}, audio {audio}")
    };
    Err(format!("codecs: {}; planned: {}", list(&found), list(planned)))
}

fn check_size(facts: &VideoFacts, planned: Size) -> Result<(), String> {
    let size = Size {
        width_px: facts.width_px,
        height_px: facts.height_px,
    };
    if size == planned && facts.display_size() == size {
        Ok(())
    } else {
        let Size { width_px, height_px } = size;
        let (planned_width_px, planned_height_px) = (planned.width_px, planned.height_px);
        Err(format!(
            "{width_px}x{height_px}, planned {planned_width_px}x{planned_height_px}"
        ))
    }
}

fn check_format_and_rate(video: &VideoTrack, fps: Rational, facts: &VideoFacts) -> Result<(), String> {
    if facts.pixel_format != "yuv420p" {
        return Err(format!("pixel format {}", facts.pixel_format));
    }
    let Some(rate) = facts.average_fps.filter(|_| !video.is_copy()) else {
        return Ok(());
    };
    let difference = (rate.as_f64() / fps.as_f64() - 1.0).abs();
    // The average of a very short file is inexact, because its duration is rounded.
    if difference > 0.01 && facts.duration_us.unwrap_or_default() > 1_000_000 {
        return Err(format!("{rate} fps, planned {fps}"));
    }
    Ok(())
}

fn check_duration(found_us: u64, reported_us: u64, tolerance_us: u64) -> Result<(), String> {
    if found_us.abs_diff(reported_us) <= tolerance_us {
        Ok(())
    } else {
        Err(format!("{found_us} microseconds, reported {reported_us}"))
    }
}
