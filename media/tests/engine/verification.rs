//! Verification of single files and sprites: damage between transcode and verification is detected. HLS outputs are in
//! [`super::hls_verification`].

use crate::clips::clip;
use crate::harness::{Run, process, recipe};
use domain::Code;
use domain::plan::StreamAction;
use domain::protocol::VerifyDepth;
use media::engine::{self, Cancel};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Outputs of every kind that is a single file.
const FILES: &str = r#"{"outputs":[
    {"kind":"mp4"}, {"kind":"mp4","name":"small","max_width_px":64}, {"kind":"mp4","name":"newer","video":{"codec":"h265"}},
    {"kind":"webm"}, {"kind":"audio"}, {"kind":"audio","format":"mp3"}, {"kind":"audio","format":"opus"},
    {"kind":"gif","width_px":64}, {"kind":"poster"}, {"kind":"poster","name":"narrow","width_px":64},
    {"kind":"poster","format":"png"}, {"kind":"poster","format":"webp"}]}"#;

/// Four seconds of video and audio.
fn source() -> PathBuf {
    let arguments = "-f lavfi -i testsrc2=s=128x72:r=25:d=4 -f lavfi -i sine=d=4 -c:v libx264 -preset ultrafast \
        -pix_fmt yuv420p -c:a aac";
    clip("verified.mp4", arguments)
}

/// Verifies an output in its current state. Returns the detail of the failure, if any.
fn verify(run: &Run, index: usize) -> Option<String> {
    verify_at(run, index, VerifyDepth::Fast)
}

/// As [`verify`], at this depth.
fn verify_at(run: &Run, index: usize, depth: VerifyDepth) -> Option<String> {
    let planned = &run.plan.outputs[index];
    let checked = engine::verify(
        run.scratch.path(),
        planned,
        &run.report.outputs[index],
        depth,
        &Cancel::new(),
    );
    let verified =
        checked.and_then(|checked| domain::plan::verify(&run.plan, planned, &run.report.outputs[index], &checked));
    let failure = verified.err()?;
    assert_eq!(failure.code, Code::OutputInvalid, "{failure}");
    Some(failure.detail)
}

/// Damages one output after the other, verifies and restores it. Returns the names of outputs whose damage was not
/// detected.
fn undetected(run: &Run, damage: impl Fn(&Path, &[u8])) -> Vec<String> {
    let mut undetected = Vec::new();
    for (index, planned) in run.plan.outputs.iter().enumerate() {
        let path = run.scratch.path().join(&planned.file);
        let whole = fs::read(&path).unwrap();
        damage(&path, &whole);
        if verify(run, index).is_none() {
            undetected.push(planned.file.clone());
        }
        fs::write(&path, whole).unwrap();
        assert_eq!(verify(run, index), None, "{} is restored", planned.file);
    }
    undetected
}

#[test]
fn truncated_empty_and_missing_outputs_of_every_kind_are_detected() {
    let run = process(&source(), &recipe(FILES)).unwrap();
    for (kept, of) in [(19, 20), (1, 2), (1, 20), (0, 1)] {
        let cut = undetected(&run, |path, whole| {
            fs::write(path, &whole[..whole.len() * kept / of]).unwrap();
        });
        assert!(cut.is_empty(), "{kept}/{of} of it: {cut:?}");
    }
    let gone = undetected(&run, |path, _| fs::remove_file(path).unwrap());
    assert!(gone.is_empty(), "{gone:?}");
}

#[test]
fn a_swapped_output_of_every_kind_is_detected() {
    let run = process(&source(), &recipe(FILES)).unwrap();
    for other in &run.plan.outputs {
        let other_bytes = fs::read(run.scratch.path().join(&other.file)).unwrap();
        let swapped = undetected(&run, |path, _| fs::write(path, &other_bytes).unwrap());
        assert_eq!(swapped, [other.file.as_str()], "only an output may replace itself");
    }
}

#[test]
fn damage_in_the_middle_is_detected_at_full_depth() {
    let long = "-f lavfi -i testsrc2=s=128x72:r=25:d=12 -f lavfi -i sine=d=12 -c:v libx264 -preset ultrafast -c:a aac";
    let outputs = r#"{"outputs":[{"kind":"mp4","video":{"crf":20}}, {"kind":"mp4","name":"newer","video":{"codec":"h265"}},
        {"kind":"webm"}, {"kind":"audio","bitrate_bps":64000}, {"kind":"audio","format":"mp3"}]}"#;
    let run = process(&clip("verified-long.mp4", long), &recipe(outputs)).unwrap();
    let mut passed = Vec::new();
    for (index, planned) in run.plan.outputs.iter().enumerate() {
        assert_eq!(verify_at(&run, index, VerifyDepth::Full), None, "{}", planned.file);
        let path = run.scratch.path().join(&planned.file);
        let mut bytes = fs::read(&path).unwrap();
        // A tenth of the file. Less damage may decode without errors, because most bit patterns are legal.
        let (from, to) = (bytes.len() * 9 / 20, bytes.len() * 11 / 20);
        bytes[from..to].fill(0xaa);
        fs::write(&path, bytes).unwrap();
        assert!(verify_at(&run, index, VerifyDepth::Full).is_some(), "{}", planned.file);
        if verify(&run, index).is_none() {
            passed.push(planned.file.as_str());
        }
    }
    assert!(
        !passed.is_empty(),
        "the damage is within the GOPs that are decoded at any depth"
    );
}

#[test]
fn damage_after_the_first_second_of_the_only_gop_is_detected() {
    let short = "-f lavfi -i testsrc2=s=128x72:r=25:d=1.9 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let outputs = r#"{"outputs":[{"kind":"mp4"}, {"kind":"webm"}, {"kind":"gif","width_px":64}]}"#;
    let run = process(&clip("verified-short.mp4", short), &recipe(outputs)).unwrap();
    let late = undetected(&run, |path, whole| {
        let mut bytes = whole.to_vec();
        bytes[whole.len() * 7 / 10..whole.len() * 17 / 20].fill(0xaa);
        fs::write(path, bytes).unwrap();
    });
    assert!(late.is_empty(), "{late:?}");
}

#[test]
fn an_audio_output_without_a_duration_is_detected() {
    let run = process(&source(), &recipe(r#"{"outputs":[{"kind":"audio"}]}"#)).unwrap();
    let headers_only = |path: &Path, _: &[u8]| {
        let mut command = Command::new("ffmpeg");
        command.args([
            "-v", "error", "-y", "-f", "lavfi", "-i", "sine", "-t", "0", "-c:a", "aac",
        ]);
        let status = command
            .args(["-movflags", "empty_moov+frag_keyframe"])
            .arg(path)
            .status();
        assert!(status.unwrap().success());
    };
    assert!(undetected(&run, headers_only).is_empty());
}

#[test]
fn a_video_output_that_lost_a_stream_or_a_second_is_detected() {
    let run = process(&source(), &recipe(r#"{"outputs":[{"kind":"mp4"},{"kind":"webm"}]}"#)).unwrap();
    for lost in ["-an", "-vn", "-t 3"] {
        let passed = undetected(&run, |path, _| {
            let temporary = path.with_file_name(format!("temporary-{}", path.file_name().unwrap().to_string_lossy()));
            let mut command = Command::new("ffmpeg");
            let lost: Vec<_> = lost.split(' ').collect();
            command
                .args(["-v", "error", "-y", "-i"])
                .arg(path)
                .args(["-c", "copy"])
                .args(lost);
            assert!(
                command
                    .args(["-movflags", "+faststart"])
                    .arg(&temporary)
                    .status()
                    .unwrap()
                    .success()
            );
            fs::rename(temporary, path).unwrap();
        });
        assert!(passed.is_empty(), "{lost}: {passed:?}");
    }
}

/// Outputs of every kind that has audio.
const WITH_AUDIO: &str = r#"{"outputs":[
    {"kind":"mp4"}, {"kind":"webm"}, {"kind":"audio"}, {"kind":"audio","format":"mp3"},
    {"kind":"audio","format":"opus"}]}"#;

/// Replaces the audio by silence of the same length and codec.
fn mute(path: &Path) {
    let codec = match path.extension().unwrap().to_str().unwrap() {
        "mp3" => "libmp3lame",
        "webm" | "opus" | "ogg" => "libopus",
        _ => "aac",
    };
    let temporary = path.with_file_name(format!("temporary-{}", path.file_name().unwrap().to_string_lossy()));
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-i"]).arg(path);
    command.args(["-c:v", "copy", "-af", "volume=0", "-c:a", codec]);
    let status = command.args(["-movflags", "+faststart"]).arg(&temporary).status();
    assert!(status.unwrap().success());
    fs::rename(temporary, path).unwrap();
}

/// Outputs with copied packets.
const COPIED: &str = r#"{"outputs":[
    {"kind":"mp4"}, {"kind":"audio"}, {"kind":"mp4","name":"audio-copied","video":{"crf":40}},
    {"kind":"mp4","name":"video-copied","audio":{"bitrate_bps":64000}}, {"kind":"hls","ladder":[36]}]}"#;

#[test]
fn muted_audio_and_single_bit_errors_of_copied_packets_are_detected() {
    let run = process(&source(), &recipe(COPIED)).unwrap();
    let steps = |index: usize| run.plan.outputs[index].steps.iter();
    let copied = |index: usize| steps(index).filter(|step| step.action == StreamAction::Copy).count();
    assert_eq!([0, 1, 2, 3, 4].map(copied), [2, 1, 1, 1, 1]);
    let path = |file: &str| run.scratch.path().join(file);
    for (index, file, damage) in [
        (0, "video.mp4", &mute as &dyn Fn(&Path)),
        (1, "audio.m4a", &mute),
        (2, "audio-copied.mp4", &mute),
        (3, "video-copied.mp4", &mute),
        (0, "video.mp4", &|path| flip_bit(path, 7, 10)),
        (0, "video.mp4", &|path| flip_bit(path, 19, 20)),
        (1, "audio.m4a", &|path| flip_bit(path, 1, 2)),
        (4, "hls/audio-0001.m4s", &|path| flip_bit(path, 9, 10)),
    ] {
        let whole = fs::read(path(file)).unwrap();
        damage(&path(file));
        assert!(verify(&run, index).is_some(), "{file}");
        fs::write(path(file), whole).unwrap();
        assert_eq!(verify(&run, index), None, "{file} is restored");
    }
}

/// Flips a bit of a file at `part / of` of its length.
fn flip_bit(path: &Path, part: usize, of: usize) {
    let mut bytes = fs::read(path).unwrap();
    let index = bytes.len() * part / of;
    bytes[index] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Runs [`WITH_AUDIO`] on a video with this audio.
fn process_audio(name: &str, audio: &str) -> Run {
    let video = "-f lavfi -i testsrc2=s=128x72:r=25 -f lavfi -i";
    let codecs = "-shortest -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a flac";
    let source = clip(name, &format!("{video} {audio} {codecs}"));
    process(&source, &recipe(WITH_AUDIO)).unwrap()
}

#[test]
fn a_muted_output_of_every_kind_is_detected() {
    let run = process_audio("tone.mkv", "sine=d=4");
    let passed = undetected(&run, |path, _| mute(path));
    assert!(passed.is_empty(), "{passed:?}");
}

#[test]
fn a_muted_short_beep_in_a_minute_of_silence_is_detected() {
    let beep = "aevalsrc=exprs=0.2*sin(2*PI*700*t)*between(t\\,41\\,41.05):d=60:s=48000";
    let run = process_audio("beep.mkv", beep);
    for made in &run.report.outputs {
        let audio_peak = made.audio_peak.unwrap();
        assert!((40_990_000..41_060_000).contains(&audio_peak.at_us), "{made:?}");
    }
    let passed = undetected(&run, |path, _| mute(path));
    assert!(passed.is_empty(), "{passed:?}");
}

#[test]
fn audio_that_encoders_may_drop_is_not_checked() {
    for (name, audio) in [
        ("silent.mkv", "anullsrc=d=2"),
        ("hush.mkv", "anoisesrc=d=2:a=0.001"),
        ("shrill.mkv", "aevalsrc=exprs=0.9*sin(2*PI*19000*t):d=2:s=48000"),
    ] {
        let run = process_audio(name, audio);
        assert!(
            run.report.outputs.iter().all(|made| made.audio_peak.is_none()),
            "{name}"
        );
    }
}

#[test]
fn audio_that_encoders_change_strongly_passes_the_check() {
    // A constant value is silent, except for a click at its end if the video is longer. So no peak is expected.
    process_audio("constant.mkv", "aevalsrc=exprs=0.5:d=2");
    for (name, audio) in [
        ("click.mkv", "aevalsrc=exprs=0.9*eq(n\\,48000):d=2:s=48000"),
        ("deep.mkv", "aevalsrc=exprs=0.9*sin(2*PI*30*t):d=2:s=48000"),
        ("noise.mkv", "anoisesrc=d=2"),
    ] {
        let run = process_audio(name, audio);
        assert!(
            run.report.outputs.iter().all(|made| made.audio_peak.is_some()),
            "{name}"
        );
    }
}

#[test]
fn a_sprite_that_lost_a_sheet_or_a_cue_is_detected() {
    let json = r#"{"outputs":[{"kind":"sprite","every_ms":500,"width_px":32}]}"#;
    let run = process(&source(), &recipe(json)).unwrap();
    let folder = run.path(0);
    let files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() >= 2, "{files:?}");
    for path in files {
        let whole = fs::read(&path).unwrap();
        for kept in [0, whole.len() / 2, whole.len() * 9 / 10] {
            fs::write(&path, &whole[..kept]).unwrap();
            assert!(verify(&run, 0).is_some(), "{kept} bytes of {}", path.display());
        }
        fs::remove_file(&path).unwrap();
        assert!(verify(&run, 0).is_some(), "without {}", path.display());
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(verify(&run, 0), None);
}
