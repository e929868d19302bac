//! Classes of work: the keys under which the costs of finished tasks are stored.
//!
//! *Invariants.* A key never changes, because the costs stored under it would be lost. So its words are written down
//! here, apart from the names of the types. The words of encoders come before the other ones; each group is sorted and
//! has no duplicates.

use crate::recipe::{AudioFormat, Speed, VideoCodec};
use std::collections::BTreeSet;

/// The words of a key, collected from the outputs of a plan.
#[derive(Default)]
pub(super) struct ClassWords {
    /// Encoders of video and of audio files.
    encoders: BTreeSet<String>,
    /// Kinds of outputs, and [`COPY`].
    others: BTreeSet<&'static str>,
}

/// The word for copied video.
const COPY: &str = "copy";

impl ClassWords {
    pub(super) fn add_video_encoder(&mut self, codec: VideoCodec, speed: Speed) {
        let codec = match codec {
            VideoCodec::H264 => "h264",
            VideoCodec::H265 => "h265",
            VideoCodec::Vp9 => "vp9",
            VideoCodec::Av1 => "av1",
        };
        let speed = match speed {
            Speed::Fastest => "fastest",
            Speed::Fast => "fast",
            Speed::Balanced => "balanced",
            Speed::Good => "good",
            Speed::Best => "best",
        };
        self.encoders.insert(format!("{codec}-{speed}"));
    }

    pub(super) fn add_audio_file(&mut self, format: AudioFormat) {
        let format = match format {
            AudioFormat::M4a => "m4a",
            AudioFormat::Mp3 => "mp3",
            AudioFormat::Opus => "opus",
        };
        self.encoders.insert(format.to_owned());
    }

    pub(super) fn add_video_copy(&mut self) {
        self.others.insert(COPY);
    }

    /// Adds the kind of an output, as in recipes.
    pub(super) fn add_kind(&mut self, kind: &'static str) {
        self.others.insert(kind);
    }

    /// Returns the key.
    pub(super) fn into_key(self) -> String {
        let others = self.others.into_iter().map(str::to_owned);
        let words: Vec<_> = self.encoders.into_iter().chain(others).collect();
        words.join("+")
    }
}
