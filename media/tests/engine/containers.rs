//! What comes in: containers and codecs of the allow-list, and headers that do not tell everything.

use crate::clips::{clip, clip_with, numbered};
use crate::studio::{recipe, shoot};
use domain::plan::WarningCode;
use std::path::PathBuf;
use std::process::Command;

const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

#[test]
fn every_usual_container_and_codec_keeps_every_picture() {
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
        let take = shoot(&numbered(name, &format!("{encoding} -t 2")), &recipe(MP4)).unwrap();
        assert_eq!(take.numbers(0), (0..60).collect::<Vec<_>>(), "{name}");
        assert!(take.report.warnings.is_empty(), "{name}: {:?}", take.report.warnings);
    }
}

#[test]
fn every_usual_sound_codec_is_heard() {
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
        let take = shoot(&source, &recipe(r#"{"outputs":[{"kind":"audio"}]}"#)).unwrap();
        let length_us = take.report.outputs[0].duration_us;
        // Some codecs only know whole blocks.
        assert!(length_us.abs_diff(2_000_000) < 100_000, "{name}: {length_us}");
        let loudest = take
            .samples(0)
            .iter()
            .fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!(loudest > 0.1, "{name}: {loudest}");
    }
}

#[test]
fn a_recording_of_a_browser_has_no_length_and_gets_one() {
    let source = numbered(
        "live.webm",
        "-c:v libvpx -deadline realtime -cpu-used 8 -crf 4 -b:v 4M -live 1 -f webm",
    );
    let take = shoot(
        &source,
        &recipe(r#"{"trim":{"start":3},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#),
    )
    .unwrap();
    assert!(
        take.probe.duration_us.abs_diff(8_000_000) < 50_000,
        "{}",
        take.probe.duration_us
    );
    assert_eq!(take.numbers(0), (90..240).collect::<Vec<_>>());
    assert!(take.progress.iter().any(|step| step.percent > 0));
}

#[test]
fn fragments_and_edit_lists_are_understood() {
    let fragmented = numbered("fragmented.mp4", &format!("{H264} -movflags frag_keyframe+empty_moov"));
    let take = shoot(
        &fragmented,
        &recipe(r#"{"trim":{"start":3.5,"end":4},"outputs":[{"kind":"mp4"}]}"#),
    )
    .unwrap();
    assert_eq!(take.numbers(0), (105..120).collect::<Vec<_>>());

    // Cut without encoding: the edit list hides what lies before the cut.
    let whole = numbered("numbered.mp4", H264);
    let arguments = ["-ss", "1.3", "-i", whole.to_str().unwrap(), "-c", "copy"];
    let take = shoot(&clip_with("edit-list.mp4", &arguments), &recipe(MP4)).unwrap();
    let seen = take.numbers(0);
    assert!(seen[0].abs_diff(39) <= 1, "{:?}", &seen[..5]);
    assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen:?}");
}

#[test]
fn a_stream_that_begins_between_keyframes_still_becomes_a_film() {
    let whole = std::fs::read(numbered("numbered.ts", H264)).unwrap();
    let packets = whole.len() / 188;
    let path = clip("empty.ts", "-f lavfi -i sine=d=0.1 -c:a aac").with_file_name("joined-late.ts");
    std::fs::write(&path, &whole[packets / 3 * 188..]).unwrap();
    let take = shoot(&path, &recipe(MP4)).unwrap();
    let seen = take.numbers(0);
    assert!(
        seen.len() > 120 && seen.is_sorted() && seen.last() == Some(&239),
        "{seen:?}"
    );
}

#[test]
fn a_file_that_breaks_off_tells_its_loss_where_its_header_has_a_length() {
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
        let take = shoot(&path, &recipe(MP4)).unwrap();
        let [warning] = take.report.warnings.as_slice() else {
            panic!("{name}: {:?}", take.report)
        };
        assert_eq!(warning.code, WarningCode::SourceDamaged, "{name}");
        let lost_ms: u64 = warning.detail.split(' ').next().unwrap().parse().unwrap();
        let there_ms = take.report.outputs[0].duration_us / 1_000;
        assert!(
            (lost_ms + there_ms).abs_diff(8_000) < 200,
            "{name}: {lost_ms} ms lost, {there_ms} there"
        );
    }
}

#[test]
fn nothing_that_is_named_in_a_source_travels() {
    let arguments = "-f lavfi -i testsrc2=s=64x64:r=25:d=1 -f lavfi -i sine=d=1 -c:v libx264 -c:a aac \
        -metadata title=secret -metadata comment=secret -metadata:s:v title=secret -metadata:s:v handler_name=secret";
    let json = r#"{"outputs":[{"kind":"mp4"},{"kind":"audio"},{"kind":"audio","format":"mp3"},{"kind":"audio","format":"opus"},{"kind":"poster"}]}"#;
    let take = shoot(&clip("named.mp4", arguments), &recipe(json)).unwrap();
    for output in &take.plan.outputs {
        let path = take.scratch.path().join(&output.file);
        let told = Command::new("ffprobe")
            .args(["-v", "error", "-show_format", "-show_streams"])
            .arg(path)
            .output();
        assert!(
            !String::from_utf8_lossy(&told.unwrap().stdout).contains("secret"),
            "{}",
            output.file
        );
    }
}
