//! How an output takes the streams of its source.

use domain::plan::{AudioTrack, Content, Hls, Movie};

/// A stream for an output: decoded, as packets, both or not at all.
#[derive(Clone, Copy, Default)]
pub(super) struct Take {
    pub(super) decoded: bool,
    pub(super) copied: bool,
}

impl Take {
    /// For tracks of which each is copied or not.
    fn of(copied: impl IntoIterator<Item = bool>) -> Self {
        copied.into_iter().fold(Self::default(), |take, copied| Self {
            decoded: take.decoded || !copied,
            copied: take.copied || copied,
        })
    }
}

/// How an output takes moving pictures and sound.
pub(super) fn tracks(content: &Content) -> (Take, Take) {
    let sound = |audio: Option<&AudioTrack>| Take::of(audio.map(AudioTrack::is_copy));
    match content {
        Content::Movie(Movie { video, audio, .. }) => (Take::of([video.is_copy()]), sound(audio.as_ref())),
        Content::Hls(Hls { rungs, audio, .. }) => (
            Take::of(rungs.iter().map(|rung| rung.video.is_copy())),
            sound(audio.as_ref()),
        ),
        Content::Audio { audio, .. } => (Take::default(), sound(Some(audio))),
        Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => Default::default(),
    }
}
