//! What the worker and the media child say to each other: one JSON value a line, at most 256 KiB.
//!
//! The worker writes one [`Session`], then [`Request`]s; the child answers each request with any number of
//! [`Event::Progress`] and one closing event. End of input ends the child.

use crate::failure::Failure;
use crate::plan::{Plan, PlannedOutput, Warning};
use crate::probe::{Probe, Size};
use serde::{Deserialize, Serialize};

/// Longest line in bytes, in either direction; the largest recipe needs half of it.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

mod session;
#[cfg(test)]
mod tests;

pub use session::{Depth, Image, SandboxMode, SandboxStatus, Session};

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Read the facts of the source at this place. Answer: [`Event::Probed`].
    Probe(usize),
    /// Make the outputs in the scratch directory. Answer: [`Event::Transcoded`].
    Transcode(Box<Plan>),
    /// Open these outputs in the scratch directory again, as they were planned and made. Answer: [`Event::Verified`], in the same order.
    Verify(Vec<(PlannedOutput, Made)>),
}

/// What the child says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It is locked in and waits for requests.
    Ready(SandboxStatus),
    /// It is getting on.
    Progress(Progress),
    /// Facts of the source.
    Probed(Box<Probe>),
    /// The outputs are in the scratch directory.
    Transcoded(Box<Report>),
    /// Facts of the files asked about.
    Verified(Vec<Checked>),
    /// The request failed.
    Failed(Failure),
}

/// How far the work is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// 0 to 100 over all outputs, never falling within a phase.
    pub percent: u8,
    /// Frames encoded, over all outputs.
    pub frames: u64,
    /// Frames encoded per second.
    pub fps: f32,
    /// Media seconds per second.
    pub speed: f32,
    /// Seconds to go; `None` while nobody knows.
    pub eta_s: Option<u64>,
    /// Packets and frames moved so far, in all stages: reading, decoding, filters, encoders, muxers, verification.
    #[serde(default)]
    pub moved: u64,
    /// Milliseconds since the stage that stands still the longest, of those that do not wait for another, moved one.
    #[serde(default)]
    pub still_ms: u64,
}

/// A stage of the work on a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Phase {
    #[default]
    Probe,
    Transcode,
    Verify,
    Store,
}

impl Phase {
    /// The word in JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Transcode => "transcode",
            Self::Verify => "verify",
            Self::Store => "store",
        }
    }
}

/// What the child did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// One entry per output of the plan, in its order.
    pub outputs: Vec<Made>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// Microseconds of sound that the source lacks while its pictures go on.
    #[serde(default)]
    pub silent_source_us: u64,
    /// Processor time in milliseconds.
    pub cpu_ms: u64,
    /// Wall time in milliseconds.
    pub wall_ms: u64,
    /// Largest resident memory in bytes.
    pub peak_memory_bytes: u64,
    /// Version of FFmpeg's libavcodec.
    pub ffmpeg: String,
}

/// One output the child made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Its name in the scratch directory; that of a directory when it is a set.
    pub file: String,
    /// Pictures in it; of each rung of a ladder, in each still of a sprite one.
    pub frames: u64,
    /// Length in microseconds as a player shows it; 0 for stills.
    pub duration_us: u64,
    /// Where copied packets begin in the source when a fast trim took them: microseconds after its first moment, at or
    /// before the start that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets_from_us: Option<u64>,
    /// Where sound that was encoded is loudest; `None` when there is none, or nothing but silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loudest: Option<Loudest>,
    /// The packets that were taken over.
    #[serde(default)]
    pub copied: Copied,
    /// Sound for which there was no room while it waited for its pictures, or whose times run back over other sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_sound: Option<LostSound>,
    /// Frames of the source that a movie does not show, because two or more fell on one of its frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<DroppedFrames>,
}

/// Frames of the source that are missing in an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedFrames {
    /// How many they are.
    pub frames: u64,
    /// The time of the first of them, in microseconds after the start of the output.
    pub at_us: u64,
}

impl DroppedFrames {
    /// Sums the frames of two consecutive parts; the second one begins `from_us` microseconds after the start of the output.
    #[must_use]
    pub fn joined(before: Option<Self>, after: Option<Self>, from_us: u64) -> Option<Self> {
        let after = after.map(|after| Self {
            at_us: from_us.saturating_add(after.at_us),
            ..after
        });
        match (before, after) {
            (Some(before), Some(after)) => Some(Self {
                frames: before.frames + after.frames,
                ..before
            }),
            (before, after) => before.or(after),
        }
    }
}

/// Sound that is missing in an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostSound {
    /// Microseconds after the start of the output.
    pub at_us: u64,
    /// How much, in microseconds.
    pub length_us: u64,
}

/// The packets of the streams that were taken over, as they were written and as they are found again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Of the pictures; `None` when they were encoded, or there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<Imprint>,
    /// Of the sound, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<Imprint>,
}

/// By what the packets of a stream are known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imprint {
    /// How many they are.
    pub packets: u64,
    /// A sum over their bytes, in their order.
    pub sum: u64,
}

/// A moment in an output, and how loud it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loudest {
    /// Microseconds after the start of the output.
    pub at_us: u64,
    /// Peak of what lies between about 80 Hz and 1 kHz, in thousandths of full scale.
    pub peak_permille: u32,
}

/// One output opened again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checked {
    /// A single file.
    File(CheckedFile),
    /// An adaptive stream.
    Hls(CheckedHls),
    /// Sheets of stills and their index.
    Sprite(CheckedSprite),
}

impl Checked {
    /// Facts of its main file; `None` for a sprite.
    #[must_use]
    pub fn probe(&self) -> Option<&Probe> {
        match self {
            Self::File(file) => Some(&file.probe),
            Self::Hls(hls) => hls.rungs.first().map(|rung| &rung.probe),
            Self::Sprite(_) => None,
        }
    }
}

/// One file opened again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedFile {
    /// Its facts.
    pub probe: Probe,
    /// MP4 only: whether the index (`moov`) stands before the media data; `true` for other files.
    pub index_first: bool,
    /// Whether the first picture is a keyframe; `true` for files without one.
    pub starts_with_keyframe: bool,
    /// Pictures counted in its packets.
    pub frames: u64,
    /// Decode errors in the first and last group of pictures.
    pub decode_errors: u32,
    /// Peak of its sound where it should be loudest, as [`Loudest`] tells it; `None` when that was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_permille: Option<u32>,
    /// The packets of the streams of which [`Made::copied`] told.
    #[serde(default)]
    pub copied: Copied,
}

/// An adaptive stream opened again by its own playlists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedHls {
    /// Each rung, in the order of the master playlist: initialization and all its segments, read as one file.
    pub rungs: Vec<CheckedFile>,
    /// The group of sound, in the same way.
    pub audio: Option<CheckedFile>,
    /// Segments of each rung.
    pub segments: u64,
    /// Longest segment in microseconds, as the playlists tell.
    pub longest_us: u64,
    /// What the playlists promise as the longest, in microseconds.
    pub target_us: u64,
    /// Whether the segments of every rung begin at the same moments.
    pub aligned: bool,
    /// Whether every segment begins with a keyframe.
    pub independent: bool,
}

/// A sprite opened again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedSprite {
    /// The size of each sheet, decoded.
    pub sheets: Vec<Size>,
    /// Entries of the index.
    pub cues: u64,
    /// Where the last of them ends, in microseconds.
    pub end_us: u64,
    /// Entries that point outside of their sheet.
    pub astray: u64,
}
