//! Streams that are already what was asked: their packets go over as they are, and play as they did.

use crate::clips::{clip, clip_with, flash_and_beep, number_of, numbered};
use crate::studio::{Take, probe, recipe, shoot};
use domain::plan::{Done, WarningCode};
use domain::probe::{Keyframes, StreamKind};
use std::path::{Path, PathBuf};
use std::process::Command;

const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// What was done with each stream of an output.
fn done(take: &Take, place: usize) -> Vec<(&str, Done)> {
    let steps = take.plan.outputs[place].steps.iter();
    steps.map(|step| (step.stream.as_str(), step.done)).collect()
}

fn numbers(take: &Take) -> Vec<usize> {
    let (pictures, width, height) = take.luma(0);
    pictures.iter().map(|luma| number_of(luma, width, height)).collect()
}

/// What the command line prints about a file.
fn ffprobe(path: &Path, arguments: &str) -> String {
    let ran = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(arguments.split_whitespace())
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

/// Hashes of the packets of a stream, in the order of the file.
fn packets(path: &Path, stream: &str) -> Vec<String> {
    let arguments =
        format!("-select_streams {stream} -show_packets -show_data_hash md5 -show_entries packet=data_hash");
    let printed = ffprobe(path, &arguments);
    // Packets with side data are printed over several lines.
    let fields = printed.split([',', '\n']);
    fields
        .filter(|field| field.starts_with("MD5:"))
        .map(str::to_owned)
        .collect()
}

fn file(take: &Take, place: usize) -> PathBuf {
    take.scratch.path().join(&take.plan.outputs[place].file)
}

/// When the first bright picture and the first loud sample of the first output come, in milliseconds.
fn flash_and_beep_at(take: &Take) -> (usize, usize) {
    let (pictures, width, _) = take.luma(0);
    let flash = pictures.iter().position(|luma| luma[width * 4 + 4] > 180).unwrap();
    let beep = take.samples(0).iter().position(|sample| sample.abs() > 0.1).unwrap();
    (flash * 1_000 / 30, beep / 48)
}

#[test]
fn a_source_that_is_already_right_keeps_its_packets() {
    for (name, encoding) in [
        ("right.mp4", "-c:a aac -movflags +faststart"),
        ("right-late-index.mov", "-c:a aac"),
        ("right.mkv", "-c:a aac"),
    ] {
        let source = flash_and_beep(name, "", &format!("{H264} {encoding}"));
        let take = shoot(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        assert_eq!(done(&take, 0), [("video", Done::Copy), ("audio", Done::Copy)], "{name}");
        let (_, made, checked) = take.output(0);
        assert_eq!((made.frames, made.packets_from_us), (180, None), "{name}");
        assert!(
            checked.index_first && checked.probe.start_us.abs() < 1_000,
            "{name}: {:?}",
            checked.probe
        );
        for stream in ["v", "a"] {
            assert_eq!(
                packets(&file(&take, 0), stream),
                packets(&source, stream),
                "{name}, {stream}"
            );
        }
        let tags = ffprobe(&file(&take, 0), "-show_entries stream=codec_tag_string");
        assert_eq!(tags, "avc1\nmp4a", "{name}");
        let (flash, beep) = flash_and_beep_at(&take);
        assert_eq!(flash, 2_000, "{name}");
        assert!(beep.abs_diff(2_000) <= 2, "{name}: beep at {beep} ms");
        assert!(take.report.warnings.is_empty(), "{name}: {:?}", take.report.warnings);
    }
}

#[test]
fn a_copy_shows_and_sounds_what_its_source_does_whatever_its_times() {
    let right = flash_and_beep("right.mp4", "", &format!("{H264} -c:a aac -movflags +faststart"));
    let right = right.to_str().unwrap();
    // Packets of hidden pictures stand before the first shown one, in the middle of a group.
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
    let late_sound = clip_with(
        "late-sound-copied.mp4",
        &[
            "-i",
            right,
            "-itsoffset",
            "0.3",
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
    for (source, flash_ms, beep_ms) in [(&hidden, 600, 600), (&late, 2_000, 2_000), (&late_sound, 2_000, 2_300)] {
        let take = shoot(source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        assert_eq!(
            done(&take, 0),
            [("video", Done::Copy), ("audio", Done::Copy)],
            "{source:?}"
        );
        let (flash, beep) = flash_and_beep_at(&take);
        let leading = ffprobe(&file(&take, 0), "-select_streams a -show_entries stream=start_time");
        // Printed with six decimals.
        let leading_us: usize = leading.replace('.', "").parse().unwrap();
        let beep = beep + leading_us / 1_000;
        assert!(flash.abs_diff(flash_ms) <= 1, "{source:?}: flash at {flash} ms");
        assert!(beep.abs_diff(beep_ms) <= 4, "{source:?}: beep at {beep} ms");
    }
}

#[test]
fn pictures_and_sound_are_copied_apart() {
    let source = flash_and_beep("right.mp4", "", &format!("{H264} -c:a aac -movflags +faststart"));
    for (json, expected, copied) in [
        (
            r#"{"outputs":[{"kind":"mp4","audio":{"bitrate_bps":64000}}]}"#,
            [("video", Done::Copy), ("audio", Done::Transcode)],
            "v",
        ),
        (
            r#"{"outputs":[{"kind":"mp4","video":{"crf":20}}]}"#,
            [("video", Done::Transcode), ("audio", Done::Copy)],
            "a",
        ),
    ] {
        let take = shoot(&source, &recipe(json)).unwrap();
        assert_eq!(done(&take, 0), expected);
        assert_eq!(packets(&file(&take, 0), copied), packets(&source, copied), "{copied}");
        let (flash, beep) = flash_and_beep_at(&take);
        assert_eq!((flash, take.report.outputs[0].frames), (2_000, 180));
        assert!(beep.abs_diff(2_000) <= 2, "{copied} copied: beep at {beep} ms");
    }
}

#[test]
fn copies_and_encodes_come_from_one_read() {
    let source = flash_and_beep("right.mp4", "", &format!("{H264} -c:a aac -movflags +faststart"));
    let json = r#"{"outputs":[{"kind":"mp4"},{"kind":"mp4","name":"small","max_width_px":80},{"kind":"audio"},
        {"kind":"poster","at_ms":2100}]}"#;
    let take = shoot(&source, &recipe(json)).unwrap();
    let frames: Vec<_> = take.report.outputs.iter().map(|made| made.frames).collect();
    assert_eq!(frames, [180, 180, 0, 1]);
    assert_eq!(done(&take, 0), [("video", Done::Copy), ("audio", Done::Copy)]);
    assert_eq!(done(&take, 1), [("video", Done::Transcode), ("audio", Done::Copy)]);
    assert_eq!(done(&take, 2), [("audio", Done::Copy)]);
    assert_eq!(packets(&file(&take, 0), "v"), packets(&source, "v"));
    assert_eq!(packets(&file(&take, 2), "a"), packets(&source, "a"));
    assert!(take.luma(3).0[0][0] > 180, "the poster is dark");
}

#[test]
fn sound_files_keep_their_packets_and_their_beep() {
    let beep = "aevalsrc=exprs='if(between(t,2,2.2),0.8*sin(2*PI*1000*t),0)':d=6:s=48000";
    for (name, format, encoding) in [
        ("beep.m4a", "m4a", "aac"),
        ("beep.mp3", "mp3", "libmp3lame"),
        ("beep.opus", "opus", "libopus"),
        ("beep.mka", "opus", "libopus"),
    ] {
        let source = clip_with(name, &["-f", "lavfi", "-i", beep, "-c:a", encoding]);
        let json = format!(r#"{{"outputs":[{{"kind":"audio","format":"{format}"}}]}}"#);
        let take = shoot(&source, &recipe(&json)).unwrap();
        assert_eq!(done(&take, 0), [("audio", Done::Copy)], "{name}");
        assert_eq!(packets(&file(&take, 0), "a"), packets(&source, "a"), "{name}");
        let beep = take.samples(0).iter().position(|sample| sample.abs() > 0.1).unwrap();
        assert!((beep / 48).abs_diff(2_000) <= 2, "{name}: beep at {} ms", beep / 48);
        let length = take.report.outputs[0].duration_us;
        assert!(length.abs_diff(6_000_000) < 50_000, "{name}: {length} us");
    }
}

#[test]
fn a_fast_trim_begins_with_the_keyframe_before_and_hides_it() {
    let source = numbered("numbered.mp4", H264);
    for (start, end, first, count, key) in [
        (r#""start":2"#, r#","end":4"#, 60, 60, 50),
        (r#""start":2.5,"#, r#""end":3.01"#, 75, 16, 75),
        (r#""start":0.3"#, "", 9, 231, 0),
        (r#""start":7"#, r#","end":100"#, 210, 30, 200),
        (r#""end":1"#, "", 0, 30, 0),
        (r#""start":2.02,"#, r#""end":2.1"#, 61, 2, 50),
    ] {
        let json = format!(r#"{{"trim":{{{start}{end},"mode":"fast"}},"outputs":[{{"kind":"mp4"}}]}}"#);
        let take = shoot(&source, &recipe(&json)).unwrap();
        assert_eq!(done(&take, 0), [("video", Done::Copy)], "{json}");
        let (_, made, _) = take.output(0);
        assert_eq!(numbers(&take), (first..first + count).collect::<Vec<_>>(), "{json}");
        assert_eq!(made.frames, u64::try_from(count).unwrap(), "{json}");
        let from = usize::try_from(made.packets_from_us.unwrap()).unwrap();
        assert_eq!((from * 30 + 500_000) / 1_000_000, key, "{json}: packets from {from} us");
        let raw = packets(&file(&take, 0), "v");
        assert_eq!(packets(&source, "v")[key..][..raw.len()], raw, "{json}");
    }
}

#[test]
fn the_sound_of_a_fast_trim_is_cut_with_it() {
    for (name, start, flash_ms) in [("right.mp4", "1.7", 300), ("right.mkv", "1.25", 750)] {
        let source = flash_and_beep(name, "", &format!("{H264} -c:a aac -movflags +faststart"));
        for (audio, sound) in [("", Done::Copy), (r#","audio":{"bitrate_bps":64000}"#, Done::Transcode)] {
            let json = format!(
                r#"{{"trim":{{"start":{start},"end":4.2,"mode":"fast"}},"outputs":[{{"kind":"mp4"{audio}}}]}}"#
            );
            let take = shoot(&source, &recipe(&json)).unwrap();
            assert_eq!(done(&take, 0), [("video", Done::Copy), ("audio", sound)], "{json}");
            let (flash, beep) = flash_and_beep_at(&take);
            assert!(flash.abs_diff(flash_ms) <= 34, "{json}: flash at {flash} ms");
            assert!(beep.abs_diff(flash_ms) <= 4, "{json}: beep at {beep} ms");
        }
    }
}

#[test]
fn a_fast_trim_of_a_webm_shows_its_keyframe() {
    let coded = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 10 -b:v 0 -g 25 -pix_fmt yuv420p";
    let source = numbered("numbered.webm", coded);
    let json = r#"{"trim":{"start":2,"end":3,"mode":"fast"},"outputs":[{"kind":"webm"}]}"#;
    let take = shoot(&source, &recipe(json)).unwrap();
    assert_eq!(done(&take, 0), [("video", Done::Copy)]);
    assert_eq!(numbers(&take), (50..90).collect::<Vec<_>>());
    let (_, made, checked) = take.output(0);
    assert_eq!(made.frames, 40);
    assert!(made.packets_from_us.unwrap().abs_diff(1_666_667) < 1_000, "{made:?}");
    assert_eq!(checked.probe.start_us, 0);
}

#[test]
fn the_index_tells_where_a_source_can_be_entered() {
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
fn plain_sound_is_told_from_the_rest() {
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
    for (place, byte) in (0_u32..).zip(&mut bytes[from..from + 2_000]) {
        *byte = if noise {
            (place + 1).wrapping_mul(2_654_435_761).to_le_bytes()[2]
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
        let take = shoot(&source, &recipe).unwrap();
        assert!(take.plan.copies(), "{name}");
        for noise in [false, true] {
            let (_folder, path) = damaged(&source, noise);
            let take = shoot(&path, &recipe).unwrap();
            assert!(!take.plan.copies(), "{name}, noise: {noise}");
            let told = take.report.warnings.iter().map(|warning| warning.code);
            assert_eq!(
                told.collect::<Vec<_>>(),
                [WarningCode::SourceDamaged],
                "{name}, noise: {noise}"
            );
        }
    }
}
