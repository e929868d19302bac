//! Facts read from a file: what the child saw, in whole numbers, before anything is decided.

mod check;

use crate::time::Rational;
use serde::{Deserialize, Serialize};

/// Facts of a source or of an output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Short name of the demuxer, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub container: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Length in microseconds; measured from packets where the header has none or is wrong.
    pub duration_us: u64,
    /// Presentation time of the first picture or sample, in microseconds; may be negative.
    pub start_us: i64,
    /// What counts as moment 0 on the source's clock, in microseconds: the first main picture, or the first sample where
    /// the main sound begins earlier; `None` when nobody measured it.
    #[serde(default)]
    pub origin_us: Option<i64>,
    /// Whether its clock jumps on the way: no moment can be looked up, only read to from the beginning.
    #[serde(default)]
    pub jumps: bool,
    /// Every stream, in the order of the file; `index` is its place.
    pub streams: Vec<Stream>,
    /// Which copied packets turned out to be unfit, which the container does not tell; see [`Self::without_copies_of`].
    #[serde(skip)]
    pub unfit: Option<Unfit>,
}

/// Which packets of a source are unfit for a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// All: some are damaged, missing or change their headers.
    All,
    /// Those of the sound: there are none for a while.
    Sound,
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Its place in the file.
    pub index: usize,
    /// FFmpeg's short name of its codec, such as `h264`; `unknown` when there is none.
    pub codec: String,
    /// Whether a decoder of the allow-list opens it.
    pub decodable: bool,
    /// Whether the container flags it as the default.
    pub default: bool,
    /// ISO 639 tag, when the container has one.
    pub language: Option<String>,
    /// What it carries.
    pub kind: StreamKind,
}

/// What a stream carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// Moving pictures.
    Video(VideoFacts),
    /// Sound.
    Audio(AudioFacts),
    /// A still that belongs to the file (`attached_pic`), no video.
    CoverArt,
    /// Subtitles.
    Subtitle,
    /// Telemetry, timecode and other data.
    Data,
    /// Fonts and other attachments.
    Attachment,
}

impl StreamKind {
    /// The word for warnings.
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

/// Facts of moving pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoFacts {
    /// Coded width in pixels.
    pub width_px: u32,
    /// Coded height in pixels.
    pub height_px: u32,
    /// Shape of a pixel, width to height; 1/1 when the file does not say.
    pub sample_aspect: Rational,
    /// Quarter turns clockwise that bring the coded picture upright (0 to 3), after the mirror.
    pub quarter_turns: u8,
    /// Whether the coded picture is mirrored left to right before it is turned.
    pub mirrored: bool,
    /// Average frame rate of the container, when it has one.
    pub average_fps: Option<Rational>,
    /// The lowest rate that fits every timestamp (FFmpeg's `r_frame_rate`).
    pub base_fps: Option<Rational>,
    /// The rate at which its pictures follow each other where they are near, as their times tell; measured only where the
    /// other two leave it open.
    #[serde(default)]
    pub regular_fps: Option<Rational>,
    /// FFmpeg's name of the pixel format, such as `yuv420p`.
    pub pixel_format: String,
    /// Bits per component.
    pub bit_depth: u8,
    /// Whether its transfer is PQ or HLG (ITU-R BT.2100).
    pub hdr: bool,
    /// Whether the stream says that it is interlaced.
    pub interlaced: bool,
    /// Where it ends, in microseconds from the first moment of the source, when known.
    pub duration_us: Option<u64>,
    /// Where it begins, likewise.
    #[serde(default)]
    pub start_us: u64,
    /// How many pictures it has, where the container tells or another stream of pictures made it worth a count.
    #[serde(default)]
    pub frames: Option<u64>,
    /// Whether its samples use the full range (JPEG) instead of the limited one.
    #[serde(default)]
    pub full_range: bool,
    /// Bits per second on average, when known.
    #[serde(default)]
    pub bitrate_bps: Option<u64>,
    /// Whether only decoders of Dolby Vision know its colors: it has no base layer in PQ, HLG or BT.709.
    #[serde(default)]
    pub dolby_only: bool,
    /// Whether the headers of its packets change on the way.
    #[serde(default)]
    pub changes: bool,
    /// How its pictures are laid out for a sphere or for two eyes, in words, when the container tells.
    #[serde(default)]
    pub spatial: Option<String>,
    /// The codec's own number of its profile, when known, as FFmpeg counts them.
    #[serde(default)]
    pub profile: Option<u32>,
    /// The codec's own number of its level, when known.
    #[serde(default)]
    pub level: Option<u32>,
    /// Where it can be entered; `None` when the container's index does not tell.
    #[serde(default)]
    pub keyframes: Option<Keyframes>,
}

/// Where pictures can be entered without those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyframes {
    /// Whether the first picture is one.
    pub first: bool,
    /// Whether pictures of the file lie before the first one that is shown: an edit list hides them.
    #[serde(default)]
    pub hidden: bool,
    /// Whether nothing after any of them needs what comes before it (closed groups of pictures).
    pub closed: bool,
    /// Longest time from one to the next, or to the end, in microseconds, or more where the index is incomplete.
    pub longest_us: u64,
}

/// Facts of sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioFacts {
    /// Sampling rate in hertz.
    pub sample_rate_hz: u32,
    /// Channels.
    pub channels: u32,
    /// Where it ends, in microseconds from the first moment of the source, when known.
    pub duration_us: Option<u64>,
    /// Where it begins, likewise.
    #[serde(default)]
    pub start_us: u64,
    /// Bits per second on average, when known.
    #[serde(default)]
    pub bitrate_bps: Option<u64>,
    /// Whether it is what every player of its codec plays: AAC of the profile LC, any Opus, any MP3.
    #[serde(default)]
    pub plain: bool,
}

/// A stream of so many pictures or fewer may be a set of stills.
const FEW_FRAMES: u64 = 16;

/// Less than one part in so many of the pictures, or of the length, of another stream is no movie beside it.
const A_PART: u64 = 4;

/// A width and a height in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Width.
    pub width_px: u32,
    /// Height.
    pub height_px: u32,
}

impl VideoFacts {
    /// The size as it is shown: pixels made square, then turned upright.
    #[must_use]
    pub fn display_size(&self) -> Size {
        let Rational { num, den } = self.sample_aspect;
        // Only ever enlarge: the side that is too short grows, so no line is lost.
        let grow = |side: u32, by: u32, over: u32| {
            let grown = (u64::from(side) * u64::from(by) + u64::from(over) / 2) / u64::from(over);
            u32::try_from(grown).unwrap_or(u32::MAX)
        };
        let (width, height) = if num >= den {
            (grow(self.width_px, num, den), self.height_px)
        } else {
            (self.width_px, grow(self.height_px, den, num))
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
    /// Forgets where it ends.
    pub const fn forget_end(&mut self) {
        match &mut self.kind {
            StreamKind::Video(facts) => facts.duration_us = None,
            StreamKind::Audio(facts) => facts.duration_us = None,
            StreamKind::CoverArt | StreamKind::Subtitle | StreamKind::Data | StreamKind::Attachment => {}
        }
    }

    /// Notes that the headers of its packets change on the way, which no copy can tell.
    pub const fn set_changes(&mut self) {
        match &mut self.kind {
            StreamKind::Video(facts) => facts.changes = true,
            StreamKind::Audio(facts) => facts.plain = false,
            StreamKind::CoverArt | StreamKind::Subtitle | StreamKind::Data | StreamKind::Attachment => {}
        }
    }
}

impl Probe {
    /// The main moving picture that can be decoded: one that moves and lasts, then the default one, then the largest.
    ///
    /// Phones store the stills of a motion photo as a second track of one or a few large pictures.
    #[must_use]
    pub fn main_video(&self) -> Option<(&Stream, &VideoFacts)> {
        let videos = || {
            self.streams.iter().filter_map(|stream| match &stream.kind {
                StreamKind::Video(facts) if stream.decodable => Some((stream, facts)),
                _ => None,
            })
        };
        let most = videos().filter_map(|(_, facts)| facts.frames).max().unwrap_or(0);
        let longest_us = videos().filter_map(|(_, facts)| facts.duration_us).max().unwrap_or(0);
        let is_movie = |facts: &VideoFacts| {
            let stills = facts.frames.is_some_and(|own| own <= FEW_FRAMES && own * A_PART < most);
            let brief = facts.duration_us.is_some_and(|own_us| own_us * A_PART < longest_us);
            !stills && !brief
        };
        let area = |facts: &VideoFacts| u64::from(facts.width_px) * u64::from(facts.height_px);
        videos().max_by_key(|(stream, facts)| {
            let place = std::cmp::Reverse(stream.index);
            (is_movie(facts), stream.default, area(facts), place)
        })
    }

    /// The same facts of a source of which some packets are not to be taken over without being decoded.
    #[must_use]
    pub fn without_copies_of(&self, unfit: Unfit) -> Self {
        Self {
            unfit: Some(unfit),
            ..self.clone()
        }
    }

    /// The sound streams in the order of the file, whether they can be decoded or not.
    pub fn sounds(&self) -> impl Iterator<Item = (&Stream, &AudioFacts)> {
        self.streams.iter().filter_map(|stream| match &stream.kind {
            StreamKind::Audio(facts) => Some((stream, facts)),
            _ => None,
        })
    }

    /// The main sound: the default one, or the first, that can be decoded.
    #[must_use]
    pub fn main_audio(&self) -> Option<(&Stream, &AudioFacts)> {
        let sounds = self.sounds().filter(|(stream, _)| stream.decodable);
        sounds.max_by_key(|(stream, _)| (stream.default, std::cmp::Reverse(stream.index)))
    }
}
