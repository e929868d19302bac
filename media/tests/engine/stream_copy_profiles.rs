//! Streams that are not copied although codec and container match: profiles and levels that browsers do not play, and
//! headers that change mid-stream.

use crate::clips::{clip, clip_with};
use crate::harness::{Run, probe, process, recipe};
use domain::plan::WarningCode;
use std::path::{Path, PathBuf};
use std::process::Command;

const MP4: &str = r#"{"outputs":[{"kind":"mp4"}]}"#;
const H265: &str = r#"{"outputs":[{"kind":"mp4","video":{"codec":"h265"}}]}"#;

/// Two seconds of video with this encoding.
fn video(name: &str, encoding: &str) -> PathBuf {
    let input = "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -pix_fmt yuv420p -g 25";
    clip(name, &format!("{input} {encoding}"))
}

/// A copy of a file in which the byte at `offset` from each occurrence of `pattern` has this value.
fn patched(source: &Path, pattern: &[u8], offset: usize, value: u8) -> (tempfile::TempDir, PathBuf) {
    let mut bytes = std::fs::read(source).unwrap();
    let positions: Vec<_> = (0..bytes.len() - pattern.len())
        .filter(|at| bytes[*at..].starts_with(pattern))
        .collect();
    assert!(!positions.is_empty());
    positions.iter().for_each(|at| bytes[at + offset] = value);
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
        let run = process(&video(name, &encoding), &recipe(recipe_json)).unwrap();
        assert_eq!(run.plan.copies(), copied, "{name}: {:?}", run.plan.outputs[0].steps);
        assert_eq!(run.report.outputs[0].frames, 50, "{name}");
    }
}

#[test]
fn patched_extended_and_rext_profiles_are_not_copied() {
    let main = video("patch-main.mp4", "-c:v libx264 -preset veryfast -profile:v main");
    // `profile_idc` follows the NAL unit header of the SPS.
    let (_folder, extended) = patched(&main, &[0x67, 77], 1, 88);
    let hevc = video(
        "patch-hevc.mp4",
        "-c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hvc1",
    );
    // `general_profile_idc` 1 and its compatibility flags, in `hvcC`, VPS and SPS.
    let (_folder2, rext) = patched(&hevc, &[0x01, 0x60, 0, 0], 0, 4);
    for (path, json) in [(&extended, MP4), (&rext, H265)] {
        let facts = probe(path).unwrap();
        let run = process(path, &recipe(json)).unwrap();
        assert!(!run.plan.copies(), "{:?}", facts.main_video());
    }
}

/// Concatenates the packets of two clips with the concat demuxer, without encoding.
pub(crate) fn joined(name: &str, first: &Path, second: &Path) -> PathBuf {
    let list = tempfile::Builder::new().suffix(".txt").tempfile().unwrap();
    let lines = [first, second].map(|path| format!("file '{}'\n", path.display()));
    std::fs::write(list.path(), lines.concat()).unwrap();
    let path = first.with_file_name(name);
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "concat", "-safe", "0", "-i"])
        .arg(list.path())
        .args(["-map", "0", "-c", "copy"])
        .arg(&path)
        .status();
    assert!(status.unwrap().success(), "{name}");
    path
}

/// Asserts that the video was encoded completely and that no damage was reported.
fn assert_encoded(run: &Run, name: &str, frames: u64) {
    assert!(!run.plan.copies(), "{name}: {:?}", run.plan.outputs[0].steps);
    let encoded = run.report.outputs[0].frames;
    assert!(encoded.abs_diff(frames) <= 1, "{name}: {encoded} frames");
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
    for (name, extension, joined_extension, (first, second), json) in [
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
        let path = joined(&format!("joined-{name}.{joined_extension}"), &a, &b);
        let run = process(&path, &recipe(json)).unwrap();
        assert_encoded(&run, name, 100);
        // A poster decodes the same packets. They are checked for changed headers all the same.
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
