//! Stream copies: sources that already match the recipe keep their packets and their timing.

use crate::clips::{clip_with, flash_and_beep};
use crate::harness::{Run, probe, process, recipe};
use domain::plan::StreamAction;
use std::path::Path;
use std::process::Command;

pub(crate) const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// Stream and action of each step of an output.
pub(crate) fn done(run: &Run, index: usize) -> Vec<(&str, StreamAction)> {
    let steps = run.plan.outputs[index].steps.iter();
    steps.map(|step| (step.stream.as_str(), step.action)).collect()
}

/// Runs `ffprobe` with CSV output.
fn ffprobe(path: &Path, arguments: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(arguments.split_whitespace())
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// MD5 hashes of the packets of a stream, in file order.
pub(crate) fn packets(path: &Path, stream: &str) -> Vec<String> {
    let arguments =
        format!("-select_streams {stream} -show_packets -show_data_hash md5 -show_entries packet=data_hash");
    let printed = ffprobe(path, &arguments);
    // The fields of packets with side data are on several lines.
    let fields = printed.split([',', '\n']);
    fields
        .filter(|field| field.starts_with("MD5:"))
        .map(str::to_owned)
        .collect()
}

/// The times of the first bright frame and the first loud sample of the first output, in milliseconds.
pub(crate) fn flash_and_beep_at(run: &Run) -> (usize, usize) {
    let (frames, width, _) = run.luma(0);
    let flash = frames.iter().position(|luma| luma[width * 4 + 4] > 180).unwrap();
    let beep = run.samples(0).iter().position(|sample| sample.abs() > 0.1).unwrap();
    (flash * 1_000 / 30, beep / 48)
}

#[test]
fn a_compatible_source_is_stream_copied() {
    for (name, encoding) in [
        ("right.mp4", "-c:a aac -movflags +faststart"),
        ("right-moov-at-end.mov", "-c:a aac"),
        ("right.mkv", "-c:a aac"),
    ] {
        let source = flash_and_beep(name, "", &format!("{H264} {encoding}"));
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        assert_eq!(
            done(&run, 0),
            [("video", StreamAction::Copy), ("audio", StreamAction::Copy)],
            "{name}"
        );
        let (_, made, checked) = run.output(0);
        assert_eq!((made.frames, made.packets_from_us), (180, None), "{name}");
        assert!(
            checked.index_first && checked.probe.start_us.abs() < 1_000,
            "{name}: {:?}",
            checked.probe
        );
        for stream in ["v", "a"] {
            assert_eq!(
                packets(&run.path(0), stream),
                packets(&source, stream),
                "{name}, {stream}"
            );
        }
        let tags = ffprobe(&run.path(0), "-show_entries stream=codec_tag_string");
        assert_eq!(tags, "avc1\nmp4a", "{name}");
        let (flash, beep) = flash_and_beep_at(&run);
        assert_eq!(flash, 2_000, "{name}");
        assert!(beep.abs_diff(2_000) <= 2, "{name}: beep at {beep} ms");
        assert!(run.report.warnings.is_empty(), "{name}: {:?}", run.report.warnings);
    }
}

#[test]
fn a_stream_copy_keeps_timing_with_edit_lists_and_offsets() {
    let right = flash_and_beep("right.mp4", "", &format!("{H264} -c:a aac -movflags +faststart"));
    let right = right.to_str().unwrap();
    // An edit list hides the frames of the first GOP before 1.4 s.
    let hidden = clip_with("hidden-head.mp4", &["-ss", "1.4", "-i", right, "-c", "copy"]);
    assert!(
        probe(&hidden)
            .unwrap()
            .main_video()
            .unwrap()
            .1
            .keyframes
            .unwrap()
            .hidden
    );
    let late = clip_with("late-start.mkv", &["-itsoffset", "3", "-i", right, "-c", "copy"]);
    let late_audio = clip_with(
        "late-audio-copied.mp4",
        &[
            "-i",
            right,
            "-itsoffset",
            "0.3",
            "-t",
            "6",
            "-i",
            right,
            "-map",
            "0:v",
            "-map",
            "1:a",
            "-c",
            "copy",
        ],
    );
    for (source, flash_ms, beep_ms) in [(&hidden, 600, 600), (&late, 2_000, 2_000), (&late_audio, 2_000, 2_300)] {
        let run = process(source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        assert_eq!(
            done(&run, 0),
            [("video", StreamAction::Copy), ("audio", StreamAction::Copy)],
            "{source:?}"
        );
        let (flash, beep) = flash_and_beep_at(&run);
        let leading = ffprobe(&run.path(0), "-select_streams a -show_entries stream=start_time");
        // `ffprobe` prints seconds with six decimals.
        let leading_us: usize = leading.replace('.', "").parse().unwrap();
        let beep = beep + leading_us / 1_000;
        assert!(flash.abs_diff(flash_ms) <= 1, "{source:?}: flash at {flash} ms");
        assert!(beep.abs_diff(beep_ms) <= 4, "{source:?}: beep at {beep} ms");
    }
}

#[test]
fn audio_and_video_are_copied_independently() {
    let source = flash_and_beep("right.mp4", "", &format!("{H264} -c:a aac -movflags +faststart"));
    for (json, expected, copied) in [
        (
            r#"{"outputs":[{"kind":"mp4","audio":{"bitrate_bps":64000}}]}"#,
            [("video", StreamAction::Copy), ("audio", StreamAction::Transcode)],
            "v",
        ),
        (
            r#"{"outputs":[{"kind":"mp4","video":{"crf":20}}]}"#,
            [("video", StreamAction::Transcode), ("audio", StreamAction::Copy)],
            "a",
        ),
    ] {
        let run = process(&source, &recipe(json)).unwrap();
        assert_eq!(done(&run, 0), expected);
        assert_eq!(packets(&run.path(0), copied), packets(&source, copied), "{copied}");
        let (flash, beep) = flash_and_beep_at(&run);
        assert_eq!((flash, run.report.outputs[0].frames), (2_000, 180));
        assert!(beep.abs_diff(2_000) <= 2, "{copied} copied: beep at {beep} ms");
    }
}

#[test]
fn copied_and_encoded_outputs_share_one_read() {
    let source = flash_and_beep("right.mp4", "", &format!("{H264} -c:a aac -movflags +faststart"));
    let json = r#"{"outputs":[{"kind":"mp4"},{"kind":"mp4","name":"small","max_width_px":80},{"kind":"audio"},
        {"kind":"poster","at_ms":2100}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    let frames: Vec<_> = run.report.outputs.iter().map(|made| made.frames).collect();
    assert_eq!(frames, [180, 180, 0, 1]);
    assert_eq!(
        done(&run, 0),
        [("video", StreamAction::Copy), ("audio", StreamAction::Copy)]
    );
    assert_eq!(
        done(&run, 1),
        [("video", StreamAction::Transcode), ("audio", StreamAction::Copy)]
    );
    assert_eq!(done(&run, 2), [("audio", StreamAction::Copy)]);
    assert_eq!(packets(&run.path(0), "v"), packets(&source, "v"));
    assert_eq!(packets(&run.path(2), "a"), packets(&source, "a"));
    assert!(run.luma(3).0[0][0] > 180, "the poster is dark");
}

#[test]
fn audio_files_are_stream_copied_in_sync() {
    let beep = "aevalsrc=exprs='if(between(t,2,2.2),0.8*sin(2*PI*1000*t),0)':d=6:s=48000";
    for (name, format, encoding) in [
        ("beep.m4a", "m4a", "aac"),
        ("beep.mp3", "mp3", "libmp3lame"),
        ("beep.opus", "opus", "libopus"),
        ("beep.mka", "opus", "libopus"),
    ] {
        let source = clip_with(name, &["-f", "lavfi", "-i", beep, "-c:a", encoding]);
        let json = format!(r#"{{"outputs":[{{"kind":"audio","format":"{format}"}}]}}"#);
        let run = process(&source, &recipe(&json)).unwrap();
        assert_eq!(done(&run, 0), [("audio", StreamAction::Copy)], "{name}");
        assert_eq!(packets(&run.path(0), "a"), packets(&source, "a"), "{name}");
        let beep = run.samples(0).iter().position(|sample| sample.abs() > 0.1).unwrap();
        assert!((beep / 48).abs_diff(2_000) <= 2, "{name}: beep at {} ms", beep / 48);
        let length = run.report.outputs[0].duration_us;
        assert!(length.abs_diff(6_000_000) < 50_000, "{name}: {length} us");
    }
}
