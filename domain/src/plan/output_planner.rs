//! The decisions that all kinds of outputs share: layout, tracks, and copy or encode.

use super::audio_source::AudioStream;
use super::copy::{AccompanyingVideo, AudioTarget, CopyCheck, VideoTarget};
use super::geometry::{Narrower, fit};
use super::{AudioTrack, Clips, CopyPolicy, FrameLayout, Step, StreamAction, VideoEncode, VideoTrack, Watermark};
use crate::probe::{Probe, Size, VideoFacts};
use crate::recipe::{Canvas, DEFAULT_AUDIO_BPS, Fit, Recipe, VideoCodec, VideoEncoding};
use crate::time::{Rational, Span, Timecode};

/// Seconds between keyframes, as Apple's HLS authoring specification (§1.10) recommends. Shorter GOPs make seeking,
/// later cuts and verification cheaper, longer ones save bytes.
const GOP_S: u64 = 2;

/// Plans the outputs of a recipe. Holds everything that is decided once for all outputs.
pub(super) struct OutputPlanner<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) probe: &'a Probe,
    pub(super) copies: CopyPolicy,
    pub(super) clips: Clips<'a>,
    /// The selected video stream; `None` if no output needs one.
    pub(super) video: Option<&'a VideoFacts>,
    /// The selected audio stream; `None` if there is none or no output uses it.
    pub(super) audio: Option<AudioStream<'a>>,
    /// Total duration of the spans in microseconds; 0 if unknown.
    pub(super) span_us: u64,
    /// The constant frame rate of all movies.
    pub(super) fps: Rational,
}

impl<'a> OutputPlanner<'a> {
    /// Plans the audio track of an output; `None` if there is no audio.
    pub(super) fn audio_track(
        &self,
        target: AudioTarget,
        video: AccompanyingVideo<'_>,
        steps: &mut Vec<Step>,
    ) -> Option<AudioTrack> {
        let copied = self.copy_check().audio(self.audio?, target, video);
        let track = if copied.is_ok() {
            AudioTrack::Copy { codec: target.codec }
        } else {
            encoded_audio(target)
        };
        steps.push(step("audio", copied));
        Some(track)
    }

    /// Returns the video beside the audio of an output. `separate` is set if the two are in separate files.
    pub(super) const fn accompanying(&self, track: &VideoTrack, separate: bool) -> AccompanyingVideo<'a> {
        match self.video {
            Some(facts) if track.is_copy() => AccompanyingVideo::Copied { facts, separate },
            Some(facts) => AccompanyingVideo::Encoded { facts, separate },
            None => AccompanyingVideo::Absent,
        }
    }

    /// Plans the encoding of a video track, whether or not it can be copied.
    pub(super) fn encode(&self, encoding: &VideoEncoding, codec: VideoCodec, narrower: Narrower) -> VideoEncode {
        let layout = self.layout(narrower);
        let clip = |probe: Option<&Probe>| clip_layout(probe?, layout.canvas);
        VideoEncode {
            intro: clip(self.clips.intro),
            outro: clip(self.clips.outro),
            layout: layout.clone(),
            codec,
            crf: encoding.crf.unwrap_or(codec.default_crf()),
            speed: encoding.speed.unwrap_or_default(),
            gop_frames: frames_u32(self.fps, GOP_S * 1_000_000),
            fixed_gops: false,
            max_bitrate_bps: None,
        }
    }

    const fn copy_check(&self) -> CopyCheck<'a> {
        CopyCheck {
            recipe: self.recipe,
            probe: self.probe,
            policy: self.copies,
        }
    }

    /// Checks if the video can be copied in place of `encode`. `has_edit_list` is set if the container can hide frames
    /// before the start.
    ///
    /// # Errors
    /// The reason against it.
    pub(super) fn check_copy(
        &self,
        encoding: &VideoEncoding,
        encode: &VideoEncode,
        has_edit_list: bool,
    ) -> Result<(), String> {
        let target = VideoTarget {
            codec: encode.codec,
            encoding,
            layout: &encode.layout,
            fps: self.fps,
            has_edit_list,
        };
        self.copy_check().video(&target)
    }

    /// Checks if the audio can begin together with copied video after a trim. Copied video begins at the keyframe
    /// before the start. Without an edit list the frames before the start are visible, so the audio must begin there
    /// too, which only copied audio can.
    ///
    /// # Errors
    /// The reason against it.
    pub(super) fn check_audio_start(&self, target: AudioTarget, has_edit_list: bool) -> Result<(), String> {
        let (Some(audio), Some(facts)) = (self.audio, self.video) else {
            return Ok(());
        };
        if has_edit_list || self.recipe.trim.is_none() {
            return Ok(());
        }
        let video = AccompanyingVideo::Copied { facts, separate: true };
        self.copy_check()
            .audio(audio, target, video)
            .map_err(|_| "its audio is encoded and begins later than the keyframe".to_owned())
    }

    /// Returns the display size of the source.
    pub(super) fn display_size(&self) -> Size {
        /// Never used: without video, no output has a layout.
        const SMALLEST: Size = Size {
            width_px: 2,
            height_px: 2,
        };
        self.video.map_or(SMALLEST, VideoFacts::display_size)
    }

    /// Plans the layout of the frames of an output.
    pub(super) fn layout(&self, narrower: Narrower) -> FrameLayout {
        let canvas = self.recipe.frame.clone().unwrap_or_default();
        let mut layout = fit(self.display_size(), &canvas, narrower);
        layout.watermark = self.recipe.watermark.as_ref().map(|watermark| Watermark {
            image: watermark.image.clone(),
            width_px: (layout.canvas.width_px * watermark.width_percent / 100).max(2),
            position: watermark.position,
            margin_px: watermark.margin_px,
            opacity_percent: watermark.opacity.percent,
            span: Span {
                start: watermark.start_ms.map(Timecode::from_ms).unwrap_or_default(),
                end: watermark.end_ms.map(Timecode::from_ms),
            },
        });
        layout
    }
}

/// Returns an encoded audio track.
pub(super) fn encoded_audio(target: AudioTarget) -> AudioTrack {
    AudioTrack::Encode {
        codec: target.codec,
        bitrate_bps: target.bitrate_bps.unwrap_or(DEFAULT_AUDIO_BPS),
    }
}

/// Returns the step for a stream that is copied, or encoded for a reason.
pub(super) fn step(stream: &str, copied: Result<(), String>) -> Step {
    let (action, reason) = match copied {
        Ok(()) => (StreamAction::Copy, "it is already what was asked".to_owned()),
        Err(reason) => (StreamAction::Transcode, reason),
    };
    Step {
        stream: stream.to_owned(),
        action,
        reason,
    }
}

/// Returns a video track that is copied, or encoded as planned.
pub(super) fn video_track(encode: VideoEncode, is_copy: bool) -> VideoTrack {
    if is_copy {
        VideoTrack::Copy {
            codec: encode.codec,
            size: encode.layout.canvas,
        }
    } else {
        VideoTrack::Encode(Box::new(encode))
    }
}

/// Returns the layout of a clip on the canvas of a movie: scaled up or down to fit, with bars.
fn clip_layout(probe: &Probe, size: Size) -> Option<FrameLayout> {
    let (_, facts) = probe.main_video()?;
    let canvas = Canvas {
        max_width_px: Some(size.width_px),
        max_height_px: Some(size.height_px),
        fit: Fit::Inside,
        upscale: true,
        ..Canvas::default()
    };
    Some(FrameLayout {
        canvas: size,
        ..fit(facts.display_size(), &canvas, Narrower::default())
    })
}

/// Returns the number of frames in `us` microseconds, at least 1.
pub(super) fn frames_u32(fps: Rational, us: u64) -> u32 {
    u32::try_from(fps.frames_in(us)).unwrap_or(u32::MAX).max(1)
}
