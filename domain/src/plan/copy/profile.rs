//! Codec profiles and levels that browsers and phones play. Streams with other ones are encoded, never copied.

use crate::probe::VideoFacts;
use crate::recipe::VideoCodec;

/// Highest H.264 level in tenths: 5.2, which allows 4K at 60 frames per second.
const MAX_H264_LEVEL: u32 = 52;

/// Highest HEVC level in thirtieths: 5.2.
const MAX_HEVC_LEVEL: u32 = 156;

/// Highest AV1 level as `seq_level_idx`: 5.3.
const MAX_AV1_LEVEL: u32 = 15;

/// Checks that players support the profile and level of a stream. For VP9, the check of the pixel format is sufficient.
///
/// # Errors
/// The reason against a copy.
pub(super) fn check_playable(codec: VideoCodec, facts: &VideoFacts) -> Result<(), String> {
    let shown = |number: Option<u32>| number.map_or_else(|| "unknown".to_owned(), |number| number.to_string());
    let (profiles, max_level): (&[u32], u32) = match codec {
        // Baseline, Constrained Baseline, Main, High (FFmpeg's numbers).
        VideoCodec::H264 => (&[66, 578, 77, 100], MAX_H264_LEVEL),
        // Main, Main 10, Main Still Picture.
        VideoCodec::H265 => (&[1, 2, 3], MAX_HEVC_LEVEL),
        // Main.
        VideoCodec::Av1 => (&[0], MAX_AV1_LEVEL),
        VideoCodec::Vp9 => return Ok(()),
    };
    if !facts.profile.is_some_and(|profile| profiles.contains(&profile)) {
        return Err(format!("browsers do not play its profile ({})", shown(facts.profile)));
    }
    // `seq_level_idx` 31 of AV1 means "no level" and is rejected too.
    if facts.level.is_none_or(|level| level > max_level) {
        return Err(format!("players do not support its level ({})", shown(facts.level)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::copy::tests::video;

    #[test]
    fn profiles_and_levels_that_browsers_do_not_play_are_rejected() {
        use VideoCodec::{Av1, H264, H265, Vp9};
        for (codec, profile, level, is_playable) in [
            (H264, Some(100), Some(40), true),
            (H264, Some(578), Some(9), true),
            (H264, Some(77), Some(52), true),
            (H264, Some(88), Some(30), false),
            (H264, Some(110), Some(40), false),
            (H264, Some(122), Some(40), false),
            (H264, Some(244), Some(40), false),
            (H264, Some(44), Some(40), false),
            (H264, Some(100), Some(60), false),
            (H264, Some(100), None, false),
            (H264, None, Some(40), false),
            (H265, Some(1), Some(120), true),
            (H265, Some(4), Some(120), false),
            (H265, Some(1), Some(183), false),
            (Av1, Some(0), Some(8), true),
            (Av1, Some(1), Some(8), false),
            (Av1, Some(0), Some(31), false),
            (Vp9, None, None, true),
        ] {
            let facts = VideoFacts {
                profile,
                level,
                ..video()
            };
            assert_eq!(
                check_playable(codec, &facts).is_ok(),
                is_playable,
                "{codec:?} {profile:?} {level:?}"
            );
        }
    }
}
