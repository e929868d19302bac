//! The properties of a media file, as measured by the media child. All decisions about a source are made from a
//! [`Probe`], without opening the file again.

mod check;

use crate::time::Rational;
use serde::{Deserialize, Serialize};

/// The properties of a source or of an output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Short name of the demuxer, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub container: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Duration in microseconds; measured from packets if the header has none or a wrong one.
    pub duration_us: u64,
    /// Presentation time of the first frame or sample in microseconds; may be negative.
    pub start_us: i64,
    /// Timestamp of the source, in microseconds, that is time 0 of the video: that of the first frame of the main video
    /// stream, or of the first sample of the main audio stream if that is earlier. `None` if it was not measured.
    #[serde(default)]
    pub origin_us: Option<i64>,
    /// Set if the source must be read from its beginning instead of seeking: its timestamps have a discontinuity or
    /// begin before 0, or its sample rate changes.
    #[serde(default)]
    pub jumps: bool,
    /// All streams, in the order of the file.
    pub streams: Vec<Stream>,
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Its index in the file.
    pub index: usize,
    /// FFmpeg's short name of the codec, such as `h264`; `unknown` if there is none.
    pub codec: String,
    /// Set if a decoder of the allow-list can open it.
    pub decodable: bool,
    /// Set if the container marks it as the default stream.
    pub default: bool,
    /// Language as the container stores it, an ISO 639 code or a tag such as `es-MX`; `None` if there is none.
    pub language: Option<String>,
    /// Its media type and properties.
    pub kind: StreamKind,
}

/// The media type of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// Video.
    Video(VideoFacts),
    /// Audio.
    Audio(AudioFacts),
    /// A still image attached to the file (`attached_pic`).
    CoverArt,
    /// Subtitles.
    Subtitle,
    /// Telemetry, timecodes and other data.
    Data,
    /// Fonts and other attachments.
    Attachment,
}

impl StreamKind {
    /// Returns the name of the media type in warnings.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Video(_) => "video",
            Self::Audio(_) => "audio",
            Self::CoverArt => "cover art",
            Self::Subtitle => "subtitle",
            Self::Data => "data",
            Self::Attachment => "attachment",
        }
    }
}

/// The properties of a video stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoFacts {
    /// Coded width in pixels.
    pub width_px: u32,
    /// Coded height in pixels.
    pub height_px: u32,
    /// Sample aspect ratio: width to height of a pixel; 1/1 if the file has none.
    pub sample_aspect: Rational,
    /// Clockwise quarter turns (0 to 3) that bring the coded frame upright, after the mirroring.
    pub quarter_turns: u8,
    /// Set if the coded frame is mirrored left to right before it is rotated.
    pub mirrored: bool,
    /// Average frame rate (FFmpeg's `avg_frame_rate`), if known.
    pub average_fps: Option<Rational>,
    /// The lowest frame rate that represents all timestamps (FFmpeg's `r_frame_rate`), if known.
    pub base_fps: Option<Rational>,
    /// The frame rate within the continuous parts of the stream, measured from timestamps. Measured only if the other
    /// two rates are inconclusive (see [`crate::plan::leaves_rate_open`]).
    #[serde(default)]
    pub regular_fps: Option<Rational>,
    /// FFmpeg's name of the pixel format, such as `yuv420p`.
    pub pixel_format: String,
    /// Bits per component.
    pub bit_depth: u8,
    /// Set if the transfer function is PQ or HLG (ITU-R BT.2100).
    pub hdr: bool,
    /// Set if the stream is marked as interlaced.
    pub interlaced: bool,
    /// End in microseconds after the beginning of the source, if known.
    pub duration_us: Option<u64>,
    /// Start in microseconds after the beginning of the source.
    #[serde(default)]
    pub start_us: u64,
    /// Number of frames. Known if the container stores it; counted if the file has several video streams.
    #[serde(default)]
    pub frames: Option<u64>,
    /// Set if samples use the full range (JPEG) instead of the limited one.
    #[serde(default)]
    pub full_range: bool,
    /// Average bits per second, if known.
    #[serde(default)]
    pub bitrate_bps: Option<u64>,
    /// Set for Dolby Vision without a base layer in PQ, HLG or BT.709; only Dolby Vision decoders reproduce its colors.
    #[serde(default)]
    pub dolby_only: bool,
    /// Set if the codec headers (parameter sets) change within the stream.
    #[serde(default)]
    pub changes: bool,
    /// Description of the spherical (360°) or stereoscopic (3D) layout, if the container has one.
    #[serde(default)]
    pub spatial: Option<String>,
    /// Profile as FFmpeg numbers it, if known.
    #[serde(default)]
    pub profile: Option<u32>,
    /// Level as the codec numbers it, if known.
    #[serde(default)]
    pub level: Option<u32>,
    /// The keyframes; `None` if the index of the container does not list them.
    #[serde(default)]
    pub keyframes: Option<Keyframes>,
}

/// The keyframes of a video stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyframes {
    /// Set if the first frame is a keyframe.
    pub first: bool,
    /// Set if an edit list hides frames before the first visible one.
    #[serde(default)]
    pub hidden: bool,
    /// Set if all GOPs are closed: no frame after a keyframe refers to a frame before it.
    pub closed: bool,
    /// Longest distance between two keyframes, or from the last one to the end, in microseconds. Larger than the real
    /// one if the index is incomplete.
    pub longest_us: u64,
}

/// The properties of an audio stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioFacts {
    /// Sample rate in hertz.
    pub sample_rate_hz: u32,
    /// Number of channels.
    pub channels: u32,
    /// End in microseconds after the beginning of the source, if known.
    pub duration_us: Option<u64>,
    /// Start in microseconds after the beginning of the source.
    #[serde(default)]
    pub start_us: u64,
    /// Average bits per second, if known.
    #[serde(default)]
    pub bitrate_bps: Option<u64>,
    /// Set if every player of the codec plays it: AAC-LC, any Opus, any MP3.
    #[serde(default)]
    pub plain: bool,
}

/// Maximum number of frames of a stream that may be a set of still images.
const MAX_STILLS: u64 = 16;

/// A stream with less than one part in this many of the frames or the duration of another stream is not the main video.
const MAIN_VIDEO_PART: u64 = 4;

/// A width and a height in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
}

impl VideoFacts {
    /// Returns the coded size.
    #[must_use]
    pub const fn coded_size(&self) -> Size {
        Size {
            width_px: self.width_px,
            height_px: self.height_px,
        }
    }

    /// Returns the display size: with square pixels and upright.
    #[must_use]
    pub fn display_size(&self) -> Size {
        let Rational { num, den } = self.sample_aspect;
        // Enlarging the shorter side of a pixel keeps the resolution; shrinking the longer one would lose lines.
        let enlarged = |side: u32, num: u32, den: u32| {
            let rounded = (u64::from(side) * u64::from(num) + u64::from(den) / 2) / u64::from(den);
            u32::try_from(rounded).unwrap_or(u32::MAX)
        };
        let (width, height) = if num >= den {
            (enlarged(self.width_px, num, den), self.height_px)
        } else {
            (self.width_px, enlarged(self.height_px, den, num))
        };
        if self.quarter_turns.is_multiple_of(2) {
            Size {
                width_px: width,
                height_px: height,
            }
        } else {
            Size {
                width_px: height,
                height_px: width,
            }
        }
    }
}

impl Stream {
    /// Sets the end to unknown.
    pub const fn forget_end(&mut self) {
        match &mut self.kind {
            StreamKind::Video(facts) => facts.duration_us = None,
            StreamKind::Audio(facts) => facts.duration_us = None,
            StreamKind::CoverArt | StreamKind::Subtitle | StreamKind::Data | StreamKind::Attachment => {}
        }
    }

    /// Marks that the codec headers change within the stream. It is then not copied, because a container stores the
    /// headers once.
    pub const fn set_changes(&mut self) {
        match &mut self.kind {
            StreamKind::Video(facts) => facts.changes = true,
            StreamKind::Audio(facts) => facts.plain = false,
            StreamKind::CoverArt | StreamKind::Subtitle | StreamKind::Data | StreamKind::Attachment => {}
        }
    }
}

impl Probe {
    /// Returns the main video stream among the decodable ones. Streams of still images and short streams rank last;
    /// then the default stream ranks first, then the largest, then the first.
    ///
    /// Phones store the stills of a motion photo as a second video stream with one or a few large frames.
    #[must_use]
    pub fn main_video(&self) -> Option<(&Stream, &VideoFacts)> {
        let videos = || {
            self.streams.iter().filter_map(|stream| match &stream.kind {
                StreamKind::Video(facts) if stream.decodable => Some((stream, facts)),
                _ => None,
            })
        };
        let max_frames = videos().filter_map(|(_, facts)| facts.frames).max().unwrap_or(0);
        let max_us = videos().filter_map(|(_, facts)| facts.duration_us).max().unwrap_or(0);
        let is_movie = |facts: &VideoFacts| {
            let is_stills = |frames: u64| frames <= MAX_STILLS && frames * MAIN_VIDEO_PART < max_frames;
            let is_short = |us: u64| us * MAIN_VIDEO_PART < max_us;
            !facts.frames.is_some_and(is_stills) && !facts.duration_us.is_some_and(is_short)
        };
        let area = |facts: &VideoFacts| u64::from(facts.width_px) * u64::from(facts.height_px);
        videos().max_by_key(|(stream, facts)| {
            let first = std::cmp::Reverse(stream.index);
            (is_movie(facts), stream.default, area(facts), first)
        })
    }

    /// Returns the audio streams in the order of the file, including those that cannot be decoded.
    pub fn audio_streams(&self) -> impl Iterator<Item = (&Stream, &AudioFacts)> {
        self.streams.iter().filter_map(|stream| match &stream.kind {
            StreamKind::Audio(facts) => Some((stream, facts)),
            _ => None,
        })
    }

    /// Returns the main audio stream among the decodable ones: the default stream, or the first one.
    #[must_use]
    pub fn main_audio(&self) -> Option<(&Stream, &AudioFacts)> {
        let decodable = self.audio_streams().filter(|(stream, _)| stream.decodable);
        decodable.max_by_key(|(stream, _)| (stream.default, std::cmp::Reverse(stream.index)))
    }
}
