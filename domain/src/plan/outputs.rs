//! The planning of each output. Adaptive streams and still images have files of their own.

use super::copy::{AccompanyingVideo, AudioTarget};
use super::geometry::Narrower;
use super::output_planner::{OutputPlanner, encoded_audio, step, video_track};
use super::{Container, Content, Movie, PlannedOutput, Step, VideoTrack};
use crate::code::Code;
use crate::failure::Failure;
use crate::probe::Size;
use crate::recipe::{AudioCodec, AudioFormat, AudioOutput, Output, VideoCodec, VideoOutput};

/// Plans the output with this index in the recipe; `file` is its file name.
///
/// # Errors
/// [`Code::TrimOutsideSource`] if an animation begins after the end of the video; [`Code::PictureTooSmall`] if a frame
/// is too small for its codec.
pub(super) fn plan_output(
    planner: &OutputPlanner<'_>,
    index: usize,
    output: &Output,
    file: String,
) -> Result<PlannedOutput, Failure> {
    let mut steps = Vec::new();
    let content = match output {
        Output::Mp4(mp4) => check_frame_size(planner.movie(mp4, Container::Mp4, &mut steps), index)?,
        Output::Webm(webm) => check_frame_size(planner.movie(webm, Container::Webm, &mut steps), index)?,
        Output::Hls(hls) => planner.hls(hls, &mut steps),
        Output::Audio(audio) => planner.audio_file(audio, &mut steps),
        Output::Gif(gif) => planner.gif(gif, index)?,
        Output::Poster(poster) => planner.poster(poster),
        Output::Sprite(sprite) => planner.sprite(sprite),
    };
    if steps.is_empty() {
        steps.push(step("image", Err("images are always encoded".to_owned())));
    }
    Ok(PlannedOutput { file, content, steps })
}

/// Rejects a movie whose frames are smaller than its encoder accepts.
fn check_frame_size(content: Content, index: usize) -> Result<Content, Failure> {
    let Content::Movie(Movie {
        video: VideoTrack::Encode(encode),
        ..
    }) = &content
    else {
        return Ok(content);
    };
    let min = match encode.codec {
        VideoCodec::H264 | VideoCodec::Vp9 => 2,
        VideoCodec::H265 => 16,
        VideoCodec::Av1 => 64,
    };
    let Size { width_px, height_px } = encode.layout.canvas;
    if width_px.min(height_px) >= min {
        return Ok(content);
    }
    let codec = encode.codec.ffmpeg_name();
    let detail = format!("outputs[{index}]: {width_px}x{height_px}; {codec} needs at least {min}x{min}");
    Err(Failure::new(Code::PictureTooSmall, detail))
}

impl OutputPlanner<'_> {
    fn movie(&self, output: &VideoOutput, container: Container, steps: &mut Vec<Step>) -> Content {
        let narrower = Narrower {
            max_width_px: output.max_width_px,
            max_height_px: output.max_height_px,
            ..Narrower::default()
        };
        let (video_codec, audio_codec) = match container {
            Container::Mp4 => (VideoCodec::H264, AudioCodec::Aac),
            Container::Webm => (VideoCodec::Vp9, AudioCodec::Opus),
        };
        let encode = self.encode(&output.video, output.video.codec.unwrap_or(video_codec), narrower);
        let audio = AudioTarget {
            codec: audio_codec,
            bitrate_bps: output.audio.bitrate_bps,
        };
        let has_edit_list = container == Container::Mp4;
        let copied = self
            .check_copy(&output.video, &encode, has_edit_list)
            .and_then(|()| self.check_audio_start(audio, has_edit_list));
        let video = video_track(encode, copied.is_ok());
        steps.push(step("video", copied));
        Content::Movie(Movie {
            container,
            audio: self.audio_track(audio, self.accompanying(&video, false), steps),
            video,
        })
    }

    fn audio_file(&self, output: &AudioOutput, steps: &mut Vec<Step>) -> Content {
        let target = AudioTarget {
            codec: match output.format {
                AudioFormat::M4a => AudioCodec::Aac,
                AudioFormat::Mp3 => AudioCodec::Mp3,
                AudioFormat::Opus => AudioCodec::Opus,
            },
            bitrate_bps: output.bitrate_bps,
        };
        let track = self.audio_track(target, AccompanyingVideo::Absent, steps);
        Content::Audio {
            format: output.format,
            audio: track.unwrap_or_else(|| encoded_audio(target)),
        }
    }
}
