//! Frame timing: exact trims, frame rate conversion, and sync of audio and video.

use crate::clips::{clip, clip_with, flash_and_beep, frame_number, numbered};
use crate::harness::{Run, preset, probe, process, recipe};
use domain::Recipe;

const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";
const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;

/// A recipe whose settings prevent stream copies.
const ENH264: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":23},"audio":{"bitrate_bps":128000}}]}"#;

/// A recipe with a trim.
fn trimmed(start: &str, end: &str) -> Recipe {
    recipe(&format!(
        r#"{{"trim":{{"start":{start},"end":{end}}},"outputs":[{{"kind":"mp4","video":{{"crf":8}}}}]}}"#
    ))
}

#[test]
fn a_trim_is_frame_exact() {
    for extension in ["mp4", "mkv", "ts", "avi"] {
        let source = numbered(&format!("numbered.{extension}"), H264);
        for (start, end, first, count) in [
            ("0", "1", 0, 30),
            ("2", "3", 60, 30),
            ("2.5", "4.5", 75, 60),
            ("3.01", "3.99", 91, 29),
            ("5", "5.034", 150, 1),
            ("0.033333", "0.066666", 1, 1),
            ("7", "100", 210, 30),
        ] {
            let run = process(&source, &trimmed(start, end)).unwrap();
            let expected: Vec<_> = (first..first + count).collect();
            assert_eq!(run.frame_numbers(0), expected, "{extension}, {start} to {end}");
        }
    }
}

#[test]
fn a_trim_between_frames_has_as_many_frames_as_its_length() {
    let run = process(&numbered("numbered.mp4", H264), &trimmed("0.51", "1.50")).unwrap();
    assert_eq!(run.report.outputs[0].frames, 30);
    assert_eq!(run.frame_numbers(0)[..29], (16..45).collect::<Vec<_>>());
}

#[test]
fn a_frame_rate_conversion_is_even_and_keeps_the_length() {
    let source = numbered("numbered.mp4", H264);
    for (fps, frames, head) in [
        ("24", 192, [0, 1, 2, 4, 5]),
        ("60", 480, [0, 0, 1, 1, 2]),
        ("15", 120, [0, 2, 4, 6, 8]),
    ] {
        let json = format!(r#"{{"frame":{{"fps":"{fps}"}},"outputs":[{{"kind":"mp4","video":{{"crf":8}}}}]}}"#);
        let run = process(&source, &recipe(&json)).unwrap();
        let seen = run.frame_numbers(0);
        assert_eq!(seen.len(), frames, "{fps} fps");
        // Where two source frames are equally near to a slot, either may be shown.
        assert!(
            seen.iter()
                .zip(head)
                .all(|(seen, expected)| seen.abs_diff(expected) <= 1),
            "{:?}",
            &seen[..5]
        );
        assert!(seen.is_sorted());
    }
}

#[test]
fn every_second_frame_of_240_fps_is_kept() {
    let source = numbered("fast.mp4", &format!("-vf settb=1/240,setpts=N -r 240 {H264}"));
    let run = process(&source, &recipe(ENH264)).unwrap();
    assert_eq!(run.frame_numbers(0), (0..240).step_by(2).collect::<Vec<_>>());
    assert_eq!(run.output(0).1.duration_us, 1_000_000);
}

#[test]
fn a_variable_frame_rate_becomes_constant_with_the_same_timing() {
    // Frames 60 to 119 are missing, so frame 59 is shown for two seconds.
    let video = "color=black:s=64x64:r=30:d=8,\
        geq=lum='if(lt(X,32),16+mod(N,16)*13,16+floor(N/16)*13)':cb=128:cr=128,select='not(between(n,60,119))'";
    let source = clip_with(
        "variable.mkv",
        &[
            "-f",
            "lavfi",
            "-i",
            video,
            "-vsync",
            "vfr",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-crf",
            "4",
        ],
    );
    let json = r#"{"frame":{"fps":"30"},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
    let seen = process(&source, &recipe(json)).unwrap().frame_numbers(0);
    assert_eq!(seen.len(), 240);
    assert_eq!(
        (seen[59], seen[60], seen[118], seen[121], seen[239]),
        (59, 59, 59, 121, 239)
    );
}

/// The times of the first bright frame and the first loud sample, in milliseconds.
fn flash_and_beep_at(run: &Run, fps: usize) -> (i64, i64) {
    let (frames, width, height) = run.luma(0);
    // Near a corner, because the image of the bumper is in the center.
    let flash = frames
        .iter()
        .position(|luma| luma[height / 8 * width + 4] > 180)
        .expect("no flash");
    let rate = usize::try_from(run.output(0).2.probe.main_audio().unwrap().1.sample_rate_hz).unwrap();
    let beep = run
        .samples(0)
        .iter()
        .position(|sample| sample.abs() > 0.1)
        .expect("no beep");
    (
        i64::try_from(flash * 1_000 / fps).unwrap(),
        i64::try_from(beep * 1_000 / rate).unwrap(),
    )
}

/// Parameters of [`flash_and_beep`], and the delay of the audio in milliseconds.
type OffsetClip = (&'static str, &'static str, &'static str, i64);

const CONTAINERS: [OffsetClip; 6] = [
    ("sync.mp4", "", "-c:v libx264 -preset ultrafast -g 20 -bf 2 -c:a aac", 0),
    (
        "sync.mkv",
        "",
        "-c:v libx264 -preset ultrafast -g 20 -bf 2 -c:a libvorbis",
        0,
    ),
    ("sync.ts", "", "-c:v libx264 -preset ultrafast -g 20 -bf 2 -c:a aac", 0),
    ("sync.avi", "", "-c:v mpeg4 -c:a libmp3lame", 0),
    ("sync.flv", "", "-c:v flv -c:a libmp3lame -ar 44100", 0),
    (
        "sync.webm",
        "",
        "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus",
        0,
    ),
];

const OFFSETS: [OffsetClip; 6] = [
    (
        "late-audio.mp4",
        "-itsoffset 0.7",
        "-c:v libx264 -g 20 -bf 2 -c:a aac",
        700,
    ),
    (
        "late-audio.mkv",
        "-itsoffset 0.7",
        "-c:v libx264 -g 20 -bf 2 -c:a libopus",
        700,
    ),
    (
        "early-audio.mkv",
        "-itsoffset -0.5",
        "-c:v libx264 -bf 2 -c:a aac -avoid_negative_ts make_zero",
        -500,
    ),
    ("offset.ts", "", "-c:v libx264 -bf 2 -c:a aac -output_ts_offset 10", 0),
    (
        "offset.mkv",
        "",
        "-c:v libx264 -bf 2 -c:a libopus -output_ts_offset 5",
        0,
    ),
    (
        "negative.mp4",
        "",
        "-c:v libx264 -bf 2 -c:a aac -movflags +negative_cts_offsets",
        0,
    ),
];

#[test]
fn audio_is_in_sync_for_every_container_and_start_offset() {
    for (name, audio_options, encoding, delay_ms) in CONTAINERS.into_iter().chain(OFFSETS) {
        let source = flash_and_beep(name, audio_options, encoding);
        let run = process(&source, &recipe(ENH264)).unwrap();
        let (flash, beep) = flash_and_beep_at(&run, 30);
        // Audio before the first frame is kept, so the video starts later.
        let flash_ms = 2_000 + (-delay_ms).max(0);
        assert!((flash - flash_ms).abs() <= 34, "{name}: flash at {flash} ms");
        assert!(
            (beep - flash - delay_ms).abs() <= 34,
            "{name}: flash at {flash} ms, beep at {beep} ms"
        );
    }
}

#[test]
fn audio_is_in_sync_after_a_trim_and_a_bumper() {
    for extension in ["mp4", "mkv", "ts"] {
        let source = flash_and_beep(
            &format!("cut.{extension}"),
            "",
            "-c:v libx264 -preset ultrafast -g 300 -c:a aac",
        );
        let run = process(&source, &trimmed("1.234", "4")).unwrap();
        let (flash, beep) = flash_and_beep_at(&run, 30);
        assert!(
            (flash - 766).abs() <= 34 && (beep - flash).abs() <= 34,
            "{extension}: {flash} and {beep} ms"
        );
        let run = process(&source, &preset("idrl")).unwrap();
        let (flash, beep) = flash_and_beep_at(&run, 24);
        assert!(
            (flash - 4_000).abs() <= 42 && (beep - flash).abs() <= 42,
            "{extension}: {flash} and {beep} ms"
        );
        let samples = run.samples(0);
        assert_eq!(
            samples.len().abs_diff(48_000 * 10) / 1_024,
            0,
            "{} samples",
            samples.len()
        );
        assert!(
            samples[..90_000]
                .iter()
                .chain(&samples[48_000 * 8..])
                .all(|sample| sample.abs() < 0.01)
        );
    }
}

#[test]
fn shorter_and_longer_audio_ends_with_the_video() {
    for (name, seconds, length) in [("short-audio-4.mp4", 2, 4), ("long-audio-4.mp4", 7, 7)] {
        let audio = format!("sine=f=500:d={seconds}");
        let source = clip_with(
            name,
            &[
                "-f",
                "lavfi",
                "-i",
                "testsrc2=s=160x90:r=25:d=4",
                "-f",
                "lavfi",
                "-i",
                &audio,
                "-c:a",
                "aac",
            ],
        );
        let run = process(&source, &recipe(ENH264)).unwrap();
        assert_eq!(run.report.outputs[0].frames, length * 25, "{name}");
        let (_, facts) = run.output(0).2.probe.main_audio().unwrap();
        assert!(
            facts.duration_us.unwrap().abs_diff(length * 1_000_000) <= 40_000,
            "{name}: {facts:?}"
        );
        assert!(run.report.warnings.is_empty(), "{name}: {:?}", run.report.warnings);
    }
}

#[test]
fn a_trim_of_an_intra_refresh_stream_is_frame_exact() {
    for (name, encoding) in [
        (
            "refresh.mp4",
            "-c:v libx264 -preset ultrafast -crf 4 -bf 0 -x264-params intra-refresh=1:keyint=50",
        ),
        (
            "refresh.ts",
            "-c:v libx264 -preset ultrafast -crf 4 -bf 0 -x264-params intra-refresh=1:keyint=50",
        ),
        (
            "refresh.mkv",
            "-c:v libx264 -preset ultrafast -crf 4 -bf 0 -x264-params intra-refresh=1:keyint=90",
        ),
    ] {
        let source = numbered(name, &format!("{encoding} -pix_fmt yuv420p"));
        let json = r#"{"trim":{"start":4.5,"end":5.5},"outputs":[{"kind":"mp4","video":{"crf":8}},{"kind":"poster","at_ms":0,"format":"png"}]}"#;
        let run = process(&source, &recipe(json)).unwrap();
        assert_eq!(run.frame_numbers(0), (135..165).collect::<Vec<_>>(), "{name}");
        let (frames, width, height) = run.luma(1);
        assert_eq!(frame_number(&frames[0], width, height), 135, "{name}");
        let stills = r#"{"outputs":[{"kind":"poster","at_ms":5000,"format":"png"}]}"#;
        let run = process(&source, &recipe(stills)).unwrap();
        let (frames, width, height) = run.luma(0);
        assert_eq!(frame_number(&frames[0], width, height), 150, "{name}");
    }
}

#[test]
fn a_video_with_two_frames_keeps_its_duration() {
    for extension in ["mp4", "mov", "mkv", "ts"] {
        let name = format!("two-frames.{extension}");
        // Each frame lasts 0.885 s, so the video lasts 1.77 s.
        let source = clip(
            &name,
            "-f lavfi -i testsrc2=s=320x240:r=200/177:d=5 -frames:v 2 -c:v libx264 -pix_fmt yuv420p",
        );
        let found = probe(&source).unwrap();
        let run = process(&source, &recipe(MP4)).unwrap();
        let duration_us = run.report.outputs[0].duration_us;
        // In containers without a duration of the last frame, it lasts one frame interval.
        assert!(
            (1_680_000..=1_860_000).contains(&duration_us),
            "{name}: {duration_us} us, {:?}",
            found.duration_us
        );
    }
}
