//! A video output lasts as long as its longest stream. The first and the last frame are held while only audio plays.

use crate::clips::{clip_with, frame_number};
use crate::harness::{Run, process, recipe};
use crate::hls_player::{checked, numbers as rung_numbers, process_hls};
use crate::mp4_boxes::with_last_frame;
use domain::plan::{StreamAction, WarningCode};
use domain::probe::StreamKind;
use std::path::PathBuf;

const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// A recipe whose settings prevent stream copies.
const ENCODED: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8},"audio":{"bitrate_bps":96000}}]}"#;

/// Two seconds of numbered frames with this delay in seconds, and five seconds of audio with a beep at four seconds.
fn short_video(name: &str, delay: &str, encoding: &str) -> PathBuf {
    let video = "color=black:s=64x64:r=30:d=2,\
        geq=lum='if(lt(X,32),16+mod(N,16)*13,16+floor(N/16)*13)':cb=128:cr=128";
    let audio = "aevalsrc=exprs='if(between(t,4,4.2),0.8*sin(2*PI*1000*t),0)':d=5:s=48000";
    let mut arguments = vec![
        "-itsoffset",
        delay,
        "-f",
        "lavfi",
        "-i",
        video,
        "-f",
        "lavfi",
        "-i",
        audio,
    ];
    arguments.extend(["-vsync", "passthrough"]);
    arguments.extend(encoding.split_whitespace());
    clip_with(name, &arguments)
}

/// The time of the beep in milliseconds.
fn beep_ms(run: &Run) -> usize {
    run.samples(0).iter().position(|sample| sample.abs() > 0.2).unwrap() / 48
}

/// Extension and audio encoding of each container.
const CONTAINERS: [(&str, &str); 7] = [
    ("mp4", "-c:a aac"),
    ("mov", "-c:a pcm_s16le"),
    ("mkv", "-c:a aac"),
    ("ts", "-c:a aac"),
    ("webm", "-c:v libvpx -deadline realtime -crf 4 -b:v 4M -c:a libopus"),
    ("avi", "-c:a libmp3lame"),
    ("flv", "-c:a aac"),
];

#[test]
fn the_last_frame_is_held_until_the_audio_ends() {
    for (extension, audio) in CONTAINERS {
        let source = short_video(&format!("short-video.{extension}"), "0", &format!("{H264} {audio}"));
        let run = process(&source, &recipe(ENCODED)).unwrap();
        let seen = run.frame_numbers(0);
        // MP3 pads its last packet.
        assert!(seen.len().abs_diff(150) <= 2, "{extension}: {} frames", seen.len());
        assert_eq!(seen[..60], (0..60).collect::<Vec<_>>(), "{extension}");
        assert!(seen[60..].iter().all(|number| *number == 59), "{extension}: {seen:?}");
        assert!(beep_ms(&run).abs_diff(4_000) <= 40, "{extension}: {} ms", beep_ms(&run));
        let warnings = (&run.plan.warnings, &run.report.warnings);
        assert!(
            warnings.0.is_empty() && warnings.1.is_empty(),
            "{extension}: {warnings:?}"
        );
    }
}

#[test]
fn a_trim_after_the_last_frame_holds_it() {
    for (extension, audio) in CONTAINERS {
        let source = short_video(&format!("short-video.{extension}"), "0", &format!("{H264} {audio}"));
        let json = r#"{"trim":{"start":3,"end":4.5},"outputs":[{"kind":"mp4","video":{"crf":8}},
            {"kind":"poster","at_ms":900,"format":"png"},{"kind":"gif","fps":10}]}"#;
        let run = process(&source, &recipe(json)).unwrap();
        assert_eq!(run.frame_numbers(0), [59; 45], "{extension}");
        assert!(beep_ms(&run).abs_diff(1_000) <= 40, "{extension}: {} ms", beep_ms(&run));
        let (frames, width, height) = run.luma(1);
        assert_eq!(frame_number(&frames[0], width, height), 59, "{extension}");
        assert_eq!(run.report.outputs[2].duration_us, 1_500_000, "{extension}");
        assert!(run.report.warnings.is_empty(), "{extension}: {:?}", run.report.warnings);
    }
}

#[test]
fn copied_video_and_hls_rungs_last_as_long_as_the_audio() {
    for extension in ["mp4", "mkv"] {
        let source = short_video(&format!("short-video.{extension}"), "0", &format!("{H264} -c:a aac"));
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        assert!(
            run.plan.outputs[0]
                .steps
                .iter()
                .all(|step| step.action == StreamAction::Copy),
            "{extension}"
        );
        let (_, made, file) = run.output(0);
        assert_eq!(made.frames, 60);
        for stream in &file.probe.streams {
            let (StreamKind::Video(_) | StreamKind::Audio(_)) = &stream.kind else {
                continue;
            };
            let end_us = match &stream.kind {
                StreamKind::Video(facts) => facts.duration_us,
                StreamKind::Audio(facts) => facts.duration_us,
                _ => None,
            };
            assert!(end_us.unwrap().abs_diff(5_000_000) < 60_000, "{extension}: {stream:?}");
        }
        assert!(run.report.warnings.is_empty(), "{extension}: {:?}", run.report.warnings);
        let run = process_hls(&source, r#""ladder":[64,32],"segment_ms":1500,"video":{"crf":8}"#);
        for rung in 0..2 {
            let seen = rung_numbers(&run, rung);
            assert!(
                seen.len().abs_diff(150) <= 1 && seen[100] == 59,
                "{extension}: {seen:?}"
            );
        }
        assert!(
            checked(&run)
                .audio
                .as_ref()
                .unwrap()
                .probe
                .duration_us
                .abs_diff(5_000_000)
                < 60_000
        );
    }
}

#[test]
fn the_last_frame_has_the_duration_of_its_sample_table() {
    for last_ms in [3_000, 34] {
        let (_folder, source) = with_last_frame(last_ms);
        let frames = 59 + last_ms as usize * 30 / 1_000;
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#)).unwrap();
        let seen = run.frame_numbers(0);
        assert!(seen.len().abs_diff(frames) <= 1, "{} for {frames} frames", seen.len());
        assert_eq!(seen[..60], (0..60).collect::<Vec<_>>());
        assert!(run.report.warnings.is_empty(), "{:?}", run.report.warnings);
    }
    let (_folder, source) = with_last_frame(3_000);
    let within = r#"{"trim":{"start":3,"end":4},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
    assert_eq!(process(&source, &recipe(within)).unwrap().frame_numbers(0), [59; 30]);
}

#[test]
fn the_first_frame_is_held_under_earlier_audio() {
    // The AVI muxer of FFmpeg moves the delay behind the first frame: see the test below.
    for (extension, audio) in CONTAINERS.into_iter().filter(|(extension, _)| *extension != "avi") {
        let source = short_video(&format!("late-video.{extension}"), "2.5", &format!("{H264} {audio}"));
        let run = process(&source, &recipe(ENCODED)).unwrap();
        let seen = run.frame_numbers(0);
        assert!(seen.len().abs_diff(150) <= 1, "{extension}: {} frames", seen.len());
        let second_frame = seen.iter().position(|number| *number == 1).unwrap();
        assert!(second_frame.abs_diff(76) <= 1, "{extension}: {seen:?}");
        assert!(
            seen[..second_frame].iter().all(|number| *number == 0),
            "{extension}: {seen:?}"
        );
        assert!(beep_ms(&run).abs_diff(4_000) <= 40, "{extension}: {} ms", beep_ms(&run));
        assert!(run.report.warnings.is_empty(), "{extension}: {:?}", run.report.warnings);
        let silent = r#"{"audio":{"mode":"drop"},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
        let run = process(&source, &recipe(silent)).unwrap();
        assert_eq!(
            run.frame_numbers(0),
            (0..60).collect::<Vec<_>>(),
            "{extension}, without audio"
        );
    }
}

/// An AVI whose stream header delays the video by 2.5 s.
fn late_avi() -> PathBuf {
    let source = short_video("short-video.avi", "0", &format!("{H264} -c:a libmp3lame"));
    let mut bytes = std::fs::read(&source).unwrap();
    let header = bytes.windows(4).position(|window| window == b"strh").unwrap() + 8;
    assert_eq!(&bytes[header..header + 4], b"vids");
    assert_eq!(
        bytes[header + 20..header + 28],
        [1, 0, 0, 0, 30, 0, 0, 0],
        "30 frames per second"
    );
    // `dwStart`, in frames.
    bytes[header + 28..header + 32].copy_from_slice(&75_u32.to_le_bytes());
    let path = source.with_file_name("late-start.avi");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn the_first_frame_of_an_avi_with_a_late_start_is_held() {
    // The first frame is in the first slot, and 74 empty slots follow.
    let slots = short_video("late-video.avi", "2.5", &format!("{H264} -c:a libmp3lame"));
    for (name, source) in [("slots", slots), ("header", late_avi())] {
        let run = process(&source, &recipe(ENCODED)).unwrap();
        let seen = run.frame_numbers(0);
        assert!(seen.len().abs_diff(150) <= 4, "{name}: {} frames", seen.len());
        let second_frame = seen.iter().position(|number| *number == 1).unwrap();
        assert!(second_frame.abs_diff(76) <= 2, "{name}: {seen:?}");
        assert!(
            seen[..second_frame].iter().all(|number| *number == 0),
            "{name}: {seen:?}"
        );
        assert!(beep_ms(&run).abs_diff(4_000) <= 40, "{name}: {} ms", beep_ms(&run));
        assert!(run.report.warnings.is_empty(), "{name}: {:?}", run.report.warnings);
    }
}

#[test]
fn audio_is_kept_under_a_frame_held_for_minutes() {
    let video = "color=black:s=64x64:r=5:d=2,\
        geq=lum='if(lt(X,32),16+mod(N,16)*13,16+floor(N/16)*13)':cb=128:cr=128,setpts='PTS+if(gt(N,4),250/TB,0)'";
    let audio = "aevalsrc=exprs='if(between(t,245,246),0.8*sin(2*PI*440*t),0)':d=252:s=8000";
    for (name, codecs) in [
        ("minutes.mkv", "-c:v libx264 -crf 4 -bf 2"),
        ("minutes.mp4", "-c:v libx264 -crf 4 -bf 2"),
    ] {
        let mut arguments = vec!["-f", "lavfi", "-i", video, "-f", "lavfi", "-i", audio, "-vsync", "vfr"];
        arguments.extend(codecs.split_whitespace());
        arguments.extend(["-pix_fmt", "yuv420p", "-c:a", "aac"]);
        let source = clip_with(name, &arguments);
        let json =
            r#"{"frame":{"fps":"5"},"outputs":[{"kind":"mp4","video":{"crf":8},"audio":{"bitrate_bps":64000}}]}"#;
        let run = process(&source, &recipe(json)).unwrap();
        assert!(
            run.report.outputs[0].frames.abs_diff(1_260) <= 5,
            "{name}: {:?}",
            run.report.outputs
        );
        let beep_ms = beep_ms(&run);
        assert!(beep_ms.abs_diff(245_000) <= 60, "{name}: {beep_ms} ms");
        assert!(run.report.warnings.is_empty(), "{name}: {:?}", run.report.warnings);
    }
}

#[test]
fn a_cut_stream_reports_the_loss_at_its_start() {
    let source = short_video("short-video.ts", "0", &format!("{H264} -c:a aac"));
    let bytes = std::fs::read(&source).unwrap();
    // Within the first GOP, which has 25 of 60 frames.
    let cut = source.with_file_name("cut-short-video.ts");
    std::fs::write(&cut, &bytes[bytes.len() / 10 / 188 * 188..]).unwrap();
    let run = process(&cut, &recipe(ENCODED)).unwrap();
    let warning = run
        .report
        .warnings
        .iter()
        .find(|warning| warning.code == WarningCode::SourceDamaged);
    let warning = warning.unwrap_or_else(|| panic!("no warning: {:?}", run.report));
    assert!(warning.detail.contains("first at source time 00:00:0"), "{warning:?}");
}
