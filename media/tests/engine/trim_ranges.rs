//! Several spans become one video: which pictures and samples follow each other, and where.

use crate::clips::{clip_with, numbered, numbered_with_audio};
use crate::harness::{inputs_of, plan, probe, process, recipe};
use domain::Code;
use domain::protocol::Progress;
use media::engine::{self, Cancel};
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

const CODED: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// Spans in frames of 30 a second as a recipe writes them: each moment up to a millisecond before its picture.
fn ranges(spans: &[(usize, usize)]) -> String {
    let seconds = |frame: usize| format!("{}.{:03}", frame / 30, frame % 30 * 1_000 / 30);
    let list: Vec<_> = spans
        .iter()
        .map(|(from, to)| format!(r#"{{"start":{},"end":{}}}"#, seconds(*from), seconds(*to)))
        .collect();
    format!(r#""trim":{{"ranges":[{}]}}"#, list.join(","))
}

/// Eight numbered seconds at 30 fps with a beep of 50 ms at the start of each second, the first beep the lowest.
fn numbered_and_heard(name: &str, encoding: &str) -> PathBuf {
    let beeps = "if(lt(mod(t,1),0.05),0.8*sin(2*PI*(400+200*floor(t))*t),0)";
    numbered_with_audio(beeps, name, encoding)
}

/// When each beep begins, in milliseconds, and its number: its pitch over 200 Hz, less two.
fn beeps(samples: &[f32]) -> Vec<(usize, usize)> {
    let loud = |window: &[f32]| window.iter().any(|sample| sample.abs() > 0.15);
    let blocks: Vec<_> = samples.chunks(48).map(loud).collect();
    let begins = (0..blocks.len()).filter(|at| blocks[*at] && !blocks[at.saturating_sub(20)..*at].contains(&true));
    let pitch = |ms: usize| {
        let tone = &samples[(ms + 5) * 48..(ms + 45) * 48];
        let crossings = tone.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0));
        // Two a period, over 40 ms.
        crossings.count() * 25 / 2
    };
    begins.map(|ms| (ms, (pitch(ms) + 100) / 200 - 2)).collect()
}

#[test]
fn trim_ranges_are_joined_frame_exactly_in_any_order() {
    let spans = [(60, 75), (0, 10), (200, 240), (60, 70), (65, 66), (100, 131)];
    let expected: Vec<_> = spans.iter().flat_map(|(from, to)| *from..*to).collect();
    for extension in ["mp4", "mkv", "ts", "avi"] {
        let source = numbered(&format!("numbered.{extension}"), CODED);
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
    // Odd places, so that every span begins and ends between two frames.
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
        ("heard.mp4", "-c:a aac"),
        ("heard.mkv", "-c:a libopus"),
        ("heard.ts", "-c:a mp2"),
    ] {
        let source = numbered_and_heard(name, &format!("{CODED} {encoding}"));
        let run = process(&source, &recipe(&json)).unwrap();
        let numbers = run.frame_numbers(0);
        // 362 ms are 10.86 frames.
        assert_eq!(numbers.len(), 20 * 11, "{name}");
        for index in [0, 1] {
            let samples = run.samples(index);
            assert!(
                samples.len().abs_diff(20 * 11 * 1_600) <= 1_024,
                "{name}: {} samples",
                samples.len()
            );
            let heard = beeps(&samples);
            assert_eq!(heard.len(), 20, "{name}: {heard:?}");
            for (part, (ms, number)) in heard.iter().enumerate() {
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
    let rest_us = run.probe.duration_us - 6_500_000;
    let made_us = run.report.outputs[0].duration_us;
    assert!(made_us.abs_diff(433_000 + 2_200_000 + rest_us) <= 60_000, "{made_us}");
    let heard = beeps(&run.samples(0));
    let expected = [(100, 6), (533, 1), (1_533, 2), (2_533, 3), (3_133, 7)];
    assert_eq!(heard.len(), expected.len(), "{heard:?}");
    for ((ms, number), (expected_ms, expected)) in heard.iter().zip(expected) {
        assert!(*number == expected && ms.abs_diff(expected_ms) <= 4, "{heard:?}");
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
    let source = numbered("numbered.mp4", CODED);
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
            assert_eq!(run.frame_numbers(index), [number], "at {at_ms} ms, place {index}");
        }
    }
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the runner tells whether it runs each test alone"
)]
fn fifty_ranges_use_no_more_memory_than_two_and_can_be_canceled() {
    // The peak is that of a process, which this test must not share with others.
    if std::env::var_os("NEXTEST").is_none() {
        let name = "trim_ranges::fifty_ranges_use_no_more_memory_than_two_and_can_be_canceled";
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let ended = alone
            .args([name, "--exact", "--nocapture"])
            .env("NEXTEST", "1")
            .status();
        return assert!(ended.unwrap().success());
    }
    let source = numbered("numbered.mp4", CODED);
    let spans: Vec<_> = (0..50).map(|n| (n * 37 % 200, n * 37 % 200 + 6)).collect();
    let film = |spans: &[(usize, usize)]| recipe(&format!(r#"{{{},"outputs":[{{"kind":"mp4"}}]}}"#, ranges(spans)));
    let few = process(&source, &film(&spans[..2])).unwrap().report;
    let many = process(&source, &film(&spans)).unwrap().report;
    assert_eq!((few.outputs[0].frames, many.outputs[0].frames), (12, 300));
    let grown = many.peak_memory_bytes - few.peak_memory_bytes;
    assert!(grown < 16 << 20, "{grown} bytes more");

    let plan = plan(&film(&spans), &probe(&source).unwrap()).unwrap();
    let (scratch, cancel) = (tempfile::tempdir().unwrap(), Cancel::new());
    let sources = [File::open(&source).unwrap()];
    let mut stop = |_: Progress| cancel.raise();
    let failure = engine::transcode(&inputs_of(&sources), &plan, scratch.path(), 2, &mut stop, &cancel).unwrap_err();
    assert_eq!(failure.code, Code::Unavailable);
}
