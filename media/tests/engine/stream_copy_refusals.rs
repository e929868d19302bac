//! Facts of the probe that decide about stream copies, and damaged packets that are found during a copy.

use crate::clips::clip;
use crate::harness::{probe, process, recipe};
use crate::stream_copy::done;
use domain::plan::{StreamAction, WarningCode};
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
fn matroska_of_a_variable_rate_is_not_copied() {
    let clip_of = |name: &str, times: &str, rate: &str| {
        let video = format!("-f lavfi -i testsrc2=s=160x90:r={rate}:d=8 -f lavfi -i sine=d=8 -vf {times}");
        let encoding = "-fps_mode passthrough -enc_time_base 1:1000 -c:v libx264 -preset veryfast -g 50 -c:a aac";
        clip(name, &format!("{video} {encoding}"))
    };
    for (name, times, rate, is_constant) in [
        ("constant.mkv", "null", "25", true),
        ("film.mkv", "null", "24000/1001", true),
        ("fast.mkv", "null", "60", true),
        ("pause.mkv", "settb=1/1000,setpts=N*40+gte(N\\,100)*2000", "25", false),
        (
            "jitter.mkv",
            "settb=1/1000,setpts=N*40+12+12*(random(1)*2-1)",
            "25",
            false,
        ),
        (
            "slower.mkv",
            "settb=1/1000,setpts=if(lt(N\\,100)\\,N*40\\,4000+(N-100)*1000/24)",
            "25",
            false,
        ),
    ] {
        let source = clip_of(name, times, rate);
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        let expected = if is_constant {
            StreamAction::Copy
        } else {
            StreamAction::Transcode
        };
        assert!(done(&run, 0).contains(&("video", expected)), "{name}: {:?}", run.plan);
    }
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

/// A copy of a file with 2,000 bytes of zeros or noise after 60 %.
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
    let video = "-f lavfi -i testsrc2=s=160x90:r=25:d=8 -pix_fmt yuv420p -g 25";
    let audio = "-f lavfi -i aevalsrc=exprs='0.5*sin(2*PI*t*(300+200*sin(t)))':d=20:s=48000";
    let (mp4, webm) = (r#"{"kind":"mp4"}"#, r#"{"kind":"webm"}"#);
    for (name, input, encoding, output) in [
        (
            "to-damage-h264.mp4",
            video,
            "-c:v libx264 -preset ultrafast -crf 30",
            mp4,
        ),
        (
            "to-damage-vp9.mp4",
            video,
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 200k",
            webm,
        ),
        (
            "to-damage-av1.mp4",
            video,
            "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 200k",
            r#"{"kind":"mp4","video":{"codec":"av1"}}"#,
        ),
        ("to-damage.m4a", audio, "-c:a aac -b:a 96k", r#"{"kind":"audio"}"#),
        (
            "to-damage-mp3.mp4",
            audio,
            "-c:a libmp3lame -b:a 96k",
            r#"{"kind":"audio","format":"mp3"}"#,
        ),
        (
            "to-damage-opus.mp4",
            audio,
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
            let codes = run.report.warnings.iter().map(|warning| warning.code);
            assert_eq!(
                codes.collect::<Vec<_>>(),
                [WarningCode::SourceDamaged],
                "{name}, noise: {noise}"
            );
        }
    }
}
