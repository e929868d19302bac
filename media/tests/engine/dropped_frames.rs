//! Warnings about source frames that an output does not show.

use crate::clips::numbered;
use crate::discontinuities::{joined, part};
use crate::gaps::written;
use crate::harness::{Run, process, recipe};
use domain::plan::WarningCode;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -pix_fmt yuv420p";

/// The details of the warnings about dropped frames.
fn dropped(run: &Run) -> Vec<&str> {
    let warnings = run.report.warnings.iter();
    warnings
        .filter(|warning| warning.code == WarningCode::FramesDropped)
        .map(|warning| warning.detail.as_str())
        .collect()
}

#[test]
fn frames_dropped_by_the_rate_limit_are_reported_unless_a_rate_was_requested() {
    let source = numbered("too-fast.mp4", &format!("-vf settb=1/240,setpts=N -r 240 {H264}"));
    for (json, expected) in [
        (
            r#"{"outputs":[{"kind":"mp4","video":{"crf":23}}]}"#,
            &["120 frames, first at output time 00:00:00.008"][..],
        ),
        (
            r#"{"trim":{"start":0,"end":0.5},"bumper":{"intro_ms":1000,"outro_ms":0},"outputs":[{"kind":"hls"},{"kind":"webm"}]}"#,
            &["60 frames, first at output time 00:00:01.008"],
        ),
        (r#"{"frame":{"fps":"30"},"outputs":[{"kind":"mp4"}]}"#, &[]),
        (r#"{"outputs":[{"kind":"poster"}]}"#, &[]),
    ] {
        assert_eq!(dropped(&process(&source, &recipe(json)).unwrap()), expected, "{json}");
    }
}

#[test]
fn dropped_frames_of_a_variable_rate_are_reported_and_a_constant_rate_drops_none() {
    // With a time base of 1 ms, frames 60 to 119 are 7 ms apart, the others 33 ms.
    let setpts = "settb=1/1000,setpts='if(lt(N,60),N*33,if(lt(N,120),1980+(N-60)*7,2400+(N-120)*33))'";
    let source = numbered("bursts.mkv", &format!("-vf {setpts} -vsync passthrough {H264}"));
    let json = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    let [detail] = dropped(&run)[..] else {
        panic!("{:?}", run.report.warnings);
    };
    let seen = run.frame_numbers(0);
    let distinct: BTreeSet<_> = seen.iter().copied().collect();
    let frames = 240 - distinct.len();
    assert!(frames > 20, "{seen:?}");
    // The first missing frame belongs to the slot of one of its neighbors.
    let missing = (0..240).find(|number| !distinct.contains(number)).unwrap();
    let slot = seen.iter().position(|number| *number > missing).unwrap();
    let fps = run.plan.fps.as_f64();
    let positions =
        [slot.saturating_sub(1), slot].map(|slot| format!("first at output time 00:00:{:06.3}", slot as f64 / fps));
    assert!(
        detail.starts_with(&format!("{frames} frames, ")) && positions.iter().any(|at| detail.ends_with(at)),
        "{detail}; {frames} frames, {positions:?}"
    );

    let source = numbered("constant.mp4", H264);
    for json in [
        json,
        r#"{"trim":{"start":0.51,"end":1.5},"outputs":[{"kind":"mp4","video":{"crf":23}}]}"#,
        r#"{"trim":{"ranges":[{"start":0.51,"end":1.5},{"start":3,"end":4.01}]},"outputs":[{"kind":"mp4"}]}"#,
    ] {
        assert_eq!(dropped(&process(&source, &recipe(json)).unwrap()), [""; 0], "{json}");
    }
}

/// A copy of a Matroska file without the frame rate in its header.
fn without_default_duration(source: &Path) -> PathBuf {
    let mut bytes = fs::read(source).unwrap();
    let id = b"\x23\xe3\x83";
    let at = bytes.windows(3).position(|window| window == id);
    // An element that is not known.
    if let Some(at) = at {
        bytes[at + 2] = 0x84;
    }
    written(source, "no-rate", &bytes)
}

#[test]
fn all_frames_around_missing_ones_are_shown_at_their_times() {
    let vp8 = "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 2M -g 30 -auto-alt-ref 0";
    let b_frames = format!("{H264} -bf 2");
    let mut failed = Vec::new();
    for (select, is_missing) in [
        ("eq(n,40)", (|n| n == 40) as fn(usize) -> bool),
        ("between(n,40,44)", |n| (40..45).contains(&n)),
        ("not(mod(n,10))", |n| n % 10 == 0),
        ("not(mod(n+1,70))", |n| (n + 1) % 70 == 0),
    ] {
        for encoding in [H264, &b_frames, vp8] {
            let filter = format!("-vf select='not({select})' -vsync passthrough");
            let source = numbered("hole.mkv", &format!("{filter} {encoding}"));
            let expected: Vec<_> = (0..240).filter(|n| !is_missing(*n)).collect();
            for path in [without_default_duration(&source), source] {
                for json in [
                    r#"{"outputs":[{"kind":"mp4"}]}"#,
                    r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#,
                ] {
                    let run = process(&path, &recipe(json)).unwrap();
                    let mut seen = run.frame_numbers(0);
                    seen.dedup();
                    let rate = run.plan.fps.as_f64();
                    let is_of_grid = (rate / 30.0 - 1.0).abs() < 0.002;
                    if seen != expected || !is_of_grid || !run.report.warnings.is_empty() {
                        let missing: Vec<_> = expected.iter().filter(|n| !seen.contains(n)).collect();
                        failed.push(format!(
                            "{select} {json} {}: {rate} {missing:?} {:?}",
                            path.display(),
                            run.report.warnings
                        ));
                    }
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn overlapping_timestamps_are_reported_for_every_kind_of_output() {
    // The second half starts 200 ms before the first one ends, as in overlapping recordings.
    let parts = [
        part("overlap-a.ts", 0..2, 0.0, "0"),
        part("overlap-b.ts", 2..4, 0.0, "1.8"),
    ];
    let source = joined("overlap.ts", &parts);
    for (output, is_reported) in [
        (r#"{"kind":"mp4","video":{"crf":8}}"#, true),
        (r#"{"kind":"mp4","audio":{"bitrate_bps":64000}}"#, true),
        (r#"{"kind":"hls"}"#, true),
        (r#"{"kind":"audio"}"#, true),
        (r#"{"kind":"poster"}"#, false),
    ] {
        let run = process(&source, &recipe(&format!(r#"{{"outputs":[{output}]}}"#))).unwrap();
        let warnings = run.report.warnings.iter();
        let shortened = warnings.filter(|warning| warning.code == WarningCode::SoundShortened);
        let details: Vec<_> = shortened.map(|warning| warning.detail.as_str()).collect();
        if is_reported {
            let [detail] = details[..] else {
                panic!("{output}: {details:?}")
            };
            let (_, detail) = detail.split_once(": ").unwrap();
            let (ms, at) = detail
                .split_once(" ms of audio missing, first at output time 00:00:")
                .unwrap();
            assert!(ms.parse::<u64>().unwrap().abs_diff(200) <= 100, "{output}: {detail}");
            assert!((at.parse::<f64>().unwrap() - 2.0).abs() < 0.1, "{output}: {detail}");
        } else {
            assert_eq!(details, [""; 0], "{output}");
        }
    }
}
