//! Limits of each kind of output.

use super::super::FieldError;
use super::limits::{check_range, check_side, check_time_ms};
use crate::recipe::{
    AudioCodec, AudioEncoding, Fps, GifOutput, HlsOutput, Ladder, Output, VideoCodec, VideoEncoding, VideoOutput,
};

/// Checks the output at the path `at`.
///
/// # Errors
/// The first field that is not accepted.
pub(super) fn check_output(at: &str, output: &Output) -> Result<(), FieldError> {
    match output {
        Output::Mp4(mp4) => check_video_file(
            at,
            mp4,
            &[VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1],
            AudioCodec::Aac,
        ),
        Output::Webm(webm) => check_video_file(at, webm, &[VideoCodec::Vp9, VideoCodec::Av1], AudioCodec::Opus),
        Output::Hls(hls) => check_hls(at, hls),
        Output::Audio(audio) => check_bitrate(&format!("{at}.bitrate_bps"), audio.bitrate_bps),
        Output::Gif(gif) => check_gif(at, gif),
        Output::Poster(poster) => {
            check_time_ms(&format!("{at}.at_ms"), poster.at_ms)?;
            check_side(&format!("{at}.width_px"), poster.width_px)
        }
        Output::Sprite(sprite) => {
            check_range(&format!("{at}.every_ms"), sprite.every_ms, 500..=600_000)?;
            check_range(&format!("{at}.width_px"), sprite.width_px.into(), 16..=640)
        }
    }
}

/// Checks a video file whose container accepts these codecs; the first video codec is the default.
fn check_video_file(at: &str, output: &VideoOutput, video: &[VideoCodec], audio: AudioCodec) -> Result<(), FieldError> {
    check_video(at, &output.video, video)?;
    check_audio(at, &output.audio, audio)?;
    check_side(&format!("{at}.max_width_px"), output.max_width_px)?;
    check_side(&format!("{at}.max_height_px"), output.max_height_px)
}

fn check_hls(at: &str, hls: &HlsOutput) -> Result<(), FieldError> {
    check_video(at, &hls.video, &[VideoCodec::H264])?;
    check_audio(at, &hls.audio, AudioCodec::Aac)?;
    check_range(&format!("{at}.segment_ms"), hls.segment_ms, 1_000..=10_000)?;
    let Ladder::ShortSides(sides) = &hls.ladder else {
        return Ok(());
    };
    if !(1..=8).contains(&sides.len()) {
        let detail = format!("{} sides; accepted: 1 to 8", sides.len());
        return Err(FieldError::invalid(format!("{at}.ladder"), detail));
    }
    let mut sides = sides.iter().enumerate();
    sides.try_for_each(|(index, side)| check_side(&format!("{at}.ladder[{index}]"), Some(*side)))
}

fn check_gif(at: &str, gif: &GifOutput) -> Result<(), FieldError> {
    check_range(&format!("{at}.width_px"), gif.width_px.into(), 16..=1_920)?;
    if let Fps::Fixed(rate) = gif.fps
        && rate.as_f64() > 50.0
    {
        let detail = format!("{rate}; accepted: keep, a number (12) or a fraction (25/2) from 1 to 50");
        return Err(FieldError::invalid(format!("{at}.fps"), detail));
    }
    check_time_ms(&format!("{at}.start_ms"), Some(gif.start_ms))?;
    let Some(end) = gif.end_ms else { return Ok(()) };
    check_range(&format!("{at}.end_ms"), end, gif.start_ms + 1..=gif.start_ms + 60_000)
}

/// Checks video encoder settings; the first accepted codec is the default.
fn check_video(at: &str, encoding: &VideoEncoding, accepted: &[VideoCodec]) -> Result<(), FieldError> {
    let codec = encoding.codec.or_else(|| accepted.first().copied()).unwrap_or_default();
    if !accepted.contains(&codec) {
        let names: Vec<_> = accepted.iter().map(|codec| json_name(codec)).collect();
        let detail = format!("{}; accepted here: {}", json_name(&codec), names.join(", "));
        return Err(FieldError::invalid(format!("{at}.video.codec"), detail));
    }
    let crf = encoding.crf.unwrap_or_default();
    check_range(&format!("{at}.video.crf"), crf.into(), 0..=codec.max_crf().into())
}

fn check_audio(at: &str, encoding: &AudioEncoding, accepted: AudioCodec) -> Result<(), FieldError> {
    if let Some(codec) = encoding.codec.filter(|codec| *codec != accepted) {
        let detail = format!("{}; accepted here: {}", codec.ffmpeg_name(), accepted.ffmpeg_name());
        return Err(FieldError::invalid(format!("{at}.audio.codec"), detail));
    }
    check_bitrate(&format!("{at}.audio.bitrate_bps"), encoding.bitrate_bps)
}

fn check_bitrate(field: &str, bitrate_bps: Option<u32>) -> Result<(), FieldError> {
    check_range(field, bitrate_bps.unwrap_or(32_000).into(), 32_000..=512_000)
}

/// Returns the name of a codec in a recipe.
fn json_name(codec: &VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "h264",
        VideoCodec::H265 => "h265",
        VideoCodec::Vp9 => "vp9",
        VideoCodec::Av1 => "av1",
    }
}
