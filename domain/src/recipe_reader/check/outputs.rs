//! What each kind of output may ask for.

use super::super::FieldError;
use super::{moment, within};
use crate::recipe::{AudioCodec, AudioWish, Fps, Gif, Hls, Ladder, Movie, Output, VideoCodec, VideoWish};

/// Bounds of one output, whose fields stand below `at`.
pub(super) fn check(at: &str, output: &Output) -> Result<(), FieldError> {
    match output {
        Output::Mp4(mp4) => movie(
            at,
            mp4,
            &[VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1],
            AudioCodec::Aac,
        ),
        Output::Webm(webm) => movie(at, webm, &[VideoCodec::Vp9, VideoCodec::Av1], AudioCodec::Opus),
        Output::Hls(wish) => hls(at, wish),
        Output::Audio(audio) => bitrate(&format!("{at}.bitrate_bps"), audio.bitrate_bps),
        Output::Gif(wish) => gif(at, wish),
        Output::Poster(poster) => {
            moment(&format!("{at}.at_ms"), poster.at_ms)?;
            side(&format!("{at}.width_px"), poster.width_px)
        }
        Output::Sprite(sprite) => {
            within(&format!("{at}.every_ms"), sprite.every_ms, 500..=600_000)?;
            within(&format!("{at}.width_px"), sprite.width_px.into(), 16..=640)
        }
    }
}

fn movie(at: &str, movie: &Movie, pictures: &[VideoCodec], sound: AudioCodec) -> Result<(), FieldError> {
    video(at, &movie.video, pictures)?;
    audio(at, &movie.audio, sound)?;
    side(&format!("{at}.max_width_px"), movie.max_width_px)?;
    side(&format!("{at}.max_height_px"), movie.max_height_px)
}

fn hls(at: &str, hls: &Hls) -> Result<(), FieldError> {
    video(at, &hls.video, &[VideoCodec::H264])?;
    audio(at, &hls.audio, AudioCodec::Aac)?;
    within(&format!("{at}.segment_ms"), hls.segment_ms, 1_000..=10_000)?;
    let Ladder::ShortSides(sides) = &hls.ladder else {
        return Ok(());
    };
    if !(1..=8).contains(&sides.len()) {
        let why = format!("{} sides; accepted: 1 to 8", sides.len());
        return Err(FieldError::invalid(format!("{at}.ladder"), why));
    }
    let mut sides = sides.iter().enumerate();
    sides.try_for_each(|(place, side)| within(&format!("{at}.ladder[{place}]"), (*side).into(), 16..=8_192))
}

fn gif(at: &str, gif: &Gif) -> Result<(), FieldError> {
    within(&format!("{at}.width_px"), gif.width_px.into(), 16..=1_920)?;
    if let Fps::Fixed(rate) = gif.fps
        && rate.as_f64() > 50.0
    {
        let why = format!("{rate}; accepted: 1 to 50");
        return Err(FieldError::invalid(format!("{at}.fps"), why));
    }
    moment(&format!("{at}.start_ms"), Some(gif.start_ms))?;
    let Some(end) = gif.end_ms else { return Ok(()) };
    within(&format!("{at}.end_ms"), end, gif.start_ms + 1..=gif.start_ms + 60_000)
}

fn video(at: &str, wish: &VideoWish, accepted: &[VideoCodec]) -> Result<(), FieldError> {
    let codec = wish.codec.or_else(|| accepted.first().copied()).unwrap_or_default();
    if !accepted.contains(&codec) {
        let words: Vec<_> = accepted.iter().map(|codec| word(codec)).collect();
        let why = format!("{}; accepted here: {}", word(&codec), words.join(", "));
        return Err(FieldError::invalid(format!("{at}.video.codec"), why));
    }
    let crf = wish.crf.unwrap_or_default();
    within(&format!("{at}.video.crf"), crf.into(), 0..=codec.max_crf().into())
}

fn audio(at: &str, wish: &AudioWish, accepted: AudioCodec) -> Result<(), FieldError> {
    if let Some(codec) = wish.codec.filter(|codec| *codec != accepted) {
        let why = format!("{}; accepted here: {}", codec.ffmpeg_name(), accepted.ffmpeg_name());
        return Err(FieldError::invalid(format!("{at}.audio.codec"), why));
    }
    bitrate(&format!("{at}.audio.bitrate_bps"), wish.bitrate_bps)
}

fn bitrate(field: &str, bitrate_bps: Option<u32>) -> Result<(), FieldError> {
    within(field, bitrate_bps.unwrap_or(32_000).into(), 32_000..=512_000)
}

fn side(field: &str, side: Option<u32>) -> Result<(), FieldError> {
    within(field, side.unwrap_or(16).into(), 16..=8_192)
}

/// The word of a codec in a recipe.
fn word(codec: &VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "h264",
        VideoCodec::H265 => "h265",
        VideoCodec::Vp9 => "vp9",
        VideoCodec::Av1 => "av1",
    }
}
