//! The protocol between the worker and the media child.
//!
//! *Problem.* Media files are parsed in a separate, sandboxed process. The worker must be able to give it work, follow
//! its progress, and detect that it hangs, without trusting it.
//!
//! *Mechanism.* Lines of JSON on standard input and output, each of at most [`MAX_LINE_BYTES`]:
//!
//! 1. The worker writes one [`Session`]: the files and limits. The child opens the files, locks itself in, and answers
//!    [`Event::Ready`].
//! 2. The worker writes [`Request`]s. The child answers each with any number of [`Event::Progress`] and one final
//!    event.
//! 3. End of input ends the child.
//!
//! *Invariants.* The child gets no access after the session. Every request has exactly one final event. A task that
//! needs longer lines cannot be planned: the largest recipe needs half of the limit (tested below).

use crate::failure::Failure;
use crate::plan::{Plan, PlannedOutput, Warning};
use crate::probe::{Probe, Size};
use serde::{Deserialize, Serialize};

/// Maximum length of a line in bytes, in both directions.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// Text on standard error of a child that ends because the machine has no memory left, although it is below its limit.
pub const SHORTAGE_NOTE: &str = "\nthe machine has no memory left\n";

mod fork_server;
mod session;
#[cfg(test)]
mod tests;

pub use fork_server::{ForkReply, ForkRequest, MAX_PACKET_BYTES};
pub use session::{Image, SandboxMode, SandboxStatus, Session, VerifyDepth};

/// A request to the child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Probes the source with this index in [`Session::sources`]. Answered by [`Event::Probed`].
    Probe(usize),
    /// Creates the outputs in the scratch directory. Answered by [`Event::Transcoded`].
    Transcode(Box<Plan>),
    /// Opens outputs in the scratch directory and measures them. Answered by [`Event::Verified`] in the same order.
    Verify(Vec<(PlannedOutput, OutputReport)>),
}

/// A message from the child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The sandbox is active; the child accepts requests.
    Ready(SandboxStatus),
    /// Progress of the current request.
    Progress(Progress),
    /// The properties of the source.
    Probed(Box<Probe>),
    /// The outputs are in the scratch directory.
    Transcoded(Box<TranscodeReport>),
    /// The properties of the outputs.
    Verified(Vec<OutputFacts>),
    /// The request failed.
    Failed(Failure),
}

/// The progress of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The current phase.
    pub phase: Phase,
    /// 0 to 100 over all outputs; never decreases within a phase.
    pub percent: u8,
    /// Number of encoded frames of all outputs.
    pub frames: u64,
    /// Encoded frames per second.
    pub fps: f32,
    /// Seconds of media processed per second.
    pub speed: f32,
    /// Estimated seconds to the end; `None` if unknown.
    pub eta_s: Option<u64>,
    /// Number of packets and frames processed in all stages: demuxing, decoding, filters, encoders, muxers,
    /// verification.
    #[serde(default)]
    pub items_processed: u64,
    /// Milliseconds since the stage that is stalled for the longest time processed a packet or frame. Stages that wait
    /// for another stage do not count. The watchdog of the worker uses it.
    #[serde(default)]
    pub stalled_ms: u64,
}

/// A phase of the work on a task.
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
    /// Returns the word in JSON and logs.
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

/// The result of [`Request::Transcode`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscodeReport {
    /// One entry per output of the plan, in its order.
    pub outputs: Vec<OutputReport>,
    /// Warnings for the user.
    pub warnings: Vec<Warning>,
    /// Total duration of gaps in the audio of the source while its video continues, in microseconds.
    #[serde(default)]
    pub source_audio_gap_us: u64,
    /// `true` if the frames of the source are not at the constant rate that its header states.
    #[serde(default)]
    pub has_variable_frame_rate: bool,
    /// CPU time in milliseconds.
    pub cpu_ms: u64,
    /// Wall time of the run that made the outputs, in milliseconds. Without the start and the end of the child.
    pub wall_ms: u64,
    /// Peak resident memory in bytes.
    pub peak_memory_bytes: u64,
    /// Version of libavcodec.
    pub ffmpeg: String,
}

/// The report of the child about one output. [`crate::plan::verify`] compares it with the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputReport {
    /// Its name in the scratch directory; for a set of files, that of its directory.
    pub file: String,
    /// Number of frames; of an adaptive output, in each rung; of a sprite, the number of stills.
    pub frames: u64,
    /// Duration in microseconds as a player shows it; 0 for stills.
    pub duration_us: u64,
    /// Start of the copied packets in microseconds after the beginning of the source, at or before the requested start.
    /// Only for fast trims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets_from_us: Option<u64>,
    /// The peak of encoded audio; `None` if there is no encoded audio or it is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_peak: Option<AudioPeak>,
    /// Digests of the copied streams.
    #[serde(default)]
    pub copied: Copied,
    /// Audio that was dropped because the buffer was full while it waited for video, or because its timestamps overlap
    /// earlier audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_audio: Option<LostAudio>,
    /// Frames of the source that were dropped because several of them fell on one frame of the constant frame rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<DroppedFrames>,
}

/// Frames of the source that are missing in an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedFrames {
    /// Number of frames.
    pub frames: u64,
    /// Time of the first one in microseconds after the start of the output.
    pub at_us: u64,
}

impl DroppedFrames {
    /// Adds the dropped frames of two consecutive parts of an output. The second part begins `from_us` microseconds
    /// after the start of the output.
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

/// Audio that is missing in an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostAudio {
    /// Time of the first missing audio in microseconds after the start of the output.
    pub at_us: u64,
    /// Total duration in microseconds.
    pub length_us: u64,
}

/// Digests of the copied streams of an output: computed while writing, and again while verifying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Digest of the video; `None` if it was encoded or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<StreamDigest>,
    /// Digest of the audio; `None` if it was encoded or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<StreamDigest>,
}

/// Digest of the packets of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDigest {
    /// Number of packets.
    pub packets: u64,
    /// Checksum over the bytes of the packets in their order.
    pub sum: u64,
}

/// The peak of the audio of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioPeak {
    /// Time in microseconds after the start of the output.
    pub at_us: u64,
    /// Peak level in thousandths of full scale, after a band-pass filter of about 80 Hz to 1 kHz.
    pub peak_permille: u32,
}

/// The measured properties of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFacts {
    /// A single file.
    File(FileFacts),
    /// An adaptive stream.
    Hls(HlsFacts),
    /// The sheets and the index of a sprite.
    Sprite(SpriteFacts),
}

impl OutputFacts {
    /// Returns the probe of the main file: of an adaptive stream, that of the first rung. `None` for a sprite.
    #[must_use]
    pub fn probe(&self) -> Option<&Probe> {
        match self {
            Self::File(file) => Some(&file.probe),
            Self::Hls(hls) => hls.rungs.first().map(|rung| &rung.probe),
            Self::Sprite(_) => None,
        }
    }
}

/// The measured properties of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Its probe.
    pub probe: Probe,
    /// Set if the index (`moov`) of an MP4 comes before the media data (fast start); `true` for other files.
    pub index_first: bool,
    /// Set if the first frame is a keyframe; `true` for files without video.
    pub starts_with_keyframe: bool,
    /// Number of frames, counted from packets.
    pub frames: u64,
    /// Number of decode errors in the decoded part; see [`VerifyDepth`].
    pub decode_errors: u32,
    /// Peak level of the audio at the time of [`OutputReport::audio_peak`], measured in the same way; `None` if that is
    /// `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_permille: Option<u32>,
    /// Digests of the streams that [`OutputReport::copied`] lists.
    #[serde(default)]
    pub copied: Copied,
}

/// The measured properties of an adaptive stream, opened by its playlists as a player does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HlsFacts {
    /// The rungs in the order of the master playlist. Initialization section and segments of a rung are read as one
    /// file.
    pub rungs: Vec<FileFacts>,
    /// The audio rendition, read as one file.
    pub audio: Option<FileFacts>,
    /// Number of segments of each rung.
    pub segments: u64,
    /// Longest segment duration (`EXTINF`) of the playlists in microseconds.
    pub longest_us: u64,
    /// Target duration (`EXT-X-TARGETDURATION`) of the playlists in microseconds.
    pub target_us: u64,
    /// Set if the segments of all rungs begin at the same times.
    pub aligned: bool,
    /// Set if every segment begins with a keyframe.
    pub independent: bool,
}

/// The measured properties of a sprite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpriteFacts {
    /// The size of each decoded sheet.
    pub sheets: Vec<Size>,
    /// Number of cues of the index.
    pub cues: u64,
    /// End of the last cue in microseconds.
    pub end_us: u64,
    /// Number of cues whose rectangle is outside of its sheet.
    pub cues_outside_sheet: u64,
}
