//! What must not be copied: what the index and the headers tell before, and the packets themselves on their way.

use crate::clips::clip;
use crate::harness::{probe, process, recipe};
use domain::plan::WarningCode;
use domain::probe::{Keyframes, StreamKind};
use std::path::{Path, PathBuf};

#[test]
fn keyframe_facts_are_read_from_the_index() {
    let keyframes = |path: &Path| probe(path).unwrap().main_video().unwrap().1.keyframes;
    let x264 = |name: &str, more: &str| {
        clip(
            name,
            &format!("-f lavfi -i testsrc2=s=160x90:r=25:d=8 -c:v libx264 -preset veryfast -g 50 {more}"),
        )
    };
    let two_seconds = Keyframes {
        first: true,
        hidden: false,
        closed: true,
        longest_us: 2_000_000,
    };
    assert_eq!(keyframes(&x264("closed.mp4", "-sc_threshold 0")), Some(two_seconds));
    let found = keyframes(&x264("closed.mkv", "-sc_threshold 0")).unwrap();
    assert!(
        found.first && found.closed && found.longest_us.abs_diff(2_000_000) < 100_000,
        "{found:?}"
    );
    let open = "-sc_threshold 0 -bf 3 -x264-params open-gop=1";
    for name in ["open.mp4", "open.mkv"] {
        assert!(!keyframes(&x264(name, open)).unwrap().closed, "{name}");
    }
    let fragmented = "-movflags +frag_keyframe+empty_moov";
    assert_eq!(keyframes(&x264("fragmented.mp4", fragmented)), None);
    assert_eq!(keyframes(&x264("stream.ts", "")), None);
}

#[test]
fn audio_profiles_that_browsers_play_are_recognized() {
    for (name, encoding, plain) in [
        ("plain.m4a", "-c:a aac", true),
        ("plain.opus", "-c:a libopus", true),
        ("plain.mp3", "-c:a libmp3lame", true),
        ("plain.flac", "-c:a flac", false),
        ("main.mkv", "-c:a aac -profile:a aac_main", false),
    ] {
        let found = probe(&clip(
            name,
            &format!("-f lavfi -i sine=d=3:r=48000 {encoding} -b:a 96k"),
        ))
        .unwrap();
        let StreamKind::Audio(facts) = &found.streams[0].kind else {
            panic!("{found:?}")
        };
        assert_eq!(facts.plain, plain, "{name}");
    }
}

/// Two thousand bytes in the middle of it become zeros, or noise.
fn damaged(source: &Path, noise: bool) -> (tempfile::TempDir, PathBuf) {
    let mut bytes = std::fs::read(source).unwrap();
    let from = bytes.len() * 6 / 10;
    for (index, byte) in (0_u32..).zip(&mut bytes[from..from + 2_000]) {
        *byte = if noise {
            (index + 1).wrapping_mul(2_654_435_761).to_le_bytes()[2]
        } else {
            0
        };
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(source.file_name().unwrap());
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn damaged_packets_of_every_codec_are_not_copied() {
    let film = "-f lavfi -i testsrc2=s=160x90:r=25:d=8 -pix_fmt yuv420p -g 25";
    let tone = "-f lavfi -i aevalsrc=exprs='0.5*sin(2*PI*t*(300+200*sin(t)))':d=20:s=48000";
    let (mp4, webm) = (r#"{"kind":"mp4"}"#, r#"{"kind":"webm"}"#);
    for (name, input, encoding, output) in [
        ("spoilt-h264.mp4", film, "-c:v libx264 -preset ultrafast -crf 30", mp4),
        (
            "spoilt-vp9.mp4",
            film,
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 200k",
            webm,
        ),
        (
            "spoilt-av1.mp4",
            film,
            "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 200k",
            r#"{"kind":"mp4","video":{"codec":"av1"}}"#,
        ),
        ("spoilt.m4a", tone, "-c:a aac -b:a 96k", r#"{"kind":"audio"}"#),
        (
            "spoilt-mp3.mp4",
            tone,
            "-c:a libmp3lame -b:a 96k",
            r#"{"kind":"audio","format":"mp3"}"#,
        ),
        (
            "spoilt-opus.mp4",
            tone,
            "-c:a libopus -b:a 96k",
            r#"{"kind":"audio","format":"opus"}"#,
        ),
    ] {
        let source = clip(name, &format!("{input} {encoding}"));
        let recipe = recipe(&format!(r#"{{"outputs":[{output}]}}"#));
        let run = process(&source, &recipe).unwrap();
        assert!(run.plan.copies(), "{name}");
        for noise in [false, true] {
            let (_folder, path) = damaged(&source, noise);
            let run = process(&path, &recipe).unwrap();
            assert!(!run.plan.copies(), "{name}, noise: {noise}");
            let told = run.report.warnings.iter().map(|warning| warning.code);
            assert_eq!(
                told.collect::<Vec<_>>(),
                [WarningCode::SourceDamaged],
                "{name}, noise: {noise}"
            );
        }
    }
}
