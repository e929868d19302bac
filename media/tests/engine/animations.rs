//! Animations as sources: GIF, APNG, and WebP, which is not supported.

use crate::clips::{clip, numbered, temp_file};
use crate::harness::{probe, process, recipe};
use domain::{Code, FailureClass};
use std::path::Path;

const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":4}}]}"#;

/// 20 frames at 10 fps in grays that a palette can represent; loops forever.
const GIF: &str = "-t 2 -filter_complex [0:v]framestep=3,split[a][b];[a]palettegen=reserve_transparent=0[p];[b][p]paletteuse=dither=none -loop 0";
/// The same as APNG.
const APNG: &str = "-t 2 -vf framestep=3 -c:v apng -plays 0 -f apng";

/// Offsets of the frame delays in a GIF: two bytes in each graphic control extension.
fn delays_of_gif(bytes: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(3).enumerate();
    windows
        .filter(|(_, window)| *window == [0x21, 0xf9, 0x04])
        .map(|(at, _)| at + 4)
        .collect()
}

/// Offsets of the frame delays in an APNG: numerator and denominator of two bytes each, at offset 20 of each `fcTL`
/// chunk.
fn delays_of_apng(bytes: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(4).enumerate();
    windows
        .filter(|(_, window)| *window == b"fcTL")
        .map(|(at, _)| at + 4 + 20)
        .collect()
}

/// The number of output frames that show this source frame.
fn repetitions(numbers: &[usize], number: usize) -> usize {
    numbers.iter().filter(|shown| **shown == number).count()
}

#[test]
fn an_animation_is_played_once_and_keeps_every_frame() {
    for (name, encoding) in [("numbered.gif", GIF), ("numbered.apng", APNG)] {
        let run = process(&numbered(name, encoding), &recipe(MP4)).unwrap();
        let found = run.frame_numbers(0);
        assert_eq!(found.len(), 20, "{name}: {found:?}");
        // The clip has every third frame of 30 fps.
        let firsts: Vec<_> = found.iter().map(|number| number - found[0]).collect();
        assert_eq!(firsts, (0..20).map(|index| index * 3).collect::<Vec<_>>(), "{name}");
        assert_eq!(run.report.outputs[0].duration_us, 2_000_000, "{name}");
        assert!(run.report.warnings.is_empty(), "{name}: {:?}", run.report.warnings);
    }
}

#[test]
fn short_gif_delays_become_100_ms_as_in_browsers() {
    let mut bytes = std::fs::read(numbered("numbered.gif", GIF)).unwrap();
    let positions = delays_of_gif(&bytes);
    assert_eq!(positions.len(), 20);
    // In 1/100 s. Browsers show delays of 0 and 1 as 10.
    for (index, hundredths) in [(4, 0), (8, 1), (12, 50), (19, 100)] {
        bytes[positions[index]] = hundredths;
    }
    let (_folder, path) = temp_file("delays.gif", &bytes);
    let run = process(&path, &recipe(MP4)).unwrap();
    assert_eq!(run.probe.duration_us, 3_300_000);
    assert!(
        run.report.outputs[0].duration_us.abs_diff(3_300_000) <= 100_000,
        "{:?}",
        run.report.outputs[0]
    );
    let found = run.frame_numbers(0);
    let frames = |us: u64| usize::try_from(run.plan.fps.frames_in(us)).unwrap();
    for (index, us) in [(4, 100_000), (8, 100_000), (12, 500_000), (19, 1_000_000)] {
        let number = found[0] + index * 3;
        let (repeated, expected) = (repetitions(&found, number), frames(us));
        assert!(
            repeated.abs_diff(expected) <= 1,
            "frame {index}: shown {repeated} times, expected {expected}: {found:?}"
        );
    }
}

#[test]
fn an_apng_frame_without_a_delay_lasts_100_ms() {
    let mut bytes = std::fs::read(numbered("numbered.apng", APNG)).unwrap();
    for at in delays_of_apng(&bytes) {
        bytes[at..at + 4].fill(0);
    }
    let (_folder, path) = temp_file("delays.apng", &bytes);
    let run = process(&path, &recipe(MP4)).unwrap();
    assert_eq!(
        (run.report.outputs[0].duration_us, run.frame_numbers(0).len()),
        (2_000_000, 20)
    );
}

#[test]
fn a_gif_with_one_frame_becomes_a_video_with_one_frame() {
    let source = clip("one.gif", "-f lavfi -i color=gray:s=64x64:r=10 -frames:v 1");
    let run = process(&source, &recipe(MP4)).unwrap();
    assert_eq!(run.report.outputs[0].frames, 1);
}

#[test]
fn animated_webp_is_reported_as_unsupported() {
    let source = clip(
        "animated.webp",
        "-f lavfi -i testsrc2=s=64x64:r=10:d=1 -c:v libwebp_anim",
    );
    let failure = probe(&source).unwrap_err();
    assert_eq!(failure.code, Code::CodecUnsupported);
    assert!(failure.detail.contains("animated WebP"), "{failure}");
    let still = clip("still.webp", "-f lavfi -i color=blue:s=64x64 -frames:v 1 -c:v libwebp");
    assert_eq!(probe(&still).unwrap_err().code, Code::NotMedia);
}

#[test]
fn an_animation_with_a_too_large_canvas_is_refused_by_the_probe() {
    let mut gif = std::fs::read(numbered("numbered.gif", GIF)).unwrap();
    gif[6..10].fill(0xff);
    let mut apng = std::fs::read(numbered("numbered.apng", APNG)).unwrap();
    for side in [16, 20] {
        apng[side..side + 4].copy_from_slice(&65_535_u32.to_be_bytes());
    }
    for (name, bytes) in [("huge.gif", gif), ("huge.apng", apng)] {
        let (_folder, path) = temp_file(name, &bytes);
        let failure = probe(&path).expect_err(name);
        assert_eq!(failure.code, Code::PictureTooLarge, "{name}: {failure}");
    }
}

#[test]
fn frames_with_irregular_delays_are_all_kept() {
    let mut bytes = std::fs::read(numbered("numbered.gif", GIF)).unwrap();
    // No common frame rate fits delays of 30, 70 and 1,130 ms.
    for (index, at) in delays_of_gif(&bytes).into_iter().enumerate() {
        bytes[at] = [3, 7, 113, 3, 3][index % 5];
    }
    let (_folder, path) = temp_file("odd.gif", &bytes);
    let run = process(&path, &recipe(MP4)).unwrap();
    let mut found = run.frame_numbers(0);
    assert!(found.len() < 250, "{}", found.len());
    found.dedup();
    assert_eq!(found, (0..20).map(|index| index * 3).collect::<Vec<_>>());
    assert!(run.report.outputs[0].duration_us.abs_diff(5_160_000) < 40_000);
}

/// Transcodes a damaged file. It must succeed or fail as an input error.
fn assert_transcoded_or_input_error(path: &Path) {
    if let Err(failure) = process(path, &recipe(MP4)) {
        assert!(
            matches!(failure.class(), FailureClass::Input | FailureClass::Unsupported),
            "{}: {failure}",
            path.display()
        );
    }
}

#[test]
fn damaged_animations_become_a_video_or_fail_as_input_errors() {
    for (name, encoding, positions) in [
        ("numbered.gif", GIF, delays_of_gif as fn(&[u8]) -> Vec<usize>),
        ("numbered.apng", APNG, delays_of_apng),
    ] {
        let whole = std::fs::read(numbered(name, encoding)).unwrap();
        for eighths in 1..8 {
            let (_folder, path) = temp_file(name, &whole[..whole.len() * eighths / 8]);
            assert_transcoded_or_input_error(&path);
        }
        // The fields before and after the delay are size and position of the frame in the canvas.
        for at in positions(&whole) {
            let mut bytes = whole.clone();
            let from = at.saturating_sub(16);
            bytes[from..at + 16].iter_mut().for_each(|byte| *byte ^= 0xa5);
            let (_folder, path) = temp_file(name, &bytes);
            assert_transcoded_or_input_error(&path);
        }
    }
}
