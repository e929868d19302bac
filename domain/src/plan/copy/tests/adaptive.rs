//! Copies of the source as the largest rung of an adaptive stream.

use super::{copyable, decision, fps, planned, planned_with, with_keyframes, with_video};
use crate::plan::{Content, CopyPolicy, Hls, Plan, StreamAction, VideoTrack};

const ONE_RUNG: &str = r#"{"outputs":[{"kind":"hls","ladder":[720]}]}"#;
const LADDER: &str = r#"{"outputs":[{"kind":"hls"}]}"#;

fn hls(plan: &Plan) -> &Hls {
    let Content::Hls(hls) = &plan.outputs[0].content else {
        panic!("{plan:?}")
    };
    hls
}

#[test]
fn the_largest_rung_is_copied_unless_the_recipe_changes_it() {
    for (json, expected) in [
        (ONE_RUNG, "copy"),
        (LADDER, "copy"),
        (r#"{"outputs":[{"kind":"hls","ladder":[1080]}]}"#, "copy"),
        (r#"{"outputs":[{"kind":"hls","single_file":true}]}"#, "copy"),
        (r#"{"trim":{"start":0},"outputs":[{"kind":"hls"}]}"#, "copy"),
        (
            r#"{"trim":{"start":3,"mode":"fast"},"outputs":[{"kind":"hls","ladder":[720]}]}"#,
            "copy",
        ),
        (
            r#"{"trim":{"start":3,"mode":"fast"},"outputs":[{"kind":"hls","ladder":[720,480]}]}"#,
            "the smaller rungs are encoded and begin at the exact start",
        ),
        (
            r#"{"trim":{"start":3,"mode":"fast"},
                "outputs":[{"kind":"hls","ladder":[720],"audio":{"bitrate_bps":64000}}]}"#,
            "its audio is encoded and begins later than the keyframe",
        ),
        (
            r#"{"trim":{"start":3},"outputs":[{"kind":"hls","ladder":[720]}]}"#,
            "the trim is exact",
        ),
        (
            r#"{"outputs":[{"kind":"hls","ladder":[720],"video":{"crf":23}}]}"#,
            "the recipe sets crf or speed",
        ),
        (
            r#"{"outputs":[{"kind":"hls","ladder":[480]}]}"#,
            "1280x720 becomes 854x480",
        ),
        (
            r#"{"frame":{"fps":"24"},"outputs":[{"kind":"hls"}]}"#,
            "the frame rate is variable or differs from the requested one",
        ),
        (
            r#"{"outputs":[{"kind":"hls","segment_ms":1900}]}"#,
            "its keyframes are up to 2000 ms apart, for segments of 1900 ms",
        ),
    ] {
        assert_eq!(decision(&planned(json, &copyable()), "video"), expected, "{json}");
    }
}

#[test]
fn the_largest_rung_is_copied_unless_the_source_does_not_fit() {
    for (probe, expected) in [
        // 120 frames at 29.97 fps, a little more than a segment.
        (with_keyframes(|k| k.longest_us = 4_004_000), "copy"),
        (
            with_keyframes(|k| k.longest_us = 8_341_667),
            "its keyframes are up to 8341 ms apart, for segments of 4000 ms",
        ),
        (
            with_keyframes(|k| k.hidden = true),
            "an edit list hides its beginning, and the new container has none",
        ),
        (
            with_keyframes(|k| k.closed = false),
            "its GOPs are not known to be closed",
        ),
        (
            with_video(|facts| facts.bitrate_bps = Some(40_000_000)),
            "40000000 b/s is more than its size needs",
        ),
    ] {
        for json in [ONE_RUNG, LADDER] {
            assert_eq!(decision(&planned(json, &probe), "video"), expected, "{probe:?}");
        }
    }
    for json in [ONE_RUNG, LADDER] {
        let plan = planned_with(json, &copyable(), CopyPolicy::NoStream);
        let reason = "the first attempt to copy it found damaged packets or changing headers";
        assert_eq!(decision(&plan, "video"), reason);
    }
}

#[test]
fn the_largest_rung_is_copied_beside_others_only_with_the_same_number_of_frames() {
    // In 20 s, the source has 1 frame and 0.3 frames less than at 29.97 fps.
    for (average, expected) in [
        (
            29_920,
            "its frame rate is not exactly constant, but the smaller rungs are encoded at a constant rate",
        ),
        (29_953, "copy"),
    ] {
        let probe = with_video(|facts| facts.average_fps = fps(average, 1_000));
        assert_eq!(decision(&planned(LADDER, &probe), "video"), expected);
        assert_eq!(decision(&planned(ONE_RUNG, &probe), "video"), "copy", "alone");
    }
}

#[test]
fn the_smaller_rungs_begin_gops_only_at_the_segments_of_a_copied_rung() {
    let plan = planned(LADDER, &copyable());
    let steps: Vec<_> = plan.outputs[0]
        .steps
        .iter()
        .map(|step| (step.stream.as_str(), step.action, step.reason.as_str()))
        .collect();
    assert_eq!(
        steps,
        [
            ("video", StreamAction::Copy, "720p is already what was asked"),
            (
                "video",
                StreamAction::Transcode,
                "smaller than the source: 480p, 360p, 240p"
            ),
            ("audio", StreamAction::Copy, "it is already what was asked"),
        ]
    );
    let gop_frames = |plan: &Plan| {
        let rungs = hls(plan).rungs.iter().map(|rung| match &rung.video {
            VideoTrack::Copy { .. } => 0,
            VideoTrack::Encode(encode) => encode.gop_frames,
        });
        rungs.collect::<Vec<_>>()
    };
    // Segments of four seconds at 29.97 fps.
    assert_eq!(gop_frames(&plan), [0, 242, 242, 242]);
    let encoded = planned_with(LADDER, &copyable(), CopyPolicy::NoStream);
    assert_eq!(gop_frames(&encoded), [120; 4]);
}
