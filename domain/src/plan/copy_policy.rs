//! The policy for copies, an argument of [`plan`](fn@super::plan). The first pass of an attempt may copy every stream;
//! a second one may copy only those whose packets the first one has found to be fit for it.

/// The streams that a plan may copy, as far as recipe and probe allow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyPolicy {
    /// All streams.
    #[default]
    AnyStream,
    /// No stream: packets are damaged or missing, or the codec headers change.
    NoStream,
    /// All except the audio: its packets have a gap in time.
    NoAudio,
    /// All except the video: its frame rate is variable.
    NoVideo,
    /// Neither audio nor video, each for its own reason.
    NoAudioNoVideo,
}

impl CopyPolicy {
    /// Returns `true` if audio is not copied because it has a gap.
    #[must_use]
    pub const fn excludes_audio(self) -> bool {
        matches!(self, Self::NoAudio | Self::NoAudioNoVideo)
    }

    /// Returns `true` if video is not copied because its frame rate is variable.
    #[must_use]
    pub const fn excludes_video(self) -> bool {
        matches!(self, Self::NoVideo | Self::NoAudioNoVideo)
    }
}
