//! Profiles and levels of codecs that browsers and phones play. What they do not play is encoded, never copied.

use crate::probe::VideoFacts;
use crate::recipe::VideoCodec;

/// Highest level of H.264 in tenths: 5.2, that of 4K at 60 pictures a second.
const H264_LEVEL: u32 = 52;

/// Highest level of HEVC in thirtieths: 5.2.
const HEVC_LEVEL: u32 = 156;

/// Highest level of AV1 by its index: 5.3.
const AV1_LEVEL: u32 = 15;

/// Whether players play this profile and level. With VP8 and VP9 the format of the pixels tells all there is to tell.
///
/// # Errors
/// The reason why not.
pub(super) fn plays(codec: VideoCodec, facts: &VideoFacts) -> Result<(), String> {
    let known = |number: Option<u32>| number.map_or_else(|| "unknown".to_owned(), |number| number.to_string());
    let (profiles, highest): (&[u32], u32) = match codec {
        // Baseline, the same constrained, Main, High (FFmpeg's numbers).
        VideoCodec::H264 => (&[66, 578, 77, 100], H264_LEVEL),
        // Main, Main 10, Main Still Picture.
        VideoCodec::H265 => (&[1, 2, 3], HEVC_LEVEL),
        VideoCodec::Av1 => (&[0], AV1_LEVEL),
        VideoCodec::Vp9 => return Ok(()),
    };
    if !facts.profile.is_some_and(|profile| profiles.contains(&profile)) {
        return Err(format!("browsers do not play its profile ({})", known(facts.profile)));
    }
    // AV1 writes 31 where it has no level, which is no promise to a player.
    if facts.level.is_none_or(|level| level > highest) {
        return Err(format!(
            "its level ({}) is above what players promise",
            known(facts.level)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::copy::tests::video;

    #[test]
    fn profiles_and_levels_that_browsers_do_not_play_are_refused() {
        use VideoCodec::{Av1, H264, H265, Vp9};
        for (codec, profile, level, plays_it) in [
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
                plays(codec, &facts).is_ok(),
                plays_it,
                "{codec:?} {profile:?} {level:?}"
            );
        }
    }
}
