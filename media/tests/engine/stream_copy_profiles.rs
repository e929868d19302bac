//! What a copy must not trust: profiles and levels that browsers do not play, and headers that change inside the packets.

use crate::clips::{clip, clip_with};
use crate::harness::{Run, probe, process, recipe};
use domain::plan::WarningCode;
use std::path::{Path, PathBuf};
use std::process::Command;

const MP4: &str = r#"{"outputs":[{"kind":"mp4"}]}"#;
const H265: &str = r#"{"outputs":[{"kind":"mp4","video":{"codec":"h265"}}]}"#;

fn film(name: &str, encoding: &str) -> PathBuf {
    let video = "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -pix_fmt yuv420p -g 25";
    clip(name, &format!("{video} {encoding}"))
}

/// The file with one byte of each parameter set changed: the `nth` after each mark.
fn patched(source: &Path, mark: &[u8], nth: usize, value: u8) -> (tempfile::TempDir, PathBuf) {
    let mut bytes = std::fs::read(source).unwrap();
    let positions: Vec<_> = (0..bytes.len() - mark.len())
        .filter(|at| bytes[*at..].starts_with(mark))
        .collect();
    assert!(!positions.is_empty());
    positions.iter().for_each(|at| bytes[at + nth] = value);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(source.file_name().unwrap());
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn only_profiles_and_levels_that_browsers_play_are_copied() {
    let h264 = "-c:v libx264 -preset ultrafast";
    let h265 = "-c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hvc1";
    for (name, encoding, recipe_json, copied) in [
        ("plain-main.mp4", format!("{h264} -profile:v main"), MP4, true),
        ("plain-baseline.mp4", format!("{h264} -profile:v baseline"), MP4, true),
        ("plain-high.mp4", "-c:v libx264 -profile:v high".to_owned(), MP4, true),
        ("lossless.mp4", format!("{h264} -qp 0"), MP4, false),
        ("lossless.mkv", format!("{h264} -qp 0"), MP4, false),
        ("level-62.mp4", format!("{h264} -level 6.2"), MP4, false),
        ("hevc-main.mp4", h265.to_owned(), H265, true),
        (
            "hevc-62.mp4",
            format!("{h265} -bsf:v hevc_metadata=level=6.2"),
            H265,
            false,
        ),
    ] {
        let run = process(&film(name, &encoding), &recipe(recipe_json)).unwrap();
        assert_eq!(run.plan.copies(), copied, "{name}: {:?}", run.plan.outputs[0].steps);
        assert_eq!(run.report.outputs[0].frames, 50, "{name}");
    }
}

#[test]
fn patched_extended_and_rext_profiles_are_not_copied() {
    let main = film("patch-main.mp4", "-c:v libx264 -preset veryfast -profile:v main");
    // The profile stands after the type of the unit.
    let (_folder, extended) = patched(&main, &[0x67, 77], 1, 88);
    let hevc = film(
        "patch-hevc.mp4",
        "-c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hvc1",
    );
    // Profile 1, its compatibility flags: in the record, in both parameter sets.
    let (_folder2, rext) = patched(&hevc, &[0x01, 0x60, 0, 0], 0, 4);
    for (path, json) in [(&extended, MP4), (&rext, H265)] {
        let facts = probe(path).unwrap();
        let run = process(path, &recipe(json)).unwrap();
        assert!(!run.plan.copies(), "{:?}", facts.main_video());
    }
}

/// Two films one after the other, as if they were one: their packets are joined without being looked at.
fn joined(name: &str, first: &Path, second: &Path) -> PathBuf {
    let list = tempfile::Builder::new().suffix(".txt").tempfile().unwrap();
    let lines = [first, second].map(|path| format!("file '{}'\n", path.display()));
    std::fs::write(list.path(), lines.concat()).unwrap();
    let to = first.with_file_name(name);
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "concat", "-safe", "0", "-i"])
        .arg(list.path())
        .args(["-map", "0", "-c", "copy"])
        .arg(&to)
        .status();
    assert!(made.unwrap().success(), "{name}");
    to
}

fn is_encoded_whole(run: &Run, name: &str, frames: u64) {
    assert!(!run.plan.copies(), "{name}: {:?}", run.plan.outputs[0].steps);
    let made = run.report.outputs[0].frames;
    assert!(made.abs_diff(frames) <= 1, "{name}: {made} frames");
    let damaged = run
        .report
        .warnings
        .iter()
        .any(|warning| warning.code == WarningCode::SourceDamaged);
    assert!(!damaged, "{name}: {:?}", run.report.warnings);
}

#[test]
fn concatenated_videos_with_different_headers_are_encoded() {
    let small = "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -pix_fmt yuv420p -g 25";
    let large = "-f lavfi -i testsrc2=s=192x108:r=25:d=2 -pix_fmt yuv420p -g 25";
    let x264 = "-c:v libx264 -preset ultrafast";
    let x265 = "-c:v libx265 -preset ultrafast -x265-params log-level=error";
    let vp9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 200k";
    let av1 = "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 200k";
    let webm = r#"{"outputs":[{"kind":"webm"}]}"#;
    for (name, extension, joins, (first, second), json) in [
        (
            "h264",
            "ts",
            "mkv",
            (
                x264,
                "-c:v libx264 -preset ultrafast -refs 3 -bf 2 -x264-params cabac=1",
            ),
            MP4,
        ),
        (
            "h265",
            "ts",
            "mkv",
            (
                x265,
                "-c:v libx265 -preset ultrafast -x265-params log-level=error:ctu=16",
            ),
            H265,
        ),
        ("vp9", "webm", "webm", (vp9, vp9), webm),
        (
            "av1",
            "mkv",
            "mkv",
            (av1, av1),
            r#"{"outputs":[{"kind":"mp4","video":{"codec":"av1","speed":"fastest"}}]}"#,
        ),
    ] {
        let other = if extension == "ts" { small } else { large };
        let a = clip(&format!("join-{name}-a.{extension}"), &format!("{small} {first}"));
        let b = clip(&format!("join-{name}-b.{extension}"), &format!("{other} {second}"));
        let path = joined(&format!("joined-{name}.{joins}"), &a, &b);
        let run = process(&path, &recipe(json)).unwrap();
        is_encoded_whole(&run, name, 100);
        // Posters are made from the same packets, and must not keep them from being looked at.
        let with_poster = json.replace("[{", r#"[{"kind":"poster"},{"#);
        let run = process(&path, &recipe(&with_poster)).unwrap();
        assert!(!run.plan.copies(), "{name} and a poster");
    }
}

#[test]
fn repeated_identical_headers_are_copied() {
    let small = "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -pix_fmt yuv420p -g 25";
    let encoding = "-c:v libx264 -preset ultrafast -x264-params repeat-headers=1";
    let one = clip("repeated-h264.ts", &format!("{small} {encoding}"));
    let path = joined("repeated-h264.mkv", &one, &one);
    let run = process(&path, &recipe(MP4)).unwrap();
    assert!(run.plan.copies(), "{:?}", run.plan.outputs[0].steps);
}

#[test]
fn audio_with_a_changing_sample_rate_is_encoded() {
    let tone = |name: &str, rate: u32| {
        clip_with(
            name,
            &[
                "-f",
                "lavfi",
                "-i",
                "sine=d=3:f=500",
                "-ar",
                &rate.to_string(),
                "-c:a",
                "libmp3lame",
            ],
        )
    };
    let (a, b) = (tone("rate-a.mp3", 44_100), tone("rate-b.mp3", 48_000));
    let bytes = [std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap()].concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rates.mp3");
    std::fs::write(&path, bytes).unwrap();
    let run = process(&path, &recipe(r#"{"outputs":[{"kind":"audio","format":"mp3"}]}"#)).unwrap();
    assert!(!run.plan.copies(), "{:?}", run.plan.outputs[0].steps);
    let length = run.report.outputs[0].duration_us;
    assert!(length.abs_diff(6_000_000) < 200_000, "{length}");
}
