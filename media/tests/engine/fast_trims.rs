//! Fast trims: a stream copy from the keyframe before the start. An edit list hides the frames in between.

use crate::clips::{flash_and_beep, numbered};
use crate::harness::{process, recipe};
use crate::stream_copy::{H264, done, flash_and_beep_at, packets};
use domain::plan::StreamAction;

/// The duration in the `mvhd` box (version 0) of an MP4, in milliseconds.
fn movie_header_ms(file: &[u8]) -> u64 {
    let at = file.windows(4).position(|name| name == b"mvhd").unwrap() + 4;
    let number = |at: usize| u64::from(u32::from_be_bytes(file[at..at + 4].try_into().unwrap()));
    number(at + 16) * 1_000 / number(at + 12)
}

#[test]
fn a_fast_trim_starts_at_a_keyframe_and_hides_frames_before_the_start() {
    let source = numbered("numbered.mp4", H264);
    for (start, end, first, count, keyframe) in [
        (r#""start":2"#, r#","end":4"#, 60, 60, 50),
        (r#""start":2.5,"#, r#""end":3.01"#, 75, 16, 75),
        (r#""start":0.3"#, "", 9, 231, 0),
        (r#""start":7"#, r#","end":100"#, 210, 30, 200),
        (r#""end":1"#, "", 0, 30, 0),
        (r#""start":2.02,"#, r#""end":2.1"#, 61, 2, 50),
    ] {
        let json = format!(r#"{{"trim":{{{start}{end},"mode":"fast"}},"outputs":[{{"kind":"mp4"}}]}}"#);
        let run = process(&source, &recipe(&json)).unwrap();
        assert_eq!(done(&run, 0), [("video", StreamAction::Copy)], "{json}");
        let (_, made, _) = run.output(0);
        assert_eq!(
            run.frame_numbers(0),
            (first..first + count).collect::<Vec<_>>(),
            "{json}"
        );
        assert_eq!(made.frames, u64::try_from(count).unwrap(), "{json}");
        let header_ms = movie_header_ms(&std::fs::read(run.path(0)).unwrap());
        assert!(
            header_ms.abs_diff(made.duration_us / 1_000) <= 1,
            "{json}: {header_ms} ms in the header"
        );
        let from = usize::try_from(made.packets_from_us.unwrap()).unwrap();
        assert_eq!(
            (from * 30 + 500_000) / 1_000_000,
            keyframe,
            "{json}: packets from {from} us"
        );
        let raw = packets(&run.path(0), "v");
        assert_eq!(packets(&source, "v")[keyframe..][..raw.len()], raw, "{json}");
    }
}

#[test]
fn a_trim_within_one_frame_shows_that_frame() {
    let source = numbered("numbered.mp4", H264);
    for (span, shown) in [
        (r#""start":7.98"#, 239),
        (r#""start":2.01,"end":2.02"#, 60),
        (r#""start":0.84,"end":0.85"#, 25),
    ] {
        for (mode, action) in [("fast", StreamAction::Copy), ("exact", StreamAction::Transcode)] {
            let json = format!(r#"{{"trim":{{{span},"mode":"{mode}"}},"outputs":[{{"kind":"mp4"}}]}}"#);
            let run = process(&source, &recipe(&json)).unwrap();
            assert_eq!(done(&run, 0), [("video", action)], "{json}");
            assert_eq!(run.frame_numbers(0), [shown], "{json}");
            assert_eq!(run.output(0).1.frames, 1, "{json}");
            assert!(run.report.warnings.is_empty(), "{json}: {:?}", run.report.warnings);
        }
    }
}

#[test]
fn audio_of_a_fast_trim_stays_in_sync() {
    for (name, start, flash_ms) in [("right.mp4", "1.7", 300), ("right.mkv", "1.25", 750)] {
        let source = flash_and_beep(name, "", &format!("{H264} -c:a aac -movflags +faststart"));
        for (audio, audio_step) in [
            ("", StreamAction::Copy),
            (r#","audio":{"bitrate_bps":64000}"#, StreamAction::Transcode),
        ] {
            let json = format!(
                r#"{{"trim":{{"start":{start},"end":4.2,"mode":"fast"}},"outputs":[{{"kind":"mp4"{audio}}}]}}"#
            );
            let run = process(&source, &recipe(&json)).unwrap();
            assert_eq!(
                done(&run, 0),
                [("video", StreamAction::Copy), ("audio", audio_step)],
                "{json}"
            );
            let (flash, beep) = flash_and_beep_at(&run);
            assert!(flash.abs_diff(flash_ms) <= 34, "{json}: flash at {flash} ms");
            assert!(beep.abs_diff(flash_ms) <= 4, "{json}: beep at {beep} ms");
        }
    }
}

#[test]
fn a_fast_trim_of_webm_starts_visibly_at_the_keyframe() {
    let encoding = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 10 -b:v 0 -g 25 -pix_fmt yuv420p";
    let source = numbered("numbered.webm", encoding);
    let json = r#"{"trim":{"start":2,"end":3,"mode":"fast"},"outputs":[{"kind":"webm"}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    assert_eq!(done(&run, 0), [("video", StreamAction::Copy)]);
    assert_eq!(run.frame_numbers(0), (50..90).collect::<Vec<_>>());
    let (_, made, checked) = run.output(0);
    assert_eq!(made.frames, 40);
    assert!(made.packets_from_us.unwrap().abs_diff(1_666_667) < 1_000, "{made:?}");
    assert_eq!(checked.probe.start_us, 0);
}
