//! Sources that are not copied into HLS, because their packets play in no browser or need other headers than the first
//! ones: every rung is encoded, with all frames.

use crate::clips::numbered;
use crate::harness::Run;
use crate::hls_player::{attribute_values, checked, numbers, numbers_of_segment, process_hls, read_file};
use crate::stream_copy_profiles::joined;
use domain::plan::{StreamAction, WarningCode};
use std::path::Path;

/// Asserts that all rungs are encoded in the profile High, and that a player shows `expected` in each.
fn assert_encoded_completely(source: &Path, expected: &[usize]) -> Run {
    let run = process_hls(source, r#""ladder":[64,32],"segment_ms":2000"#);
    let steps = &run.plan.outputs[0].steps;
    assert!(
        steps.iter().all(|step| step.action == StreamAction::Transcode),
        "{steps:?}"
    );
    let codecs = attribute_values(&read_file(&run, "master.m3u8"), "CODECS=\"");
    assert!(codecs.iter().all(|codec| codec.starts_with("avc1.64")), "{codecs:?}");
    for (rung, rendition) in ["64p", "32p"].into_iter().enumerate() {
        assert_eq!(numbers(&run, rung), expected, "{rendition}");
        assert_eq!(
            numbers_of_segment(&run, rung, rendition, 2),
            expected[60..120],
            "{rendition}"
        );
        let facts = checked(&run).rungs[rung].probe.main_video().unwrap().1;
        assert_eq!((facts.pixel_format.as_str(), facts.bit_depth), ("yuv420p", 8));
    }
    let damaged = run
        .report
        .warnings
        .iter()
        .find(|warning| warning.code == WarningCode::SourceDamaged);
    assert!(damaged.is_none(), "{damaged:?}");
    run
}

#[test]
fn lossless_h264_in_a_profile_that_browsers_do_not_play_is_encoded() {
    for name in ["numbered-lossless.mp4", "numbered-lossless.mkv"] {
        let source = numbered(name, "-c:v libx264 -preset ultrafast -qp 0 -g 30 -pix_fmt yuv420p");
        assert_encoded_completely(&source, &(0..240).collect::<Vec<_>>());
    }
}

#[test]
fn joined_clips_whose_parameter_sets_differ_are_encoded() {
    let first = numbered(
        "numbered-join-a.ts",
        "-c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p",
    );
    let second = numbered(
        "numbered-join-b.ts",
        "-c:v libx264 -preset veryfast -refs 3 -bf 2 -g 30 -x264-params cabac=1 -pix_fmt yuv420p",
    );
    let source = joined("numbered-joined.mkv", &first, &second);
    let both: Vec<_> = (0..240).chain(0..240).collect();
    assert_encoded_completely(&source, &both);
}
