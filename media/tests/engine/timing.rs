//! Which pictures and which samples end up where.

use crate::clips::{clip_with, flash_and_beep, numbered};
use crate::studio::{Take, preset, recipe, shoot};
use domain::Recipe;

const CODED: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// Nothing of it is copied.
const ENCODED: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":23},"audio":{"bitrate_bps":128000}}]}"#;

fn trimmed(start: &str, end: &str) -> Recipe {
    recipe(&format!(
        r#"{{"trim":{{"start":{start},"end":{end}}},"outputs":[{{"kind":"mp4","video":{{"crf":8}}}}]}}"#
    ))
}

#[test]
fn a_trim_begins_and_ends_at_the_picture_asked() {
    for ending in ["mp4", "mkv", "ts", "avi"] {
        let source = numbered(&format!("numbered.{ending}"), CODED);
        for (start, end, first, count) in [
            ("0", "1", 0, 30),
            ("2", "3", 60, 30),
            ("2.5", "4.5", 75, 60),
            ("3.01", "3.99", 91, 29),
            ("5", "5.034", 150, 1),
            ("0.033333", "0.066666", 1, 1),
            ("7", "100", 210, 30),
        ] {
            let take = shoot(&source, &trimmed(start, end)).unwrap();
            let expected: Vec<_> = (first..first + count).collect();
            assert_eq!(take.numbers(0), expected, "{ending}, {start} to {end}");
        }
    }
}

#[test]
fn a_span_between_two_pictures_has_as_many_frames_as_its_length() {
    let take = shoot(&numbered("numbered.mp4", CODED), &trimmed("0.51", "1.50")).unwrap();
    assert_eq!(take.report.outputs[0].frames, 30);
    assert_eq!(take.numbers(0)[..29], (16..45).collect::<Vec<_>>());
}

#[test]
fn another_rate_drops_or_repeats_evenly_and_keeps_the_length() {
    let source = numbered("numbered.mp4", CODED);
    for (fps, frames, head) in [
        ("24", 192, [0, 1, 2, 4, 5]),
        ("60", 480, [0, 0, 1, 1, 2]),
        ("15", 120, [0, 2, 4, 6, 8]),
    ] {
        let json = format!(r#"{{"frame":{{"fps":"{fps}"}},"outputs":[{{"kind":"mp4","video":{{"crf":8}}}}]}}"#);
        let take = shoot(&source, &recipe(&json)).unwrap();
        let seen = take.numbers(0);
        assert_eq!(seen.len(), frames, "{fps} fps");
        // Two pictures half way between two slots may take turns.
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
fn of_a_camera_of_240_pictures_a_second_every_second_one_is_kept() {
    let source = numbered("fast.mp4", &format!("-vf settb=1/240,setpts=N -r 240 {CODED}"));
    let take = shoot(&source, &recipe(ENCODED)).unwrap();
    assert_eq!(take.numbers(0), (0..240).step_by(2).collect::<Vec<_>>());
    assert_eq!(take.output(0).1.duration_us, 1_000_000);
}

#[test]
fn a_variable_rate_becomes_constant_and_keeps_every_moment() {
    // Pictures 60 to 119 are missing: two seconds that stand still.
    let picture = "color=black:s=64x64:r=30:d=8,\
        geq=lum='if(lt(X,32),16+mod(N,16)*13,16+floor(N/16)*13)':cb=128:cr=128,select='not(between(n,60,119))'";
    let source = clip_with(
        "variable.mkv",
        &[
            "-f",
            "lavfi",
            "-i",
            picture,
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
    let seen = shoot(&source, &recipe(json)).unwrap().numbers(0);
    assert_eq!(seen.len(), 240);
    assert_eq!(
        (seen[59], seen[60], seen[118], seen[121], seen[239]),
        (59, 59, 59, 121, 239)
    );
}

/// When the first bright picture and the first loud sample come, in milliseconds.
fn flash_and_beep_at(take: &Take, fps: usize) -> (i64, i64) {
    let (pictures, width, height) = take.luma(0);
    // A corner: the bumper's image is in the middle.
    let flash = pictures
        .iter()
        .position(|luma| luma[height / 8 * width + 4] > 180)
        .expect("no flash");
    let rate = usize::try_from(take.output(0).2.probe.main_audio().unwrap().1.sample_rate_hz).unwrap();
    let beep = take
        .samples(0)
        .iter()
        .position(|sample| sample.abs() > 0.1)
        .expect("no beep");
    (
        i64::try_from(flash * 1_000 / fps).unwrap(),
        i64::try_from(beep * 1_000 / rate).unwrap(),
    )
}

/// Clips of [`flash_and_beep`]: name, arguments before the sound, encoding, and by how many milliseconds the beep is late.
type Shifted = (&'static str, &'static str, &'static str, i64);

const CONTAINERS: [Shifted; 6] = [
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

const OFFSETS: [Shifted; 6] = [
    (
        "late-sound.mp4",
        "-itsoffset 0.7",
        "-c:v libx264 -g 20 -bf 2 -c:a aac",
        700,
    ),
    (
        "late-sound.mkv",
        "-itsoffset 0.7",
        "-c:v libx264 -g 20 -bf 2 -c:a libopus",
        700,
    ),
    (
        "early-sound.mkv",
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
fn sound_stays_with_its_picture_whatever_the_container_and_its_offsets() {
    for (name, before_sound, encoding, shift_ms) in CONTAINERS.into_iter().chain(OFFSETS) {
        let source = flash_and_beep(name, before_sound, encoding);
        let take = shoot(&source, &recipe(ENCODED)).unwrap();
        let (flash, beep) = flash_and_beep_at(&take, 30);
        // Sound that is early is kept: the pictures begin later.
        let flash_ms = 2_000 + (-shift_ms).max(0);
        assert!((flash - flash_ms).abs() <= 34, "{name}: flash at {flash} ms");
        assert!(
            (beep - flash - shift_ms).abs() <= 34,
            "{name}: flash at {flash} ms, beep at {beep} ms"
        );
    }
}

#[test]
fn sound_stays_with_its_picture_after_a_trim_and_under_a_bumper() {
    for ending in ["mp4", "mkv", "ts"] {
        let source = flash_and_beep(
            &format!("cut.{ending}"),
            "",
            "-c:v libx264 -preset ultrafast -g 300 -c:a aac",
        );
        let take = shoot(&source, &trimmed("1.234", "4")).unwrap();
        let (flash, beep) = flash_and_beep_at(&take, 30);
        assert!(
            (flash - 766).abs() <= 34 && (beep - flash).abs() <= 34,
            "{ending}: {flash} and {beep} ms"
        );
        let take = shoot(&source, &preset("idrl")).unwrap();
        let (flash, beep) = flash_and_beep_at(&take, 24);
        assert!(
            (flash - 4_000).abs() <= 42 && (beep - flash).abs() <= 42,
            "{ending}: {flash} and {beep} ms"
        );
        let samples = take.samples(0);
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
fn sound_that_is_shorter_or_longer_than_the_pictures_ends_with_them() {
    for (name, seconds, length) in [("short-sound-4.mp4", 2, 4), ("long-sound-4.mp4", 7, 7)] {
        let sound = format!("sine=f=500:d={seconds}");
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
                &sound,
                "-c:a",
                "aac",
            ],
        );
        let take = shoot(&source, &recipe(ENCODED)).unwrap();
        assert_eq!(take.report.outputs[0].frames, length * 25, "{name}");
        let (_, facts) = take.output(0).2.probe.main_audio().unwrap();
        assert!(
            facts.duration_us.unwrap().abs_diff(length * 1_000_000) <= 40_000,
            "{name}: {facts:?}"
        );
        assert!(take.report.warnings.is_empty(), "{name}: {:?}", take.report.warnings);
    }
}
