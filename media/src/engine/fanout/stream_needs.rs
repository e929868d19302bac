//! Derives from the content of an output which streams it needs decoded or as packets, and which of the frames.

use crate::engine::fanout::frame_sampler::{FrameRange, FrameSampler};
use domain::plan::{AudioTrack, Content, Hls, Movie};

/// The use of a stream by an output. An adaptive output may do both: copy one rung and encode the others.
#[derive(Clone, Copy, Default)]
pub(crate) struct StreamNeeds {
    pub(crate) decoded: bool,
    pub(crate) copied: bool,
}

impl StreamNeeds {
    /// Combines tracks of an output; each item tells if a track is copied.
    fn of(copied: impl IntoIterator<Item = bool>) -> Self {
        copied.into_iter().fold(Self::default(), |needs, copied| Self {
            decoded: needs.decoded || !copied,
            copied: needs.copied || copied,
        })
    }
}

/// Needs of an output for video and for audio. Outputs that sample frames have a [`FrameSampler`] or [`FrameRange`]
/// instead.
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

/// Decoded media that an output still needs.
pub(crate) enum DecodedNeeds {
    Everything,
    /// All frames, no audio.
    Video,
    /// All samples, no frames.
    Audio,
    /// The frames at certain times, for posters and sprites.
    Stills(FrameSampler),
    /// The frames of a range, for animations.
    Range(FrameRange),
    Nothing,
}

impl DecodedNeeds {
    /// Needs of an output at the start of a transcode.
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

    /// Becomes [`Self::Nothing`] once all sampled frames were sent, so that reading can stop early.
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
