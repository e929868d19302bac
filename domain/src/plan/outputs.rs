//! What each output becomes: names, sizes, and whether streams are copied or encoded.

use super::copy::{self, Beside, Target};
use super::geometry::{Narrower, fit};
use super::{
    AudioTrack, Clips, Container, Content, Done, Movie, Overlay, Picture, PlannedOutput, Step, VideoOrder, VideoTrack,
};
use crate::code::Code;
use crate::failure::{Failure, FailureKind};
use crate::probe::{AudioFacts, Probe, Size, Stream, VideoFacts};
use crate::recipe::{
    self, AudioCodec, AudioEncoding, AudioFormat, Canvas, DEFAULT_AUDIO_BPS, Fit, Output, Recipe, VideoCodec,
    VideoEncoding,
};
use crate::time::{Rational, Span, Timecode};

/// Seconds between keyframes, so that a player can seek and a later cut needs little work.
const GOP_S: u64 = 4;

/// What the outputs can draw on.
pub(super) struct Room<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) probe: &'a Probe,
    pub(super) clips: Clips<'a>,
    pub(super) video: Option<&'a VideoFacts>,
    pub(super) audio: Option<(&'a Stream, &'a AudioFacts)>,
    pub(super) span_us: u64,
    pub(super) fps: Rational,
}

/// Plans the output at a place of the recipe, which will be called `file`.
///
/// # Errors
/// [`Code::TrimOutsideSource`] when an animation begins after the end, [`Code::PictureTooSmall`] when a codec takes no such
/// picture.
pub(super) fn planned(room: &Room<'_>, place: usize, output: &Output, file: String) -> Result<PlannedOutput, Failure> {
    let mut steps = Vec::new();
    let content = match output {
        Output::Mp4(wish) => large_enough(room.movie(wish, Container::Mp4, &mut steps), place)?,
        Output::Webm(wish) => large_enough(room.movie(wish, Container::Webm, &mut steps), place)?,
        Output::Hls(wish) => room.hls(wish, &mut steps),
        Output::Audio(wish) => room.sound_file(wish, &mut steps),
        Output::Gif(wish) => room.gif(wish, place)?,
        Output::Poster(wish) => room.poster(wish),
        Output::Sprite(wish) => room.sprite(wish),
    };
    if steps.is_empty() {
        steps.push(step("image", Err("stills are always made anew".to_owned())));
    }
    Ok(PlannedOutput { file, content, steps })
}

/// A movie, unless its encoder takes larger pictures only.
fn large_enough(content: Content, place: usize) -> Result<Content, Failure> {
    let Content::Movie(Movie {
        video: VideoTrack::Encode(order),
        ..
    }) = &content
    else {
        return Ok(content);
    };
    let least = match order.codec {
        VideoCodec::H264 | VideoCodec::Vp9 => 2,
        VideoCodec::H265 => 16,
        VideoCodec::Av1 => 64,
    };
    let Size { width_px, height_px } = order.picture.canvas;
    if width_px.min(height_px) >= least {
        return Ok(content);
    }
    let codec = order.codec.ffmpeg_name();
    let detail = format!("outputs[{place}]: {width_px}x{height_px}; {codec} takes {least}x{least} and more");
    Err(Failure::new(FailureKind::Unsupported, Code::PictureTooSmall, detail))
}

pub(super) fn step(stream: &str, copied: Result<(), String>) -> Step {
    let (done, reason) = match copied {
        Ok(()) => (Done::Copy, "it is already what was asked".to_owned()),
        Err(reason) => (Done::Transcode, reason),
    };
    Step {
        stream: stream.to_owned(),
        done,
        reason,
    }
}

impl Room<'_> {
    fn movie(&self, wish: &recipe::VideoOutput, container: Container, steps: &mut Vec<Step>) -> Content {
        let narrower = Narrower {
            max_width_px: wish.max_width_px,
            max_height_px: wish.max_height_px,
            ..Narrower::default()
        };
        let (codec, sound) = match container {
            Container::Mp4 => (VideoCodec::H264, AudioCodec::Aac),
            Container::Webm => (VideoCodec::Vp9, AudioCodec::Opus),
        };
        let order = self.order(&wish.video, wish.video.codec.unwrap_or(codec), narrower);
        let hides = container == Container::Mp4;
        let copied = self
            .can_copy(&wish.video, &order, hides)
            .and_then(|()| self.can_begin_early((sound, wish.audio), hides));
        let video = video_track(order, copied.is_ok());
        steps.push(step("video", copied));
        Content::Movie(Movie {
            container,
            audio: self.audio_track(sound, wish.audio, Some((&video, false)), steps),
            video,
        })
    }

    fn sound_file(&self, wish: &recipe::AudioOutput, steps: &mut Vec<Step>) -> Content {
        let codec = match wish.format {
            AudioFormat::M4a => AudioCodec::Aac,
            AudioFormat::Mp3 => AudioCodec::Mp3,
            AudioFormat::Opus => AudioCodec::Opus,
        };
        let audio = AudioEncoding {
            codec: None,
            bitrate_bps: wish.bitrate_bps,
        };
        let encoded = AudioTrack::Encode {
            codec,
            bitrate_bps: wish.bitrate_bps.unwrap_or(DEFAULT_AUDIO_BPS),
        };
        Content::Audio {
            format: wish.format,
            audio: self.audio_track(codec, audio, None, steps).unwrap_or(encoded),
        }
    }

    /// What becomes of the sound beside pictures, in a file of its own or in theirs, or alone; `None` when there is none.
    pub(super) fn audio_track(
        &self,
        codec: AudioCodec,
        wish: AudioEncoding,
        video: Option<(&VideoTrack, bool)>,
        steps: &mut Vec<Step>,
    ) -> Option<AudioTrack> {
        let (stream, facts) = self.audio?;
        let source = (self.probe, stream, facts);
        let beside = match (video, self.video) {
            (Some((video, apart)), Some(facts)) if video.is_copy() => Beside::Copied { video: facts, apart },
            (Some((_, apart)), Some(facts)) => Beside::Encoded { video: facts, apart },
            _ => Beside::Nothing,
        };
        let copied = copy::audio(self.recipe, source, (codec, wish), beside);
        let track = if copied.is_ok() {
            AudioTrack::Copy { codec }
        } else {
            AudioTrack::Encode {
                codec,
                bitrate_bps: wish.bitrate_bps.unwrap_or(DEFAULT_AUDIO_BPS),
            }
        };
        steps.push(step("audio", copied));
        Some(track)
    }

    /// Orders for an encoder, as if nothing could be copied.
    pub(super) fn order(&self, wish: &VideoEncoding, codec: VideoCodec, narrower: Narrower) -> VideoOrder {
        let picture = self.picture(narrower);
        let on_canvas = |clip: Option<&Probe>| clip.and_then(|probe| on_canvas(probe, picture.canvas));
        VideoOrder {
            intro: on_canvas(self.clips.intro),
            outro: on_canvas(self.clips.outro),
            picture: picture.clone(),
            codec,
            crf: wish.crf.unwrap_or(codec.default_crf()),
            speed: wish.speed.unwrap_or_default(),
            gop_frames: frames_u32(self.fps, GOP_S * 1_000_000),
            fixed_gops: false,
            max_bitrate_bps: None,
        }
    }

    pub(super) fn can_copy(&self, wish: &VideoEncoding, order: &VideoOrder, hides: bool) -> Result<(), String> {
        let target = Target {
            codec: order.codec,
            wish,
            picture: &order.picture,
            fps: self.fps,
            hides,
        };
        copy::video(self.recipe, self.probe, &target)
    }

    /// Whether sound can begin where pictures do that are copied: at the keyframe before the start, where the file cannot
    /// hide them, but sound that is encoded begins at the start.
    pub(super) fn can_begin_early(&self, sound: (AudioCodec, AudioEncoding), hides: bool) -> Result<(), String> {
        let (Some((stream, facts)), Some(video)) = (self.audio, self.video) else {
            return Ok(());
        };
        let source = (self.probe, stream, facts);
        if hides || self.recipe.trim.is_none() {
            return Ok(());
        }
        copy::audio(self.recipe, source, sound, Beside::Copied { video, apart: true })
            .map_err(|_| "its sound is encoded and begins later than its keyframe".to_owned())
    }

    pub(super) fn shown(&self) -> Size {
        const NOTHING: Size = Size {
            width_px: 2,
            height_px: 2,
        };
        self.video.map_or(NOTHING, VideoFacts::display_size)
    }

    pub(super) fn picture(&self, narrower: Narrower) -> Picture {
        let frame = self.recipe.frame.clone().unwrap_or_default();
        let mut picture = fit(self.shown(), &frame, narrower);
        picture.overlay = self.recipe.watermark.as_ref().map(|mark| Overlay {
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
}

pub(super) fn video_track(order: VideoOrder, copied: bool) -> VideoTrack {
    if copied {
        VideoTrack::Copy {
            codec: order.codec,
            size: order.picture.canvas,
        }
    } else {
        VideoTrack::Encode(Box::new(order))
    }
}

/// A clip on the canvas of a movie: fitted, enlarged if need be, with bars.
fn on_canvas(probe: &Probe, canvas: Size) -> Option<Picture> {
    let (_, facts) = probe.main_video()?;
    let frame = Canvas {
        max_width_px: Some(canvas.width_px),
        max_height_px: Some(canvas.height_px),
        fit: Fit::Inside,
        upscale: true,
        ..Canvas::default()
    };
    Some(Picture {
        canvas,
        ..fit(facts.display_size(), &frame, Narrower::default())
    })
}

pub(super) fn frames_u32(fps: Rational, us: u64) -> u32 {
    u32::try_from(fps.frames_in(us)).unwrap_or(u32::MAX).max(1)
}
