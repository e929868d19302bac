//! The same for adaptive streams, whose largest rung may be the source.

use super::{decision, fps, planned, right, with_keyframes, with_video};
use crate::plan::{Content, Done, Hls, Plan, VideoTrack};
use crate::probe::Unfit;

const ONE: &str = r#"{"outputs":[{"kind":"hls","ladder":[720]}]}"#;
const LADDER: &str = r#"{"outputs":[{"kind":"hls"}]}"#;

fn hls(plan: &Plan) -> &Hls {
    let Content::Hls(hls) = &plan.outputs[0].content else {
        panic!("{plan:?}")
    };
    hls
}

#[test]
fn a_rung_is_copied_unless_the_wish_needs_another() {
    for (json, expected) in [
        (ONE, "copy"),
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
            "rungs below it are encoded, which begin at the picture asked",
        ),
        (
            r#"{"trim":{"start":3,"mode":"fast"},
                "outputs":[{"kind":"hls","ladder":[720],"audio":{"bitrate_bps":64000}}]}"#,
            "its sound is encoded and begins later than its keyframe",
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
            "the frame rate changes or is another one",
        ),
        (
            r#"{"outputs":[{"kind":"hls","segment_ms":1900}]}"#,
            "its keyframes are up to 2000 ms apart, for segments of 1900 ms",
        ),
    ] {
        assert_eq!(decision(&planned(json, &right()), "video"), expected, "{json}");
    }
}

#[test]
fn a_rung_is_copied_unless_the_source_is_not_right() {
    for (probe, expected) in [
        // A frame more than the segment: 120 frames of 29.97 a second.
        (with_keyframes(|k| k.longest_us = 4_004_000), "copy"),
        (
            with_keyframes(|k| k.longest_us = 8_341_667),
            "its keyframes are up to 8341 ms apart, for segments of 4000 ms",
        ),
        (
            with_keyframes(|k| k.hidden = true),
            "its container hides its beginning, and the new one cannot",
        ),
        (
            with_keyframes(|k| k.closed = false),
            "its groups of pictures are not known to be closed",
        ),
        (
            with_video(|facts| facts.bitrate_bps = Some(40_000_000)),
            "40000000 b/s is more than its size needs",
        ),
        (
            right().without_copies_of(Unfit::All),
            "copied at first, its packets turned out to be damaged or to change: it is made a second time",
        ),
    ] {
        for json in [ONE, LADDER] {
            assert_eq!(decision(&planned(json, &probe), "video"), expected, "{probe:?}");
        }
    }
}

#[test]
fn rungs_are_cut_together_only_with_a_source_that_has_as_many_frames() {
    // Of 20 s at 29.97 a second: a frame too few, and a third of one.
    for (average, expected) in [
        (
            29_920,
            "its frame rate is not quite constant, and rungs below it are encoded at one that is",
        ),
        (29_953, "copy"),
    ] {
        let probe = with_video(|facts| facts.average_fps = fps(average, 1_000));
        assert_eq!(decision(&planned(LADDER, &probe), "video"), expected);
        assert_eq!(decision(&planned(ONE, &probe), "video"), "copy", "alone");
    }
}

#[test]
fn the_largest_rung_is_copied_and_the_others_end_no_group_by_themselves() {
    let plan = planned(LADDER, &right());
    let steps: Vec<_> = plan.outputs[0]
        .steps
        .iter()
        .map(|step| (step.stream.as_str(), step.done, step.reason.as_str()))
        .collect();
    assert_eq!(
        steps,
        [
            ("video", Done::Copy, "720p is already what was asked"),
            ("video", Done::Transcode, "smaller than the source: 480p, 360p, 240p"),
            ("audio", Done::Copy, "it is already what was asked"),
        ]
    );
    let groups = |plan: &Plan| {
        let rungs = hls(plan).rungs.iter().map(|rung| match &rung.video {
            VideoTrack::Copy { .. } => 0,
            VideoTrack::Encode(order) => order.gop_frames,
        });
        rungs.collect::<Vec<_>>()
    };
    // Segments of four seconds at 29.97 frames a second.
    assert_eq!(groups(&plan), [0, 242, 242, 242]);
    assert_eq!(
        groups(&planned(LADDER, &right().without_copies_of(Unfit::All))),
        [120; 4]
    );
}
