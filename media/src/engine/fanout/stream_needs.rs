//! Streams that an output needs: decoded, as packets, or not at all; and the decoded frames and samples that it needs.

use crate::engine::fanout::frame_sampler::{FrameRange, FrameSampler};
use domain::plan::{AudioTrack, Content, Hls, Movie};

/// A stream for an output: decoded, as packets, both or not at all.
#[derive(Clone, Copy, Default)]
pub(crate) struct StreamNeeds {
    pub(crate) decoded: bool,
    pub(crate) copied: bool,
}

impl StreamNeeds {
    /// For tracks of which each is copied or not.
    fn of(copied: impl IntoIterator<Item = bool>) -> Self {
        copied.into_iter().fold(Self::default(), |needs, copied| Self {
            decoded: needs.decoded || !copied,
            copied: needs.copied || copied,
        })
    }
}

/// How an output takes moving pictures and sound.
pub(crate) fn stream_needs(content: &Content) -> (StreamNeeds, StreamNeeds) {
    let audio_needs = |audio: Option<&AudioTrack>| StreamNeeds::of(audio.map(AudioTrack::is_copy));
    match content {
        Content::Movie(Movie { video, audio, .. }) => (StreamNeeds::of([video.is_copy()]), audio_needs(audio.as_ref())),
        Content::Hls(Hls { rungs, audio, .. }) => (
            StreamNeeds::of(rungs.iter().map(|rung| rung.video.is_copy())),
            audio_needs(audio.as_ref()),
        ),
        Content::Audio { audio, .. } => (StreamNeeds::default(), audio_needs(Some(audio))),
        Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => Default::default(),
    }
}

/// What an output wants decoded.
pub(crate) enum DecodedNeeds {
    Everything,
    Video,
    Audio,
    /// Only the pictures that are shown at moments.
    Stills(FrameSampler),
    /// Only the pictures of a part.
    Range(FrameRange),
    Nothing,
}

impl DecodedNeeds {
    /// What an output is made of.
    pub(crate) fn new(content: &Content) -> Self {
        let (video, audio) = stream_needs(content);
        match content {
            Content::Movie(_) | Content::Hls(_) | Content::Audio { .. } => match (video.decoded, audio.decoded) {
                (true, true) => Self::Everything,
                (true, false) => Self::Video,
                (false, true) => Self::Audio,
                (false, false) => Self::Nothing,
            },
            Content::Gif {
                fps, start_us, end_us, ..
            } => Self::Range(FrameRange::new(*start_us, *end_us, *fps)),
            Content::Sprite { every_us, count, .. } => Self::Stills(FrameSampler::new(0, *every_us, *count)),
            Content::Poster { at_us, .. } => Self::Stills(FrameSampler::new(*at_us, 0, 1)),
        }
    }

    /// Who has all that was wanted wants nothing.
    pub(crate) fn clear_when_satisfied(&mut self) {
        let over = match self {
            Self::Stills(sampler) => sampler.is_over(),
            Self::Range(range) => range.is_over(),
            Self::Everything | Self::Video | Self::Audio | Self::Nothing => false,
        };
        if over {
            *self = Self::Nothing;
        }
    }
}
