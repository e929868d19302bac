//! Trims with several ranges, which are joined: exact frames, sync of audio and video, memory.

use crate::clips::{clip_with, numbered, numbered_with_audio};
use crate::harness::{inputs_of, plan, probe, process, recipe};
use domain::Code;
use domain::protocol::Progress;
use media::engine::{self, Cancel};
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// The trim of a recipe for ranges of frame numbers at 30 fps. Times are rounded down to milliseconds.
fn ranges(spans: &[(usize, usize)]) -> String {
    let seconds = |frame: usize| format!("{}.{:03}", frame / 30, frame % 30 * 1_000 / 30);
    let list: Vec<_> = spans
        .iter()
        .map(|(from, to)| format!(r#"{{"start":{},"end":{}}}"#, seconds(*from), seconds(*to)))
        .collect();
    format!(r#""trim":{{"ranges":[{}]}}"#, list.join(","))
}

/// A clip of [`numbered_with_audio`] with a beep of 50 ms at each full second. The frequency tells the second: 400 Hz
/// at 0 s, and 200 Hz more for each second.
fn numbered_with_pitched_beeps(name: &str, encoding: &str) -> PathBuf {
    let beeps = "if(lt(mod(t,1),0.05),0.8*sin(2*PI*(400+200*floor(t))*t),0)";
    numbered_with_audio(beeps, name, encoding)
}

/// The start of each beep in milliseconds, and the second of the source that its frequency tells.
fn beeps(samples: &[f32]) -> Vec<(usize, usize)> {
    let loud = |window: &[f32]| window.iter().any(|sample| sample.abs() > 0.15);
    let blocks: Vec<_> = samples.chunks(48).map(loud).collect();
    let begins = (0..blocks.len()).filter(|at| blocks[*at] && !blocks[at.saturating_sub(20)..*at].contains(&true));
    let pitch = |ms: usize| {
        let tone = &samples[(ms + 5) * 48..(ms + 45) * 48];
        let crossings = tone.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0));
        // Two crossings per period, measured over 40 ms.
        crossings.count() * 25 / 2
    };
    begins.map(|ms| (ms, (pitch(ms) + 100) / 200 - 2)).collect()
}

#[test]
fn trim_ranges_are_joined_frame_exactly_in_any_order() {
    let spans = [(60, 75), (0, 10), (200, 240), (60, 70), (65, 66), (100, 131)];
    let expected: Vec<_> = spans.iter().flat_map(|(from, to)| *from..*to).collect();
    for extension in ["mp4", "mkv", "ts", "avi"] {
        let source = numbered(&format!("numbered.{extension}"), H264);
        let json = format!(
            r#"{{{},"outputs":[{{"kind":"mp4","video":{{"crf":8}}}}]}}"#,
            ranges(&spans)
        );
        let run = process(&source, &recipe(&json)).unwrap();
        assert_eq!(run.frame_numbers(0), expected, "{extension}");
        assert!(run.report.warnings.is_empty(), "{extension}: {:?}", run.report.warnings);
    }
}

#[test]
fn audio_stays_in_sync_over_twenty_joins() {
    // Each range starts and ends between two frames.
    let spans: Vec<_> = (0..20)
        .map(|n| (n * 7 % 6 * 1_000 + 871, n * 7 % 6 * 1_000 + 1_233))
        .collect();
    let list: Vec<_> = spans
        .iter()
        .map(|(from, to)| {
            format!(
                r#"{{"start":{}.{:03},"end":{}.{:03}}}"#,
                from / 1_000,
                from % 1_000,
                to / 1_000,
                to % 1_000
            )
        })
        .collect();
    let json = format!(
        r#"{{"trim":{{"ranges":[{}]}},"outputs":[{{"kind":"mp4","video":{{"crf":8}}}},{{"kind":"audio"}}]}}"#,
        list.join(",")
    );
    for (name, encoding) in [
        ("beeps.mp4", "-c:a aac"),
        ("beeps.mkv", "-c:a libopus"),
        ("beeps.ts", "-c:a mp2"),
    ] {
        let source = numbered_with_pitched_beeps(name, &format!("{H264} {encoding}"));
        let run = process(&source, &recipe(&json)).unwrap();
        let numbers = run.frame_numbers(0);
        // A range of 362 ms is 10.86 frames long.
        assert_eq!(numbers.len(), 20 * 11, "{name}");
        for index in [0, 1] {
            let samples = run.samples(index);
            assert!(
                samples.len().abs_diff(20 * 11 * 1_600) <= 1_024,
                "{name}: {} samples",
                samples.len()
            );
            let found = beeps(&samples);
            assert_eq!(found.len(), 20, "{name}: {found:?}");
            for (part, (ms, number)) in found.iter().enumerate() {
                let second = spans[part].0 / 1_000 + 1;
                assert_eq!(*number, second, "{name}, part {part}");
                let frame = numbers
                    .iter()
                    .skip(part * 11)
                    .position(|number| *number == second * 30)
                    .unwrap();
                let shown_ms = (part * 11 + frame) * 1_000 / 30;
                assert!(
                    ms.abs_diff(shown_ms) <= 34,
                    "{name}, part {part}: {ms} for {shown_ms} ms"
                );
            }
        }
    }
}

#[test]
fn audio_outputs_are_joined_to_the_millisecond() {
    let source = clip_with(
        "beeps.mp3",
        &[
            "-f",
            "lavfi",
            "-i",
            "aevalsrc=exprs='if(lt(mod(t,1),0.05),0.8*sin(2*PI*(400+200*floor(t))*t),0)':d=8:s=48000",
        ],
    );
    let json = r#"{"trim":{"ranges":[{"start":5.9,"end":6.333},{"start":0.9,"end":3.1},{"start":6.5,"end":60}]},
        "outputs":[{"kind":"audio"}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    let last_range_us = run.probe.duration_us - 6_500_000;
    let duration_us = run.report.outputs[0].duration_us;
    assert!(
        duration_us.abs_diff(433_000 + 2_200_000 + last_range_us) <= 60_000,
        "{duration_us}"
    );
    let found = beeps(&run.samples(0));
    let expected = [(100, 6), (533, 1), (1_533, 2), (2_533, 3), (3_133, 7)];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((ms, number), (expected_ms, expected)) in found.iter().zip(expected) {
        assert!(*number == expected && ms.abs_diff(expected_ms) <= 4, "{found:?}");
    }
}

#[test]
fn joins_contain_no_silence() {
    let arguments = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x64:r=25:d=6",
        "-f",
        "lavfi",
        "-i",
        "sine=f=400:d=6",
    ];
    let encoded = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"];
    let source = clip_with("steady.mp4", &[&arguments[..], &encoded[..]].concat());
    let json = r#"{"trim":{"ranges":[{"start":1.013,"end":2.031},{"start":0.5,"end":1.519},{"start":3,"end":3.98}]},
        "outputs":[{"kind":"mp4"},{"kind":"audio"}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    for index in [0, 1] {
        let samples = run.samples(index);
        let quietest = samples[4_800..samples.len() - 4_800]
            .chunks(240)
            .map(|window| window.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs())))
            .fold(1.0_f32, f32::min);
        assert!(quietest > 0.05, "{quietest}");
    }
}

#[test]
fn the_time_of_a_poster_counts_along_the_trim_ranges() {
    let source = numbered("numbered.mp4", H264);
    let spans = ranges(&[(150, 180), (30, 60), (200, 230)]);
    for (at_ms, number) in [
        (0, 150),
        (999, 179),
        (1_000, 30),
        (1_500, 45),
        (2_510, 215),
        (9_000, 229),
    ] {
        let poster = format!(r#"{{"kind":"poster","at_ms":{at_ms},"format":"png"}}"#);
        for (outputs, index) in [(poster.clone(), 0), (format!(r#"{{"kind":"mp4"}},{poster}"#), 1)] {
            let run = process(&source, &recipe(&format!(r#"{{{spans},"outputs":[{outputs}]}}"#))).unwrap();
            assert_eq!(run.frame_numbers(index), [number], "at {at_ms} ms, output {index}");
        }
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "nextest sets this variable")]
fn fifty_ranges_use_no_more_memory_than_two_and_can_be_canceled() {
    // The peak memory is that of the whole process. Without nextest, which runs each test in a process of its own, the
    // test starts itself alone.
    if std::env::var_os("NEXTEST").is_none() {
        let name = "trim_ranges::fifty_ranges_use_no_more_memory_than_two_and_can_be_canceled";
        let mut command = Command::new(std::env::current_exe().unwrap());
        let status = command
            .args([name, "--exact", "--nocapture"])
            .env("NEXTEST", "1")
            .status();
        return assert!(status.unwrap().success());
    }
    let source = numbered("numbered.mp4", H264);
    let spans: Vec<_> = (0..50).map(|n| (n * 37 % 200, n * 37 % 200 + 6)).collect();
    let joined = |spans: &[(usize, usize)]| recipe(&format!(r#"{{{},"outputs":[{{"kind":"mp4"}}]}}"#, ranges(spans)));
    let few = process(&source, &joined(&spans[..2])).unwrap().report;
    let many = process(&source, &joined(&spans)).unwrap().report;
    assert_eq!((few.outputs[0].frames, many.outputs[0].frames), (12, 300));
    let grown = many.peak_memory_bytes - few.peak_memory_bytes;
    assert!(grown < 16 << 20, "{grown} bytes more");

    let plan = plan(&joined(&spans), &probe(&source).unwrap()).unwrap();
    let (scratch, cancel) = (tempfile::tempdir().unwrap(), Cancel::new());
    let sources = [File::open(&source).unwrap()];
    let mut stop = |_: Progress| cancel.raise();
    let failure = engine::transcode(&inputs_of(&sources), &plan, scratch.path(), 2, &mut stop, &cancel).unwrap_err();
    assert_eq!(failure.code, Code::Unavailable);
}
