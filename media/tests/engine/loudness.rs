//! Loudness normalization to −16 LUFS (EBU R 128), measured with the `ebur128` filter of the `ffmpeg` command line.

use crate::clips::{clip, clip_with, flash_and_beep, real_clips};
use crate::harness::{Extras, Run, process, process_with, recipe};
use domain::plan::{Clips, CopyPolicy, StreamAction};
use domain::{Code, Limits};
use media::engine::{self, Cancel, Images, Inputs};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

const NORMALIZE: &str = r#"{"audio":{"mode":"normalize"},"outputs":[{"kind":"audio"}]}"#;

/// A clip of this audio without video.
fn audio_clip(name: &str, audio: &str, encoding: &str) -> PathBuf {
    let mut arguments = vec!["-f", "lavfi", "-i", audio];
    arguments.extend(encoding.split_whitespace());
    clip_with(name, &arguments)
}

/// The integrated loudness of an output in LUFS, and its true peak in dBTP.
fn measure(run: &Run, index: usize) -> (f64, f64) {
    let path = run.path(index);
    let output = Command::new("ffmpeg")
        .args(["-nostats", "-i"])
        .arg(path)
        .args(["-af", "ebur128=peak=true:framelog=verbose", "-f", "null", "-"])
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = &log[log.find("Summary:").unwrap()..];
    let number = |after: &str| {
        let rest = &summary[summary.find(after).unwrap() + after.len()..];
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    (number("I:"), number("Peak:"))
}

#[test]
fn loud_soft_and_peaky_audio_is_normalized_without_clipping() {
    // Noise with changing loudness, and a soft tone with short peaks far above it.
    let swell = "anoisesrc=c=pink:d=12:s=7:a=0.9,volume='0.1+0.9*abs(sin(t/2))':eval=frame";
    let spiky = "aevalsrc=exprs='0.03*sin(2*PI*440*t)+0.95*lt(mod(t,1),0.004)*sin(2*PI*3000*t)':d=12:s=48000";
    for (name, audio, encoding) in [
        ("soft.wav", "sine=f=500:d=6:r=48000,volume=-20dB", "-ac 2"),
        ("loud.wav", "anoisesrc=c=pink:d=6:a=1:s=3,volume=12dB", "-ac 2"),
        ("swell.flac", swell, "-ac 2"),
        ("spiky.flac", spiky, "-ac 2"),
        ("spiky-mono.flac", spiky, "-ac 1 -ar 44100"),
        ("around.flac", swell, "-af pan=5.1|c0=c0|c1=c0|c2=c0|c4=c0|c5=c0"),
    ] {
        let source = audio_clip(name, audio, encoding);
        let json = r#"{"audio":{"mode":"normalize"},"outputs":[{"kind":"audio"},{"kind":"audio","format":"opus"},
            {"kind":"audio","format":"mp3"}]}"#;
        let run = process(&source, &recipe(json)).unwrap();
        for index in 0..3 {
            let (lufs, peak) = measure(&run, index);
            assert!((lufs + 16.0).abs() <= 1.0, "{name}, {index}: {lufs} LUFS");
            assert!(peak <= -1.0, "{name}, {index}: {peak} dBTP");
        }
    }
}

#[test]
fn audio_is_normalized_beside_copied_video() {
    let arguments = "-f lavfi -i testsrc2=s=160x90:r=25:d=6 -f lavfi -i sine=f=500:d=6:r=48000 -af volume=-20dB
        -c:v libx264 -g 25 -pix_fmt yuv420p -c:a aac";
    let source = clip("soft.mp4", arguments);
    for (trim, output) in [
        ("", r#"{"kind":"mp4"}"#),
        (r#""trim":{"start":1.2,"mode":"fast"},"#, r#"{"kind":"mp4"}"#),
    ] {
        let json = format!(r#"{{{trim}"audio":{{"mode":"normalize"}},"outputs":[{output}]}}"#);
        let run = process(&source, &recipe(&json)).unwrap();
        let done: Vec<_> = run.plan.outputs[0].steps.iter().map(|step| step.action).collect();
        assert_eq!(done, [StreamAction::Copy, StreamAction::Transcode], "{json}");
        let (lufs, _) = measure(&run, 0);
        assert!((lufs + 16.0).abs() <= 1.0, "{json}: {lufs} LUFS");
    }
}

#[test]
fn audio_of_real_clips_is_normalized() {
    let known = ["bigbuckbunny_720p_5s", "flv__sample", "mkv__sample_with_srt"];
    let is_known = |path: &PathBuf| {
        known
            .iter()
            .any(|name| path.file_stem().is_some_and(|stem| stem == *name))
    };
    for source in real_clips().into_iter().filter(is_known) {
        let run = process(&source, &recipe(NORMALIZE)).unwrap();
        let (lufs, peak) = measure(&run, 0);
        assert!((lufs + 16.0).abs() <= 1.0, "{}: {lufs} LUFS", source.display());
        assert!(peak <= -1.0, "{}: {peak} dBTP", source.display());
    }
}

#[test]
fn video_and_audio_outputs_are_equally_loud_and_in_sync() {
    let source = flash_and_beep("sync.mp4", "", "-c:v libx264 -preset ultrafast -g 20 -bf 2 -c:a aac");
    let json = |mode: &str| {
        format!(
            r#"{{"audio":{{"mode":"{mode}"}},"trim":{{"start":0.5}},"outputs":[{{"kind":"mp4"}},{{"kind":"audio"}}]}}"#
        )
    };
    let first_loud = |run: &Run, index: usize, threshold: f32| {
        let samples = run.samples(index);
        let audio_peak = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        samples
            .iter()
            .position(|sample| sample.abs() > audio_peak * threshold)
            .unwrap()
    };
    let (kept, normalized) = (
        process(&source, &recipe(&json("keep"))).unwrap(),
        process(&source, &recipe(&json("normalize"))).unwrap(),
    );
    for index in [0, 1] {
        let (before, after) = (first_loud(&kept, index, 0.3), first_loud(&normalized, index, 0.3));
        assert!(before.abs_diff(after) <= 48, "{before} became {after}");
        assert_eq!(kept.samples(index).len(), normalized.samples(index).len());
    }
    assert_eq!(normalized.report.outputs[0].frames, 165);
    let (video, audio) = (measure(&normalized, 0), measure(&normalized, 1));
    assert!((video.0 - audio.0).abs() <= 0.3, "{video:?} and {audio:?}");
}

#[test]
fn loudness_is_measured_within_the_trim_ranges_only() {
    let audio = "sine=f=500:d=12:r=48000,volume='if(lt(t,6),1,0.02)':eval=frame";
    let source = audio_clip("half-soft.wav", audio, "-ac 2");
    let json = NORMALIZE.replacen(
        '{',
        r#"{"trim":{"ranges":[{"start":7,"end":9},{"start":9.5,"end":11.5}]},"#,
        1,
    );
    let run = process(&source, &recipe(&json)).unwrap();
    let (lufs, _) = measure(&run, 0);
    assert!((lufs + 16.0).abs() <= 0.5, "{lufs} LUFS");
}

#[test]
fn silence_and_very_short_audio_are_not_normalized() {
    let silence = audio_clip("silence.wav", "anullsrc=d=3:r=48000", "-ac 2");
    let run = process(&silence, &recipe(NORMALIZE)).unwrap();
    assert!(run.samples(0).iter().all(|sample| sample.abs() < 1e-4));
    let short = audio_clip("short.wav", "sine=f=500:d=0.3:r=48000", "-ac 2");
    let normal = process(&short, &recipe(NORMALIZE)).unwrap().samples(0);
    assert_eq!(
        normal,
        process(&short, &recipe(r#"{"outputs":[{"kind":"audio"}]}"#))
            .unwrap()
            .samples(0)
    );
}

#[test]
fn audio_of_a_bumper_clip_is_not_normalized() {
    let clip_with_tone = |name: &str, db: i32| {
        let audio = format!(
            "-f lavfi -i color=gray:s=64x64:r=30:d=2 -f lavfi -i sine=f=1000:d=2:r=48000 -af volume={db}dB -c:v libx264 \
             -c:a aac"
        );
        clip(name, &audio)
    };
    let (source, intro) = (
        clip_with_tone("loud-body.mp4", 12),
        clip_with_tone("soft-intro.mp4", -10),
    );
    let extras = Extras {
        intro: Some(&intro),
        ..Extras::default()
    };
    let json = r#"{"bumper":{},"audio":{"mode":"normalize"},"outputs":[{"kind":"mp4"}]}"#;
    let samples = process_with(&source, &extras, &recipe(json)).unwrap().samples(0);
    let peak = |from: usize| {
        samples[from..from + 48_000]
            .iter()
            .fold(0.0_f32, |peak, sample| peak.max(sample.abs()))
    };
    // The tone of the intro is at 1/8 of full scale, lowered by 10 dB. A mono tone of −16 LUFS has a peak of about −13
    // dB.
    assert!((peak(24_000) - 0.0395).abs() < 0.004, "{}", peak(24_000));
    assert!((peak(120_000) - 0.224).abs() < 0.03, "{}", peak(120_000));
}

#[test]
fn the_loudness_pass_can_be_canceled_before_any_file_is_created() {
    let source = audio_clip(
        "swell.flac",
        "anoisesrc=c=pink:d=12:s=7:a=0.9,volume='0.1+0.9*abs(sin(t/2))':eval=frame",
        "-ac 2",
    );
    let facts = crate::harness::probe(&source).unwrap();
    let (clips, copies) = (Clips::default(), CopyPolicy::default());
    let plan = domain::plan(&recipe(NORMALIZE), &facts, clips, &Limits::default(), copies).unwrap();
    let (scratch, cancel, images) = (tempfile::tempdir().unwrap(), Cancel::new(), Images::new());
    let inputs = Inputs {
        sources: &[File::open(&source).unwrap()],
        images: &images,
    };
    let mut progress = Vec::new();
    let failure = engine::transcode(
        &inputs,
        &plan,
        scratch.path(),
        2,
        &mut |step| {
            progress.push(step);
            cancel.raise();
        },
        &cancel,
    )
    .unwrap_err();
    assert_eq!(failure.code, Code::Unavailable);
    assert_eq!(progress.len(), 1);
    assert!(is_empty(scratch.path()));
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().unwrap().next().is_none()
}

#[test]
fn the_audio_stream_of_the_requested_language_is_used() {
    let arguments = "-f lavfi -i color=gray:s=64x64:r=30:d=2 -f lavfi -i sine=f=400:d=2 -f lavfi -i sine=f=1000:d=2 \
        -map 0 -map 1 -map 2 -metadata:s:a:0 language=eng -metadata:s:a:1 language=fra -c:v libx264 -c:a aac";
    let source = clip("two-languages.mkv", arguments);
    for (audio, expected) in [
        ("{}", 400),
        (r#"{"language":"fra"}"#, 1_000),
        (r#"{"language":"fra","mode":"normalize"}"#, 1_000),
        (r#"{"stream":1}"#, 1_000),
        (r#"{"language":"deu"}"#, 400),
    ] {
        let json =
            format!(r#"{{"audio":{audio},"outputs":[{{"kind":"mp4","video":{{"crf":30}}}},{{"kind":"audio"}}]}}"#);
        let run = process(&source, &recipe(&json)).unwrap();
        for index in [0, 1] {
            let samples = run.samples(index);
            let second = &samples[22_050..66_150];
            let crossings = second
                .windows(2)
                .filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0))
                .count();
            assert!((crossings / 2).abs_diff(expected) <= 3, "{audio}: {} Hz", crossings / 2);
        }
    }
}
