//! Frames of the source that a movie does not show, and what is told about them.

use crate::clips::numbered;
use crate::discontinuities::{joined, part};
use crate::harness::{Run, process, recipe};
use domain::plan::WarningCode;
use std::collections::BTreeSet;

const CODED: &str = "-c:v libx264 -preset ultrafast -crf 4 -pix_fmt yuv420p";

fn told(run: &Run) -> Vec<&str> {
    let warnings = run.report.warnings.iter();
    warnings
        .filter(|warning| warning.code == WarningCode::FramesDropped)
        .map(|warning| warning.detail.as_str())
        .collect()
}

#[test]
fn frames_dropped_by_the_rate_limit_are_reported_unless_a_rate_was_requested() {
    let source = numbered("too-fast.mp4", &format!("-vf settb=1/240,setpts=N -r 240 {CODED}"));
    for (json, expected) in [
        (
            r#"{"outputs":[{"kind":"mp4","video":{"crf":23}}]}"#,
            &["120 frames, first at 00:00:00.008"][..],
        ),
        (
            r#"{"trim":{"start":0,"end":0.5},"bumper":{"intro_ms":1000,"outro_ms":0},"outputs":[{"kind":"hls"},{"kind":"webm"}]}"#,
            &["60 frames, first at 00:00:01.008"],
        ),
        (r#"{"frame":{"fps":"30"},"outputs":[{"kind":"mp4"}]}"#, &[]),
        (r#"{"outputs":[{"kind":"poster"}]}"#, &[]),
    ] {
        assert_eq!(told(&process(&source, &recipe(json)).unwrap()), expected, "{json}");
    }
}

#[test]
fn dropped_frames_of_a_variable_rate_are_reported_and_a_constant_rate_drops_none() {
    // Frames 60 to 119 come 7 ms apart, the others 33 ms, by a clock of milliseconds.
    let times = "settb=1/1000,setpts='if(lt(N,60),N*33,if(lt(N,120),1980+(N-60)*7,2400+(N-120)*33))'";
    let source = numbered("bursts.mkv", &format!("-vf {times} -vsync passthrough {CODED}"));
    let json = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    let [detail] = told(&run)[..] else {
        panic!("{:?}", run.report.warnings);
    };
    let seen = run.frame_numbers(0);
    let distinct: BTreeSet<_> = seen.iter().copied().collect();
    let frames = 240 - distinct.len();
    assert!(frames > 20, "{seen:?}");
    // The first one that is missing would have stood where its neighbor stands.
    let missing = (0..240).find(|number| !distinct.contains(number)).unwrap();
    let slot = seen.iter().position(|number| *number > missing).unwrap();
    let fps = run.plan.fps.as_f64();
    let near = [slot.saturating_sub(1), slot].map(|slot| format!("first at 00:00:{:06.3}", slot as f64 / fps));
    assert!(
        detail.starts_with(&format!("{frames} frames, ")) && near.iter().any(|at| detail.ends_with(at)),
        "{detail}; {frames} frames, {near:?}"
    );

    let source = numbered("constant.mp4", CODED);
    for json in [
        json,
        r#"{"trim":{"start":0.51,"end":1.5},"outputs":[{"kind":"mp4","video":{"crf":23}}]}"#,
        r#"{"trim":{"ranges":[{"start":0.51,"end":1.5},{"start":3,"end":4.01}]},"outputs":[{"kind":"mp4"}]}"#,
    ] {
        assert_eq!(told(&process(&source, &recipe(json)).unwrap()), [""; 0], "{json}");
    }
}

#[test]
fn overlapping_timestamps_are_reported_for_every_kind_of_output() {
    // The second half begins 200 ms before the first one ends, as in recordings that overlap.
    let parts = [
        part("overlap-a.ts", (0, 2), 0.0, "0"),
        part("overlap-b.ts", (2, 4), 0.0, "1.8"),
    ];
    let source = joined("overlap.ts", &parts);
    for (output, lost) in [
        (r#"{"kind":"mp4","video":{"crf":8}}"#, true),
        (r#"{"kind":"mp4","audio":{"bitrate_bps":64000}}"#, true),
        (r#"{"kind":"hls"}"#, true),
        (r#"{"kind":"audio"}"#, true),
        (r#"{"kind":"poster"}"#, false),
    ] {
        let run = process(&source, &recipe(&format!(r#"{{"outputs":[{output}]}}"#))).unwrap();
        let told = run.report.warnings.iter();
        let told = told.filter(|warning| warning.code == WarningCode::SoundShortened);
        let told: Vec<_> = told.map(|warning| warning.detail.as_str()).collect();
        if lost {
            let [detail] = told[..] else {
                panic!("{output}: {told:?}")
            };
            let (_, detail) = detail.split_once(": ").unwrap();
            let (ms, at) = detail.split_once(" ms of sound, first at 00:00:").unwrap();
            assert!(ms.parse::<u64>().unwrap().abs_diff(200) <= 100, "{output}: {detail}");
            assert!((at.parse::<f64>().unwrap() - 2.0).abs() < 0.1, "{output}: {detail}");
        } else {
            assert_eq!(told, [""; 0], "{output}");
        }
    }
}
