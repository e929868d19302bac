//! What an output wants of what is decoded.

use crate::engine::moments::{Excerpt, Moments};
use crate::engine::take::tracks;
use domain::plan::Content;

/// What an output wants decoded.
pub(super) enum Wants {
    Everything,
    Pictures,
    Sound,
    /// Only the pictures that are shown at moments.
    Stills(Moments),
    /// Only the pictures of a part.
    Excerpt(Excerpt),
    Nothing,
}

impl Wants {
    /// What an output is made of.
    pub(super) fn of(content: &Content) -> Self {
        let (pictures, sound) = tracks(content);
        match content {
            Content::Movie(_) | Content::Hls(_) | Content::Audio { .. } => match (pictures.decoded, sound.decoded) {
                (true, true) => Self::Everything,
                (true, false) => Self::Pictures,
                (false, true) => Self::Sound,
                (false, false) => Self::Nothing,
            },
            Content::Gif {
                fps, start_us, end_us, ..
            } => Self::Excerpt(Excerpt::new(*start_us, *end_us, *fps)),
            Content::Sprite { every_us, count, .. } => Self::Stills(Moments::new(0, *every_us, *count)),
            Content::Poster { at_us, .. } => Self::Stills(Moments::new(*at_us, 0, 1)),
        }
    }

    /// Who has all that was wanted wants nothing.
    pub(super) fn settle(&mut self) {
        let over = match self {
            Self::Stills(moments) => moments.is_over(),
            Self::Excerpt(excerpt) => excerpt.is_over(),
            Self::Everything | Self::Pictures | Self::Sound | Self::Nothing => false,
        };
        if over {
            *self = Self::Nothing;
        }
    }
}
