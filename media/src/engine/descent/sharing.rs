//! Which sizes the outputs of a plan share, and which is made of which.

use super::{Descent, Step};
use crate::engine::parts::Part;
use domain::plan::{Content, Movie, PlannedOutput, VideoTrack};
use domain::probe::Size;
use std::cmp::Reverse;
use std::sync::Mutex;

/// What the encoders of a plan can share.
pub(in crate::engine) struct Sharing {
    /// The sizes that they want, largest first; none when there are fewer than two encoders.
    sizes: Vec<Size>,
    /// The coded size of the source.
    coded: Size,
    threads: u32,
}

impl Sharing {
    /// For these outputs of a source that is coded at a size.
    pub(in crate::engine) fn new(outputs: &[PlannedOutput], coded: Size, threads: u32) -> Self {
        Self {
            sizes: sizes(outputs),
            coded,
            threads,
        }
    }

    /// How the pictures of a part come down; `None` when each output makes its own of them.
    pub(in crate::engine) fn descent(&self, part: &Part) -> Option<Descent> {
        let source = part.video.filter(|_| part.is_span() && !self.sizes.is_empty())?;
        let upright = match self.coded {
            coded if source.quarter_turns.is_multiple_of(2) => coded,
            Size { width_px, height_px } => Size {
                width_px: height_px,
                height_px: width_px,
            },
        };
        let steps = self.sizes.iter().enumerate().map(|(place, size)| Step {
            size: *size,
            above: self
                .sizes
                .iter()
                .take(place)
                .rposition(|above| is_worth_it(*above, *size, upright)),
            graph: Mutex::new(None),
        });
        Some(Descent {
            source,
            steps: steps.collect(),
            threads: self.threads,
        })
    }
}

fn sizes(outputs: &[PlannedOutput]) -> Vec<Size> {
    let tracks = outputs.iter().flat_map(|output| match &output.content {
        Content::Movie(Movie { video, .. }) => vec![video],
        Content::Hls(hls) => hls.rungs.iter().map(|rung| &rung.video).collect(),
        Content::Audio { .. } | Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => Vec::new(),
    });
    let mut sizes: Vec<_> = tracks
        .filter_map(|track| match track {
            VideoTrack::Encode(order) => Some(order.picture.scaled),
            VideoTrack::Copy { .. } => None,
        })
        .collect();
    if sizes.len() < 2 {
        return Vec::new();
    }
    sizes.sort_by_key(|size| Reverse(u64::from(size.width_px) * u64::from(size.height_px)));
    sizes.dedup();
    sizes
}

/// Whether a size is better made of a larger one than of the source: one that is hardly larger would blur it, and one
/// that is enlarged has nothing that the source has not.
fn is_worth_it(above: Size, size: Size, source: Size) -> bool {
    let ample = |above: u32, side: u32| u64::from(above) * 4 >= u64::from(side) * 5;
    let enlarged = above.width_px > source.width_px && above.height_px > source.height_px;
    !enlarged && ample(above.width_px, size.width_px) && ample(above.height_px, size.height_px)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::engine::parts::Role;
    use domain::Span;
    use domain::plan::SourceVideo;

    pub(in crate::engine::descent) const fn size(width_px: u32, height_px: u32) -> Size {
        Size { width_px, height_px }
    }

    pub(in crate::engine::descent) fn part(quarter_turns: u8) -> Part {
        Part {
            role: Role::Span { last: true },
            file: 0,
            video: Some(SourceVideo {
                stream: 0,
                mirrored: false,
                quarter_turns,
                deinterlace: false,
                tone_map: false,
                size: Size::default(),
                sample_aspect: None,
            }),
            audio_stream: None,
            span: Span::default(),
            length_us: 0,
            at_us: 0,
            overhang_us: 0,
            origin_us: None,
            jumps: false,
        }
    }

    pub(in crate::engine::descent) fn sharing(coded: Size, sizes: &[Size]) -> Sharing {
        Sharing {
            sizes: sizes.to_vec(),
            coded,
            threads: 1,
        }
    }

    #[test]
    fn a_size_is_made_of_the_next_one_that_is_larger_by_a_quarter() {
        let wide = [
            size(1920, 1080),
            size(1280, 720),
            size(960, 540),
            size(854, 480),
            size(640, 360),
        ];
        let above = |coded: Size, turns: u8, sizes: &[Size]| {
            let descent = sharing(coded, sizes).descent(&part(turns)).unwrap();
            descent.steps.iter().map(|step| step.above).collect::<Vec<_>>()
        };
        let ladder = vec![None, Some(0), Some(1), Some(1), Some(3)];
        assert_eq!(above(size(1920, 1080), 0, &wide), ladder);
        // Anamorphic: wider than it is coded, and no higher.
        assert_eq!(above(size(1440, 1080), 0, &wide), ladder);
        // The largest two are enlarged.
        let enlarged = vec![None, None, None, None, Some(3)];
        assert_eq!(above(size(854, 480), 0, &wide), enlarged);
        let high = [size(1080, 1920), size(720, 1280)];
        assert_eq!(above(size(1920, 1080), 1, &high), [None, Some(0)]);
    }

    #[test]
    fn a_card_and_a_single_output_share_nothing() {
        let sizes = [size(64, 36)];
        let card = Part {
            role: Role::Intro,
            ..part(0)
        };
        assert!(sharing(size(64, 36), &sizes).descent(&card).is_none());
        assert!(sharing(size(64, 36), &[]).descent(&part(0)).is_none());
    }
}
