//! What will be done: a wish and facts turned into orders that the child obeys without thinking.

mod adaptive;
mod amount;
mod content;
mod copy;
mod decide;
mod estimate;
mod geometry;
mod ladder;
mod language_tag;
mod names;
mod outputs;
mod rate;
mod sound;
mod stills;
mod track;
mod verify;

pub use content::{Container, Content, Done, Hls, Movie, PlannedOutput, Rung, SHEET_SIDE, Step, sheet_rows};
pub use decide::{Clips, plan};
pub use estimate::{Cost, Estimate, Interval, Sample, estimate, predict};
pub use rate::leaves_rate_open;
pub use track::{AudioTrack, Card, VideoOrder, VideoTrack};
pub use verify::{retell, unfit, verify};

use crate::probe::Size;
use crate::recipe::{Name, Position};
use crate::time::{Rational, Span};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Orders for the child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The picture stream and how it is made plain; `None` when no output needs one.
    pub video: Option<SourceVideo>,
    /// Place of the sound stream; `None` when no output needs one or there is none.
    pub audio_stream: Option<usize>,
    /// What is kept, counted from the first moment of the source, joined in this order; at least one.
    pub spans: Vec<Span>,
    /// How long that is in all, in microseconds, as far as the probe can tell.
    pub span_us: u64,
    /// What counts as moment 0 on the source's clock, in microseconds, when the probe measured it.
    #[serde(default)]
    pub origin_us: Option<i64>,
    /// Whether the clock of the source jumps: it is read from its beginning, not searched.
    #[serde(default)]
    pub jumps: bool,
    /// Frames per second of every movie, constant.
    pub fps: Rational,
    /// `true` when the recipe names a rate, so that frames are left out on purpose.
    #[serde(default)]
    pub fps_asked: bool,
    /// What every movie shows first.
    pub intro: Option<Card>,
    /// What every movie shows last.
    pub outro: Option<Card>,
    /// The loudness to which the sound of the spans, measured as one, is brought, in LUFS (EBU R 128); `None` leaves
    /// it. Clips before and after keep their own.
    pub loudness_lufs: Option<i32>,
    /// The files to make.
    pub outputs: Vec<PlannedOutput>,
    /// What the user should know already now.
    pub warnings: Vec<Warning>,
}

/// The picture stream, and what makes it plain: upright, progressive, standard range, square pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceVideo {
    /// Its place in the file.
    pub stream: usize,
    /// Whether it is mirrored left to right first.
    pub mirrored: bool,
    /// Quarter turns clockwise, 0 to 3, after the mirror.
    pub quarter_turns: u8,
    /// Whether fields are woven into frames (bwdif).
    pub deinterlace: bool,
    /// Whether PQ or HLG is brought down to BT.709.
    pub tone_map: bool,
    /// Coded size by the header; a picture of another shape gets bars. 0 when unknown.
    #[serde(default)]
    pub size: Size,
    /// Width to height of a pixel for which the scaling is planned; a picture that tells another one gets bars.
    #[serde(default)]
    pub sample_aspect: Option<Rational>,
}

/// How a plain picture becomes the canvas: scale, then cut or pad around the middle, then the overlay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// The picture is scaled to this.
    pub scaled: Size,
    /// The size of the file; where it is smaller the picture is cut, where it is larger it is padded with black.
    pub canvas: Size,
    /// An image over the canvas.
    pub overlay: Option<Overlay>,
}

/// An image over the canvas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// The image.
    pub image: Name,
    /// Its width in pixels; its height follows.
    pub width_px: u32,
    /// Where it stands.
    pub position: Position,
    /// Distance from the edges in pixels.
    pub margin_px: u32,
    /// Opacity in hundredths.
    pub opacity_percent: u32,
    /// When it is seen, counted from the start of the span.
    pub span: Span,
}

/// Something that the user should know and that stops nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// A stable word.
    #[schema(example = "streams_dropped")]
    pub code: WarningCode,
    /// The value behind it.
    pub detail: String,
}

/// The stable word of a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// Streams that no output uses.
    StreamsDropped,
    /// There is sound, but no decoder for it.
    AudioUndecodable,
    /// 10-bit, 4:2:2, full range or HDR became 8-bit 4:2:0 limited range.
    PictureConverted,
    /// What is transparent in the source lies on black.
    AlphaFlattened,
    /// The outputs do not tell that their pictures are for a sphere (360°) or for two eyes (3D).
    SpatialLost,
    /// The trim ended after the source.
    TrimShortened,
    /// Some sound is missing: it stands too far from its pictures to wait for them, its times run back over sound that is
    /// there already, or there is none for a while though pictures go on; the detail tells how much and where.
    SoundShortened,
    /// Frames of the source that have no place at the constant rate of a movie; the detail tells how many and where.
    FramesDropped,
    /// No sound stream has the language that was asked for; the usual one was taken.
    LanguageMissing,
    /// A trim was asked to be fast, and something else needs the pictures encoded: it is exact.
    TrimExact,
    /// The headers of copied packets change on the way; a second take encodes them instead.
    HeadersChange,
    /// The source broke off, was damaged or has a hole; the detail tells the milliseconds lost.
    SourceDamaged,
    /// The kernel could not lock the child in completely.
    SandboxPartial,
}

impl Warning {
    /// A warning with the value behind it.
    pub fn new(code: WarningCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

impl Plan {
    /// Expected length of an output in microseconds, intro and outro included; 0 for stills.
    #[must_use]
    pub fn duration_us(&self, output: &PlannedOutput) -> u64 {
        match &output.content {
            Content::Movie(Movie { video, .. }) if !video.is_copy() => self.movie_us(),
            Content::Hls(hls) if hls.rungs.iter().any(|rung| !rung.video.is_copy()) => self.movie_us(),
            Content::Movie(_) | Content::Hls(_) | Content::Audio { .. } => self.span_us,
            Content::Gif { start_us, end_us, .. } => end_us.saturating_sub(*start_us),
            Content::Poster { .. } | Content::Sprite { .. } => 0,
        }
    }

    /// Whether anything is taken over from the source without being decoded.
    #[must_use]
    pub fn copies(&self) -> bool {
        let mut steps = self.outputs.iter().flat_map(|output| &output.steps);
        steps.any(|step| step.done == Done::Copy)
    }

    /// Returns `true` when an output takes its sound from the source without decoding it.
    fn copies_sound(&self) -> bool {
        self.outputs.iter().any(|output| match &output.content {
            Content::Movie(movie) => movie.audio.as_ref().is_some_and(AudioTrack::is_copy),
            Content::Hls(hls) => hls.audio.as_ref().is_some_and(AudioTrack::is_copy),
            Content::Audio { audio, .. } => audio.is_copy(),
            Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => false,
        })
    }

    fn movie_us(&self) -> u64 {
        let around: u64 = [&self.intro, &self.outro].into_iter().flatten().map(Card::frames).sum();
        self.fps.duration_us(self.fps.frames_in(self.span_us).max(1) + around)
    }
}
