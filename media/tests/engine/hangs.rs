//! What the work tells of its stages: one that only takes long is not taken for one that hangs.

use crate::clips::clip;
use crate::studio::{recipe, shoot};

#[test]
fn a_picture_that_stands_for_an_hour_moves_with_each_of_its_frames() {
    let source = clip(
        "hour.mkv",
        "-f lavfi -i testsrc2=s=64x64:r=1/3600:d=7200 -frames:v 2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    );
    let still = r#"{"frame":{"fps":"10"},"outputs":[{"kind":"mp4","video":{"speed":"fastest"}}]}"#;
    let take = shoot(&source, &recipe(still)).unwrap();
    let frames = take.report.outputs[0].frames;
    assert!(frames >= 36_000, "{frames} frames");
    let last = take.progress.last().unwrap();
    assert!(last.moved >= frames, "{} moved of {frames} frames", last.moved);
    // Between two words it moved on, unless it was about to end.
    let stood = take
        .progress
        .windows(2)
        .filter(|pair| pair[0].moved == pair[1].moved)
        .count();
    assert!(stood <= 2, "{:?}", take.progress);
}
