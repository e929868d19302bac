//! Input containers and codecs, including headers without a duration, edit lists, fragments and truncated files.

use crate::clips::{clip, clip_with, numbered};
use crate::harness::{process, recipe};
use domain::plan::WarningCode;
use std::path::PathBuf;
use std::process::Command;

const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

#[test]
fn every_frame_survives_from_every_container_and_codec() {
    for (name, encoding) in [
        ("numbered.wmv", "-c:v wmv2 -q:v 1"),
        ("numbered.ogv", "-c:v libtheora -q:v 10"),
        (
            "numbered-prores.mov",
            "-c:v prores_ks -profile:v 4 -pix_fmt yuva444p10le",
        ),
        ("numbered-mjpeg.avi", "-c:v mjpeg -q:v 1"),
        ("numbered-b.avi", "-c:v mpeg4 -q:v 1 -bf 2"),
        ("numbered.flv", "-c:v flv -q:v 1"),
        ("numbered-av1.mkv", "-c:v libaom-av1 -cpu-used 8 -usage realtime -crf 1"),
        (
            "numbered.webm",
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 4 -b:v 0",
        ),
        (
            "numbered-hevc.mp4",
            "-c:v libx265 -preset ultrafast -crf 4 -x265-params log-level=error -pix_fmt yuv422p10le",
        ),
        ("numbered-rgb.mkv", "-c:v png -pix_fmt rgb24"),
    ] {
        let run = process(&numbered(name, &format!("{encoding} -t 2")), &recipe(MP4)).unwrap();
        assert_eq!(run.frame_numbers(0), (0..60).collect::<Vec<_>>(), "{name}");
        assert!(run.report.warnings.is_empty(), "{name}: {:?}", run.report.warnings);
    }
}

#[test]
fn every_audio_codec_is_decoded() {
    for (name, encoding) in [
        ("tone.wma", "-c:a wmav2"),
        ("tone.mp2.ts", "-c:a mp2"),
        ("tone.ac3.mkv", "-c:a ac3"),
        ("tone.eac3.mkv", "-c:a eac3"),
        ("tone.alac.mov", "-c:a alac"),
        ("tone.adpcm.wav", "-c:a adpcm_ms"),
        ("tone.s24.mov", "-c:a pcm_s24be"),
        ("tone.flac", "-c:a flac"),
        ("tone.ogg", "-c:a libvorbis"),
        ("tone.aac", "-c:a aac"),
        ("tone.mp3", "-c:a libmp3lame"),
    ] {
        let source = clip(name, &format!("-f lavfi -i sine=f=500:d=2:r=44100 {encoding}"));
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"audio"}]}"#)).unwrap();
        let length_us = run.report.outputs[0].duration_us;
        // Some codecs have blocks of a fixed length.
        assert!(length_us.abs_diff(2_000_000) < 100_000, "{name}: {length_us}");
        let audio_peak = run
            .samples(0)
            .iter()
            .fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!(audio_peak > 0.1, "{name}: {audio_peak}");
    }
}

#[test]
fn duration_of_a_browser_recording_is_measured() {
    let source = numbered(
        "live.webm",
        "-c:v libvpx -deadline realtime -cpu-used 8 -crf 4 -b:v 4M -live 1 -f webm",
    );
    let run = process(
        &source,
        &recipe(r#"{"trim":{"start":3},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#),
    )
    .unwrap();
    assert!(
        run.probe.duration_us.abs_diff(8_000_000) < 50_000,
        "{}",
        run.probe.duration_us
    );
    assert_eq!(run.frame_numbers(0), (90..240).collect::<Vec<_>>());
    assert!(run.progress.iter().any(|step| step.percent > 0));
}

#[test]
fn fragmented_mp4_and_edit_lists_are_supported() {
    let fragmented = numbered("fragmented.mp4", &format!("{H264} -movflags frag_keyframe+empty_moov"));
    let run = process(
        &fragmented,
        &recipe(r#"{"trim":{"start":3.5,"end":4},"outputs":[{"kind":"mp4"}]}"#),
    )
    .unwrap();
    assert_eq!(run.frame_numbers(0), (105..120).collect::<Vec<_>>());

    // A stream copy from 1.3 s: an edit list hides the frames between the keyframe and the cut.
    let whole = numbered("numbered.mp4", H264);
    let arguments = ["-ss", "1.3", "-i", whole.to_str().unwrap(), "-c", "copy"];
    let run = process(&clip_with("edit-list.mp4", &arguments), &recipe(MP4)).unwrap();
    let seen = run.frame_numbers(0);
    assert!(seen[0].abs_diff(39) <= 1, "{:?}", &seen[..5]);
    assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen:?}");
}

#[test]
fn a_stream_that_starts_between_keyframes_is_transcoded() {
    let whole = std::fs::read(numbered("numbered.ts", H264)).unwrap();
    let packets = whole.len() / 188;
    let path = clip("empty.ts", "-f lavfi -i sine=d=0.1 -c:a aac").with_file_name("joined-late.ts");
    std::fs::write(&path, &whole[packets / 3 * 188..]).unwrap();
    let run = process(&path, &recipe(MP4)).unwrap();
    let seen = run.frame_numbers(0);
    assert!(
        seen.len() > 120 && seen.is_sorted() && seen.last() == Some(&239),
        "{seen:?}"
    );
}

#[test]
fn a_truncated_file_with_a_header_duration_reports_the_loss() {
    for (name, encoding) in [
        ("numbered.mkv", H264),
        ("numbered.flv", H264),
        ("numbered.wmv", "-c:v wmv2 -q:v 1"),
        ("numbered.avi", "-c:v mpeg4 -q:v 1"),
    ] {
        let whole = std::fs::read(numbered(name, encoding)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join(name);
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let run = process(&path, &recipe(MP4)).unwrap();
        let [warning] = run.report.warnings.as_slice() else {
            panic!("{name}: {:?}", run.report)
        };
        assert_eq!(warning.code, WarningCode::SourceDamaged, "{name}");
        let lost_ms: u64 = warning.detail.split(' ').next().unwrap().parse().unwrap();
        let kept_ms = run.report.outputs[0].duration_us / 1_000;
        assert!(
            (lost_ms + kept_ms).abs_diff(8_000) < 200,
            "{name}: {lost_ms} ms lost, {kept_ms} ms kept"
        );
    }
}

#[test]
fn metadata_of_the_source_is_not_copied() {
    let arguments = "-f lavfi -i testsrc2=s=64x64:r=25:d=1 -f lavfi -i sine=d=1 -c:v libx264 -c:a aac \
        -metadata title=secret -metadata comment=secret -metadata:s:v title=secret -metadata:s:v handler_name=secret";
    let json = r#"{"outputs":[{"kind":"mp4"},{"kind":"audio"},{"kind":"audio","format":"mp3"},{"kind":"audio","format":"opus"},{"kind":"poster"}]}"#;
    let run = process(&clip("named.mp4", arguments), &recipe(json)).unwrap();
    for output in &run.plan.outputs {
        let path = run.scratch.path().join(&output.file);
        let ffprobe = Command::new("ffprobe")
            .args(["-v", "error", "-show_format", "-show_streams"])
            .arg(path)
            .output();
        assert!(
            !String::from_utf8_lossy(&ffprobe.unwrap().stdout).contains("secret"),
            "{}",
            output.file
        );
    }
}
