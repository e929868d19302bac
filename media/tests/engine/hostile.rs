//! Damaged and malicious sources, cancellation, and a full disk: each ends in an output or in a failure with a code.

use crate::clips::{clip, real_clips, temp_file};
use crate::harness::{inputs_of, plan, preset, probe, process, recipe};
use domain::plan::WarningCode;
use domain::{Code, FailureClass};
use media::engine::{self, Cancel};
use std::path::PathBuf;

/// An undamaged clip of 200 frames with `moov` at the beginning.
fn whole_clip() -> PathBuf {
    let arguments = "-f lavfi -i testsrc2=s=320x180:r=25:d=8 -f lavfi -i sine=d=8 -c:v libx264 -preset ultrafast -g 25 \
        -c:a aac -movflags +faststart";
    clip("whole.mp4", arguments)
}

fn whole() -> Vec<u8> {
    std::fs::read(whole_clip()).unwrap()
}

#[test]
fn files_that_are_not_media_are_refused() {
    let secret = clip("mono-48000.wav", "-f lavfi -i sine=f=300:r=48000:d=2");
    let secret = secret.to_str().unwrap();
    for (name, text) in [
        (
            "playlist.mp4",
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{secret}\n#EXT-X-ENDLIST\n"),
        ),
        (
            "subfile.mp4",
            format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsubfile,,start,0,end,9999,,:{secret}\n#EXT-X-ENDLIST\n"
            ),
        ),
        (
            "subfile-concat.mp4",
            format!("ffconcat version 1.0\nfile subfile,,start,0,end,9999,,:{secret}\n"),
        ),
        ("concat.mp4", format!("ffconcat version 1.0\nfile {secret}\n")),
        (
            "session.mp4",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n".to_owned(),
        ),
        (
            "dash.mp4",
            "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"><Period/></MPD>".to_owned(),
        ),
        ("text.mp4", "hello, world\n".repeat(500)),
        ("empty.mp4", String::new()),
    ] {
        let (_folder, path) = temp_file(name, text.as_bytes());
        let failure = probe(&path).unwrap_err();
        assert_eq!(failure.code, Code::NotMedia, "{name}");
    }
    let noise: Vec<u8> = (0..100_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[1])
        .collect();
    let (_folder, path) = temp_file("noise.mp4", &noise);
    assert_eq!(probe(&path).unwrap_err().class(), FailureClass::Input);
}

/// A `QuickTime` file whose data reference (`dref`) is an alias record with the absolute path of another file. Players
/// that follow it read the frames from there.
fn with_data_reference(target: &std::path::Path, source: &std::path::Path) -> Vec<u8> {
    let mut alias = vec![0_u8; 150];
    let path = target.to_str().unwrap().as_bytes();
    alias.extend([0, 2]);
    alias.extend(u16::try_from(path.len()).unwrap().to_be_bytes());
    alias.extend(path);
    alias.extend(vec![0; path.len() % 2]);
    alias.extend([0xff, 0xff, 0, 0]);
    let mut entry = u32::try_from(alias.len() + 12).unwrap().to_be_bytes().to_vec();
    entry.extend(*b"alis\0\0\0\0");
    entry.extend(alias);
    let mut bytes = std::fs::read(source).unwrap();
    // Replaces the entry for "in this file", the last 12 bytes of `dref`, and grows the boxes around it.
    let at = bytes.windows(4).rposition(|window| window == b"dref").unwrap() + 12;
    let grown = u32::try_from(entry.len() - 12).unwrap();
    bytes.splice(at..at + 12, entry);
    for name in [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"] {
        let at = bytes[..at].windows(4).rposition(|window| window == name).unwrap() - 4;
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) + grown;
        bytes[at..at + 4].copy_from_slice(&size.to_be_bytes());
    }
    bytes
}

#[test]
fn a_reference_to_another_file_is_not_followed() {
    let colored = |name: &str, color: &str| {
        clip(
            name,
            &format!("-f lavfi -i color={color}:s=64x64:r=10:d=1 -c:v prores_ks"),
        )
    };
    let (secret, cover) = (
        colored("secret-white.mov", "white"),
        colored("cover-black.mov", "black"),
    );
    let (_folder, path) = temp_file("dref.mov", &with_data_reference(&secret, &cover));
    let follows = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-enable_drefs", "1", "-use_absolute_path", "1", "-i"])
        .arg(&path)
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .output()
        .unwrap();
    assert!(
        follows.stdout.first() > Some(&200),
        "`ffmpeg` does not follow the reference either: {}",
        String::from_utf8_lossy(&follows.stderr)
    );
    match process(&path, &recipe(r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#)) {
        Ok(run) => assert!(
            run.luma(0).0.iter().flatten().all(|luma| *luma < 60),
            "frames of the other file"
        ),
        Err(failure) => assert_eq!(failure.class(), FailureClass::Input, "{failure}"),
    }
}

#[test]
fn a_still_image_is_refused_as_a_source() {
    let image = clip("cover.png", "-f lavfi -i color=blue:s=64x64 -frames:v 1");
    assert_eq!(probe(&image).unwrap_err().code, Code::NotMedia);
}

#[test]
fn an_mp4_without_moov_is_reported_as_damaged() {
    let arguments = "-f lavfi -i testsrc2=s=320x180:r=25:d=4 -c:v libx264 -preset ultrafast";
    let bytes = std::fs::read(clip("index-last.mp4", arguments)).unwrap();
    let (_folder, path) = temp_file("cut.mp4", &bytes[..bytes.len() * 2 / 3]);
    let failure = probe(&path).unwrap_err();
    assert_eq!(failure.code, Code::SourceDamaged);
}

#[test]
fn a_truncated_source_is_transcoded_and_the_loss_is_reported() {
    let bytes = whole();
    let (_folder, path) = temp_file("cut.mp4", &bytes[..bytes.len() / 2]);
    let run = process(&path, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
    let frames = run.report.outputs[0].frames;
    assert!((50..150).contains(&frames), "{frames}");
    let warning = run
        .report
        .warnings
        .iter()
        .find(|warning| warning.code == WarningCode::SourceDamaged)
        .unwrap();
    let lost: u64 = warning.detail.split(' ').next().unwrap().parse().unwrap();
    assert!(
        lost.abs_diff((200 - frames) * 40) < 400,
        "{lost} ms lost, {frames} frames"
    );
}

#[test]
fn garbage_in_the_middle_is_skipped_and_reported() {
    let mut bytes = whole();
    let (from, to) = (bytes.len() * 4 / 10, bytes.len() * 5 / 10);
    for (index, byte) in bytes[from..to].iter_mut().enumerate() {
        *byte = (index * 7 + 13).to_le_bytes()[0];
    }
    let (_folder, path) = temp_file("garbage.mp4", &bytes);
    let run = process(&path, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
    assert!(run.report.outputs[0].frames.abs_diff(200) <= 2);
    assert!(
        run.report
            .warnings
            .iter()
            .any(|warning| warning.code == WarningCode::SourceDamaged)
    );
}

#[test]
fn a_single_damaged_frame_is_reported_with_any_number_of_threads() {
    let source = clip(
        "scratch.mp4",
        "-f lavfi -i testsrc2=s=640x360:r=25:d=8 -c:v libx264 -preset medium -g 50 -pix_fmt yuv420p",
    );
    let ffprobe = std::process::Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "v",
            "-show_entries",
            "packet=pos,size",
            "-of",
            "csv=p=0",
        ])
        .arg(&source)
        .output()
        .unwrap();
    let listed = String::from_utf8(ffprobe.stdout).unwrap();
    let packet: Vec<usize> = listed
        .lines()
        .nth(10)
        .unwrap()
        .split(',')
        .map(|n| n.parse().unwrap())
        .collect();
    let mut bytes = std::fs::read(&source).unwrap();
    let from = packet[1] + packet[0] / 2;
    for (index, byte) in bytes[from..from + packet[0] / 4].iter_mut().enumerate() {
        *byte = (index * 37 + 11).to_le_bytes()[0];
    }
    let (_folder, path) = temp_file("scratch.mp4", &bytes);
    let encoded = recipe(r#"{"outputs":[{"kind":"mp4","video":{"speed":"fastest"}}]}"#);
    let plan = plan(&encoded, &probe(&path).unwrap()).unwrap();
    for threads in [1, 2, 4] {
        let scratch = tempfile::tempdir().unwrap();
        let source = std::fs::File::open(&path).unwrap();
        let inputs = inputs_of(std::slice::from_ref(&source));
        let report = engine::transcode(&inputs, &plan, scratch.path(), threads, &mut |_| {}, &Cancel::new()).unwrap();
        let details = report
            .warnings
            .iter()
            .map(|warning| warning.detail.split(',').next().unwrap());
        let reported: Vec<_> = details.collect();
        assert_eq!(reported, ["40 ms lost"], "{threads} threads");
    }
}

#[test]
fn an_mp4_with_an_empty_mdat_is_an_input_error() {
    let bytes = whole();
    let at = bytes.windows(4).position(|w| w == b"mdat").unwrap();
    let (_folder, path) = temp_file("headless.mp4", &bytes[..at + 4]);
    let failure = process(&path, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap_err();
    assert_eq!(failure.class(), FailureClass::Input, "{failure}");
}

#[test]
fn the_cancel_flag_stops_a_transcode() {
    let source = whole_clip();
    let plan = plan(&preset("web"), &probe(&source).unwrap()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let (cancel, already_raised) = (Cancel::new(), Cancel::new());
    already_raised.raise();
    let file = std::fs::File::open(&source).unwrap();
    for flag in [&already_raised, &cancel] {
        let other = cancel.clone();
        let result = engine::transcode(
            &inputs_of(std::slice::from_ref(&file)),
            &plan,
            scratch.path(),
            1,
            &mut |_| other.raise(),
            flag,
        );
        assert_eq!(result.unwrap_err().code, Code::Unavailable);
    }
}

#[test]
fn a_full_disk_is_reported_as_storage_full() {
    let source = whole_clip();
    let plan = plan(&preset("web"), &probe(&source).unwrap()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    for output in &plan.outputs {
        std::os::unix::fs::symlink("/dev/full", scratch.path().join(&output.file)).unwrap();
    }
    let file = std::fs::File::open(&source).unwrap();
    let failure = engine::transcode(
        &inputs_of(std::slice::from_ref(&file)),
        &plan,
        scratch.path(),
        1,
        &mut |_| {},
        &Cancel::new(),
    )
    .unwrap_err();
    assert_eq!(failure.code, Code::StorageFull, "{failure}");
}

/// Returns `true` when a sentence for users contains an error number or a log line of FFmpeg.
fn contains_raw_error(detail: &str) -> bool {
    let bytes = detail.as_bytes();
    let has_number = bytes.windows(4).enumerate().any(|(at, four)| {
        let is_start = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        is_start && four[0] == b'-' && four[1..].iter().all(u8::is_ascii_digit)
    });
    has_number || detail.contains(" @ ") || detail.contains("0x") || detail.contains("rror -")
}

#[test]
fn failure_details_contain_no_error_numbers_and_log_lines_of_ffmpeg() {
    assert!(
        contains_raw_error("reading: error -1094995529")
            && contains_raw_error("[mov @ 0x55d0c8a3] moov atom not found")
    );
    let video = "-f lavfi -i testsrc2=s=64x64:r=25:d=1 -f lavfi -i sine=d=1";
    let settings =
        recipe(r#"{"outputs":[{"kind":"mp4","video":{"speed":"fastest"}},{"kind":"audio"},{"kind":"poster"}]}"#);
    let (mut failures, mut details) = (0, Vec::new());
    for (extension, encoding) in [
        ("mp4", "-c:v libx264 -preset ultrafast -c:a aac -movflags +faststart"),
        (
            "mkv",
            "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a flac",
        ),
        ("webm", "-c:v libvpx -deadline realtime -c:a libopus"),
        ("ts", "-c:v mpeg2video -c:a ac3"),
        ("avi", "-c:v mpeg4 -c:a libmp3lame"),
        ("mov", "-c:v png -c:a pcm_s16le"),
        ("flv", "-c:v flv -ar 44100 -c:a libmp3lame"),
        ("asf", "-c:v wmv2 -c:a wmav2"),
        ("ogg", "-c:v libtheora -c:a libvorbis"),
        ("wav", "-map 1:a -c:a pcm_s24le"),
    ] {
        let bytes = std::fs::read(clip(&format!("details.{extension}"), &format!("{video} {encoding}"))).unwrap();
        let garbled = |from: usize, to: usize| {
            let mut bytes = bytes.clone();
            let to = to.min(bytes.len());
            for (index, byte) in bytes[from.min(to)..to].iter_mut().enumerate() {
                *byte = (index * 37 + 11).to_le_bytes()[0];
            }
            bytes
        };
        for (damage, bytes) in [
            ("undamaged", bytes.clone()),
            ("truncated early", bytes[..bytes.len() / 20].to_vec()),
            ("truncated in the middle", bytes[..bytes.len() / 2].to_vec()),
            ("garbled headers", garbled(40, 400)),
            ("garbled at a third", garbled(bytes.len() / 3, bytes.len() / 3 + 4_000)),
            ("garbled after the start", garbled(1_000, usize::MAX)),
        ] {
            let (_folder, path) = temp_file(&format!("details.{extension}"), &bytes);
            match process(&path, &settings) {
                Ok(run) => {
                    let warnings = run.plan.warnings.iter().chain(&run.report.warnings);
                    details.extend(warnings.map(|warning| format!("{extension}, {damage}: {}", warning.detail)));
                }
                Err(failure) => {
                    failures += 1;
                    details.push(format!("{extension}, {damage}: {}", failure.detail));
                }
            }
        }
    }
    let raw: Vec<_> = details.iter().filter(|detail| contains_raw_error(detail)).collect();
    assert!(raw.is_empty(), "{raw:#?}");
    assert!(failures >= 10 && details.len() > failures, "{details:#?}");
}

#[test]
fn every_real_clip_is_transcoded_or_fails_with_a_code() {
    for path in real_clips() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match process(&path, &preset("web")) {
            Ok(run) => println!(
                "{name}: {:?} {:?} {:?}",
                run.report.outputs[0], run.plan.warnings, run.report.warnings
            ),
            Err(failure) => {
                println!("{name}: {failure}");
                assert!(name.contains("malformed"), "{name}: {failure}");
                assert_eq!(failure.code, Code::SourceDamaged);
            }
        }
    }
}
