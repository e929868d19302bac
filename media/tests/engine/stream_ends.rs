//! Streams that start or end at different times, trims at their ends, and outputs of a single frame.

use crate::clips::{clip, clip_with, flash_and_beep, frame_number, numbered};
use crate::harness::{probe, process, recipe};
use crate::stream_copy::{H264, done};
use domain::Code;
use domain::plan::{Content, StreamAction};
use domain::probe::{Stream, StreamKind};
use std::path::PathBuf;

/// Two seconds of video with six seconds of audio.
fn long_audio() -> PathBuf {
    clip(
        "long-audio.mp4",
        "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -f lavfi -i sine=d=6 -c:v libx264 -pix_fmt yuv420p -c:a aac",
    )
}

/// A screen recording of ten seconds without frames between 1 s and 9 s.
fn screen() -> PathBuf {
    let arguments = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=160x90:r=30:d=10",
        "-vf",
        "select='lt(t,1)+gte(t,9)'",
        "-fps_mode",
        "vfr",
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p",
    ];
    clip_with("screen.mp4", &arguments)
}

#[test]
fn outputs_are_as_long_as_audio_that_outlasts_the_video() {
    let json = r#"{"outputs":[{"kind":"mp4","video":{"crf":30}},{"kind":"audio"},{"kind":"sprite","every_ms":500}]}"#;
    let run = process(&long_audio(), &recipe(json)).unwrap();
    assert!(run.plan.warnings.is_empty(), "{:?}", run.plan.warnings);
    assert!(run.report.warnings.is_empty(), "{:?}", run.report.warnings);
    assert_eq!(run.output(0).1.frames, 150);
    assert!(run.output(1).1.duration_us.abs_diff(6_000_000) < 50_000);
    let Content::Sprite { count, .. } = &run.plan.outputs[2].content else {
        panic!("no sprite");
    };
    assert_eq!(*count, 12);
    let silent = r#"{"audio":{"mode":"drop"},"outputs":[{"kind":"mp4","video":{"crf":30}}]}"#;
    let run = process(&long_audio(), &recipe(silent)).unwrap();
    assert_eq!(run.output(0).1.frames, 50, "dropped audio does not lengthen the video");
}

#[test]
fn a_trim_after_the_end_of_audio_is_refused_for_audio_outputs() {
    let short_audio = clip(
        "short-audio.mp4",
        "-f lavfi -i testsrc2=s=160x90:r=25:d=6 -f lavfi -i sine=d=2 -c:v libx264 -pix_fmt yuv420p -c:a aac",
    );
    for (source, json, code) in [
        (
            &long_audio(),
            r#"{"trim":{"start":3},"outputs":[{"kind":"mp4"}]}"#,
            None,
        ),
        (
            &long_audio(),
            r#"{"trim":{"start":3},"outputs":[{"kind":"audio"}]}"#,
            None,
        ),
        (&short_audio, r#"{"trim":{"start":3},"outputs":[{"kind":"mp4"}]}"#, None),
        (
            &short_audio,
            r#"{"trim":{"start":3},"outputs":[{"kind":"audio"}]}"#,
            Some(Code::TrimOutsideSource),
        ),
    ] {
        let result = process(source, &recipe(json));
        assert_eq!(result.err().map(|failure| failure.code), code, "{json}");
    }
}

#[test]
fn a_static_screen_recording_keeps_its_rate_and_length() {
    let run = process(&screen(), &recipe(r#"{"outputs":[{"kind":"mp4","video":{"crf":30}}]}"#)).unwrap();
    assert_eq!((run.plan.fps.num, run.plan.fps.den), (30, 1));
    assert_eq!(run.output(0).1.frames, 300);
    let within = r#"{"trim":{"start":3,"end":5},"outputs":[{"kind":"mp4"}]}"#;
    let run = process(&screen(), &recipe(within)).unwrap();
    assert_eq!(run.output(0).1.frames, 60);
    assert!(run.report.warnings.is_empty(), "{:?}", run.report.warnings);
}

#[test]
fn duration_excludes_the_start_offset() {
    let source = numbered("numbered.mp4", H264);
    let late = clip_with(
        "late.mp4",
        &["-i", source.to_str().unwrap(), "-c", "copy", "-output_ts_offset", "5"],
    );
    let length_us = probe(&late).unwrap().duration_us;
    assert!(length_us.abs_diff(8_000_000) < 50_000, "{length_us}");
    let json = r#"{"trim":{"start":8.5},"outputs":[{"kind":"mp4"}]}"#;
    assert_eq!(
        process(&late, &recipe(json)).err().unwrap().code,
        Code::TrimOutsideSource
    );
}

#[test]
fn a_trim_shorter_than_a_frame_gives_one_frame() {
    for json in [
        r#"{"outputs":[{"kind":"gif","fps":25,"end_ms":40}]}"#,
        r#"{"trim":{"end":0.03},"outputs":[{"kind":"gif","fps":"keep"},{"kind":"mp4","video":{"crf":30}}]}"#,
    ] {
        let run = process(&numbered("numbered.mp4", H264), &recipe(json)).unwrap();
        assert_eq!(run.output(0).1.frames, 1, "{json}");
    }
}

#[test]
fn a_poster_after_the_end_shows_the_last_frame() {
    // Frame 75 is a keyframe just after the trim. It must not be shown.
    let source = numbered("numbered.mp4", H264);
    for (span, at_ms, number) in [
        (r#""start":2.4,"end":2.5"#, 100, 74),
        (r#""start":2.4,"end":2.5"#, 9_000, 74),
        (r#""start":2.4"#, 9_000, 239),
    ] {
        let json = format!(r#"{{"trim":{{{span}}},"outputs":[{{"kind":"poster","at_ms":{at_ms},"format":"png"}}]}}"#);
        let run = process(&source, &recipe(&json)).unwrap();
        let (frames, width, height) = run.luma(0);
        assert_eq!(frame_number(&frames[0], width, height), number, "{json}");
    }
}

#[test]
fn frames_too_small_for_a_codec_are_refused() {
    let source = clip(
        "tiny.mp4",
        "-f lavfi -i testsrc2=s=120x62:r=25:d=1 -c:v libx264 -pix_fmt yuv420p",
    );
    for (output, code) in [
        (
            r#"{"kind":"webm","video":{"codec":"av1"}}"#,
            Some(Code::PictureTooSmall),
        ),
        (
            r#"{"kind":"mp4","max_width_px":24,"video":{"codec":"h265"}}"#,
            Some(Code::PictureTooSmall),
        ),
        (r#"{"kind":"mp4","max_width_px":32,"video":{"codec":"h265"}}"#, None),
        (r#"{"kind":"webm","max_width_px":16}"#, None),
    ] {
        let result = process(&source, &recipe(&format!(r#"{{"outputs":[{output}]}}"#)));
        assert_eq!(result.err().map(|failure| failure.code), code, "{output}");
    }
}

#[test]
fn audio_with_an_offset_ends_with_the_video() {
    let whole = flash_and_beep("right.mp4", "", &format!("{H264} -c:a aac -movflags +faststart"));
    let whole = whole.to_str().unwrap();
    for (name, delayed, other) in [("delayed-audio.mp4", "1:a", "0:v"), ("delayed-video.mp4", "1:v", "0:a")] {
        let arguments = [
            "-i",
            whole,
            "-itsoffset",
            "1",
            "-i",
            whole,
            "-map",
            other,
            "-map",
            delayed,
            "-c",
            "copy",
        ];
        let source = clip_with(name, &arguments);
        for json in [
            r#"{"outputs":[{"kind":"mp4","video":{"crf":30}}]}"#,
            r#"{"outputs":[{"kind":"mp4","video":{"crf":30}},{"kind":"mp4","max_width_px":32,"name":"small"},{"kind":"audio"}]}"#,
        ] {
            let run = process(&source, &recipe(json)).unwrap();
            assert_eq!(done(&run, 0)[1], ("audio", StreamAction::Transcode), "{name}: {json}");
            let (_, made, checked) = run.output(0);
            let end_us = |stream: &Stream| match &stream.kind {
                StreamKind::Video(facts) => facts.duration_us,
                StreamKind::Audio(facts) => facts.duration_us,
                _ => None,
            };
            let ends: Vec<_> = checked.probe.streams.iter().filter_map(end_us).collect();
            assert!(
                ends[0].abs_diff(ends[1]) <= 34_000 && ends[0].abs_diff(7_000_000) <= 34_000,
                "{name}: {json}: {ends:?} of {made:?}"
            );
            assert!(run.report.warnings.is_empty(), "{name}: {:?}", run.report.warnings);
        }
    }
}
