//! Sources whose streams, pictures or spans end where others go on.

use crate::clips::{clip, clip_with, flash_and_beep, number_of, numbered};
use crate::copies::{H264, done};
use crate::studio::{probe, recipe, shoot};
use domain::Code;
use domain::plan::{Content, Done};
use domain::probe::{Stream, StreamKind};
use std::path::PathBuf;

/// Pictures of two seconds under sound of six.
fn long_sound() -> PathBuf {
    clip(
        "long-sound.mp4",
        "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -f lavfi -i sine=d=6 -c:v libx264 -pix_fmt yuv420p -c:a aac",
    )
}

/// A recorded screen: it moves for a second, stands still for eight, and moves again.
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
fn everything_is_as_long_as_the_sound_that_goes_on_after_the_pictures() {
    let json = r#"{"outputs":[{"kind":"mp4","video":{"crf":30}},{"kind":"audio"},{"kind":"sprite","every_ms":500}]}"#;
    let take = shoot(&long_sound(), &recipe(json)).unwrap();
    assert!(take.plan.warnings.is_empty(), "{:?}", take.plan.warnings);
    assert!(take.report.warnings.is_empty(), "{:?}", take.report.warnings);
    assert_eq!(take.output(0).1.frames, 150);
    assert!(take.output(1).1.duration_us.abs_diff(6_000_000) < 50_000);
    let Content::Sprite { count, .. } = &take.plan.outputs[2].content else {
        panic!("no sprite");
    };
    assert_eq!(*count, 12);
    let silent = r#"{"audio":{"mode":"drop"},"outputs":[{"kind":"mp4","video":{"crf":30}}]}"#;
    let take = shoot(&long_sound(), &recipe(silent)).unwrap();
    assert_eq!(
        take.output(0).1.frames,
        50,
        "sound that is not wanted lengthens nothing"
    );
}

#[test]
fn a_span_that_begins_after_the_sound_is_outside_of_a_file_of_sound() {
    let short_sound = clip(
        "short-sound.mp4",
        "-f lavfi -i testsrc2=s=160x90:r=25:d=6 -f lavfi -i sine=d=2 -c:v libx264 -pix_fmt yuv420p -c:a aac",
    );
    for (source, json, code) in [
        (
            &long_sound(),
            r#"{"trim":{"start":3},"outputs":[{"kind":"mp4"}]}"#,
            None,
        ),
        (
            &long_sound(),
            r#"{"trim":{"start":3},"outputs":[{"kind":"audio"}]}"#,
            None,
        ),
        (&short_sound, r#"{"trim":{"start":3},"outputs":[{"kind":"mp4"}]}"#, None),
        (
            &short_sound,
            r#"{"trim":{"start":3},"outputs":[{"kind":"audio"}]}"#,
            Some(Code::TrimOutsideSource),
        ),
    ] {
        let ended = shoot(source, &recipe(json));
        assert_eq!(ended.err().map(|failure| failure.code), code, "{json}");
    }
}

#[test]
fn a_screen_that_stands_still_is_whole_and_moves_as_it_did() {
    let take = shoot(&screen(), &recipe(r#"{"outputs":[{"kind":"mp4","video":{"crf":30}}]}"#)).unwrap();
    assert_eq!((take.plan.fps.num, take.plan.fps.den), (30, 1));
    assert_eq!(take.output(0).1.frames, 300);
    let within = r#"{"trim":{"start":3,"end":5},"outputs":[{"kind":"mp4"}]}"#;
    let take = shoot(&screen(), &recipe(within)).unwrap();
    assert_eq!(take.output(0).1.frames, 60);
    assert!(take.report.warnings.is_empty(), "{:?}", take.report.warnings);
}

#[test]
fn a_file_that_begins_late_is_as_long_as_what_it_has() {
    let source = numbered("numbered.mp4", H264);
    let late = clip_with(
        "late.mp4",
        &["-i", source.to_str().unwrap(), "-c", "copy", "-output_ts_offset", "5"],
    );
    let length_us = probe(&late).unwrap().duration_us;
    assert!(length_us.abs_diff(8_000_000) < 50_000, "{length_us}");
    let json = r#"{"trim":{"start":8.5},"outputs":[{"kind":"mp4"}]}"#;
    assert_eq!(shoot(&late, &recipe(json)).err().unwrap().code, Code::TrimOutsideSource);
}

#[test]
fn an_animation_of_one_picture_is_one_at_any_rate() {
    for json in [
        r#"{"outputs":[{"kind":"gif","fps":25,"end_ms":40}]}"#,
        r#"{"trim":{"end":0.03},"outputs":[{"kind":"gif","fps":"keep"},{"kind":"mp4","video":{"crf":30}}]}"#,
    ] {
        let take = shoot(&numbered("numbered.mp4", H264), &recipe(json)).unwrap();
        assert_eq!(take.output(0).1.frames, 1, "{json}");
    }
}

#[test]
fn a_still_that_comes_too_late_is_the_last_picture_of_the_span() {
    // Keyframes are at every 25th picture: the one after the span is none of its pictures.
    let source = numbered("numbered.mp4", H264);
    for (span, at_ms, number) in [
        (r#""start":2.4,"end":2.5"#, 100, 74),
        (r#""start":2.4,"end":2.5"#, 9_000, 74),
        (r#""start":2.4"#, 9_000, 239),
    ] {
        let json = format!(r#"{{"trim":{{{span}}},"outputs":[{{"kind":"poster","at_ms":{at_ms},"format":"png"}}]}}"#);
        let take = shoot(&source, &recipe(&json)).unwrap();
        let (pictures, width, height) = take.luma(0);
        assert_eq!(number_of(&pictures[0], width, height), number, "{json}");
    }
}

#[test]
fn a_picture_too_small_for_a_codec_is_refused_and_not_tried() {
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
        let ended = shoot(&source, &recipe(&format!(r#"{{"outputs":[{output}]}}"#)));
        assert_eq!(ended.err().map(|failure| failure.code), code, "{output}");
    }
}

#[test]
fn sound_that_comes_late_or_early_ends_with_the_pictures() {
    let whole = flash_and_beep("right.mp4", "", &format!("{H264} -c:a aac -movflags +faststart"));
    let whole = whole.to_str().unwrap();
    for (name, delayed, other) in [("late-sound.mp4", "1:a", "0:v"), ("late-pictures.mp4", "1:v", "0:a")] {
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
            let take = shoot(&source, &recipe(json)).unwrap();
            assert_eq!(done(&take, 0)[1], ("audio", Done::Transcode), "{name}: {json}");
            let (_, made, checked) = take.output(0);
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
            assert!(take.report.warnings.is_empty(), "{name}: {:?}", take.report.warnings);
        }
    }
}
