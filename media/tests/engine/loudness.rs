//! Loudness is brought to −16 LUFS (EBU R 128), as FFmpeg's own meter hears it, and nothing else changes.

use crate::clips::{clip, clip_with, flash_and_beep, real_clips};
use crate::studio::{Props, Take, recipe, shoot, shoot_with};
use domain::plan::{Clips, Done};
use domain::{Code, Limits};
use media::engine::{self, Cancel, Images, Inputs};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

const NORMAL: &str = r#"{"audio":{"mode":"normalize"},"outputs":[{"kind":"audio"}]}"#;

fn heard(name: &str, sound: &str, encoding: &str) -> PathBuf {
    let mut arguments = vec!["-f", "lavfi", "-i", sound];
    arguments.extend(encoding.split_whitespace());
    clip_with(name, &arguments)
}

/// Integrated loudness in LUFS and the highest true peak in dBTP.
fn meter(take: &Take, place: usize) -> (f64, f64) {
    let path = take.scratch.path().join(&take.plan.outputs[place].file);
    let told = Command::new("ffmpeg")
        .args(["-nostats", "-i"])
        .arg(path)
        .args(["-af", "ebur128=peak=true:framelog=verbose", "-f", "null", "-"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    let summary = &told[told.find("Summary:").unwrap()..];
    let number = |after: &str| {
        let rest = &summary[summary.find(after).unwrap() + after.len()..];
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    (number("I:"), number("Peak:"))
}

#[test]
fn loud_and_soft_and_spiky_sound_becomes_equally_loud_without_clipping() {
    // A piece of music: noise that swells, and the same with spikes far above it.
    let swell = "anoisesrc=c=pink:d=12:s=7:a=0.9,volume='0.1+0.9*abs(sin(t/2))':eval=frame";
    let spiky = "aevalsrc=exprs='0.03*sin(2*PI*440*t)+0.95*lt(mod(t,1),0.004)*sin(2*PI*3000*t)':d=12:s=48000";
    for (name, sound, encoding) in [
        ("soft.wav", "sine=f=500:d=6:r=48000,volume=-20dB", "-ac 2"),
        ("loud.wav", "anoisesrc=c=pink:d=6:a=1:s=3,volume=12dB", "-ac 2"),
        ("swell.flac", swell, "-ac 2"),
        ("spiky.flac", spiky, "-ac 2"),
        ("spiky-mono.flac", spiky, "-ac 1 -ar 44100"),
        ("around.flac", swell, "-af pan=5.1|c0=c0|c1=c0|c2=c0|c4=c0|c5=c0"),
    ] {
        let source = heard(name, sound, encoding);
        let json = r#"{"audio":{"mode":"normalize"},"outputs":[{"kind":"audio"},{"kind":"audio","format":"opus"},
            {"kind":"audio","format":"mp3"}]}"#;
        let take = shoot(&source, &recipe(json)).unwrap();
        for place in 0..3 {
            let (lufs, peak) = meter(&take, place);
            assert!((lufs + 16.0).abs() <= 1.0, "{name}, {place}: {lufs} LUFS");
            assert!(peak <= -1.0, "{name}, {place}: {peak} dBTP");
        }
    }
}

#[test]
fn sound_becomes_equally_loud_beside_copied_pictures() {
    let arguments = "-f lavfi -i testsrc2=s=160x90:r=25:d=6 -f lavfi -i sine=f=500:d=6:r=48000 -af volume=-20dB
        -c:v libx264 -g 25 -pix_fmt yuv420p -c:a aac";
    let source = clip("soft.mp4", arguments);
    for (trim, output) in [
        ("", r#"{"kind":"mp4"}"#),
        (r#""trim":{"start":1.2,"mode":"fast"},"#, r#"{"kind":"mp4"}"#),
    ] {
        let json = format!(r#"{{{trim}"audio":{{"mode":"normalize"}},"outputs":[{output}]}}"#);
        let take = shoot(&source, &recipe(&json)).unwrap();
        let done: Vec<_> = take.plan.outputs[0].steps.iter().map(|step| step.done).collect();
        assert_eq!(done, [Done::Copy, Done::Transcode], "{json}");
        let (lufs, _) = meter(&take, 0);
        assert!((lufs + 16.0).abs() <= 1.0, "{json}: {lufs} LUFS");
    }
}

#[test]
fn real_sound_becomes_equally_loud() {
    let known = ["bigbuckbunny_720p_5s", "flv__sample", "mkv__sample_with_srt"];
    let is_known = |path: &PathBuf| {
        known
            .iter()
            .any(|name| path.file_stem().is_some_and(|stem| stem == *name))
    };
    for source in real_clips().into_iter().filter(is_known) {
        let take = shoot(&source, &recipe(NORMAL)).unwrap();
        let (lufs, peak) = meter(&take, 0);
        assert!((lufs + 16.0).abs() <= 1.0, "{}: {lufs} LUFS", source.display());
        assert!(peak <= -1.0, "{}: {peak} dBTP", source.display());
    }
}

#[test]
fn the_film_and_its_sound_alone_are_equally_loud_and_in_step() {
    let source = flash_and_beep("sync.mp4", "", "-c:v libx264 -preset ultrafast -g 20 -bf 2 -c:a aac");
    let json = |mode: &str| {
        format!(
            r#"{{"audio":{{"mode":"{mode}"}},"trim":{{"start":0.5}},"outputs":[{{"kind":"mp4"}},{{"kind":"audio"}}]}}"#
        )
    };
    let first = |take: &Take, place: usize, from: f32| {
        let samples = take.samples(place);
        let loudest = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        samples.iter().position(|sample| sample.abs() > loudest * from).unwrap()
    };
    let (kept, level) = (
        shoot(&source, &recipe(&json("keep"))).unwrap(),
        shoot(&source, &recipe(&json("normalize"))).unwrap(),
    );
    for place in [0, 1] {
        let (before, after) = (first(&kept, place, 0.3), first(&level, place, 0.3));
        assert!(before.abs_diff(after) <= 48, "{before} became {after}");
        assert_eq!(kept.samples(place).len(), level.samples(place).len());
    }
    assert_eq!(level.report.outputs[0].frames, 165);
    let (film, alone) = (meter(&level, 0), meter(&level, 1));
    assert!((film.0 - alone.0).abs() <= 0.3, "{film:?} and {alone:?}");
}

#[test]
fn only_what_is_kept_is_measured() {
    let sound = "sine=f=500:d=12:r=48000,volume='if(lt(t,6),1,0.02)':eval=frame";
    let source = heard("half-soft.wav", sound, "-ac 2");
    let json = NORMAL.replacen(
        '{',
        r#"{"trim":{"ranges":[{"start":7,"end":9},{"start":9.5,"end":11.5}]},"#,
        1,
    );
    let take = shoot(&source, &recipe(&json)).unwrap();
    let (lufs, _) = meter(&take, 0);
    assert!((lufs + 16.0).abs() <= 0.5, "{lufs} LUFS");
}

#[test]
fn silence_and_what_is_too_short_to_measure_stay_as_they_are() {
    let silence = heard("silence.wav", "anullsrc=d=3:r=48000", "-ac 2");
    let take = shoot(&silence, &recipe(NORMAL)).unwrap();
    assert!(take.samples(0).iter().all(|sample| sample.abs() < 1e-4));
    let short = heard("short.wav", "sine=f=500:d=0.3:r=48000", "-ac 2");
    let normal = shoot(&short, &recipe(NORMAL)).unwrap().samples(0);
    assert_eq!(
        normal,
        shoot(&short, &recipe(r#"{"outputs":[{"kind":"audio"}]}"#))
            .unwrap()
            .samples(0)
    );
}

#[test]
fn the_sound_of_a_bumper_keeps_its_own_loudness() {
    let body = |name: &str, db: i32| {
        let sound = format!(
            "-f lavfi -i color=gray:s=64x64:r=30:d=2 -f lavfi -i sine=f=1000:d=2:r=48000 -af volume={db}dB -c:v libx264 \
             -c:a aac"
        );
        clip(name, &sound)
    };
    let (source, intro) = (body("loud-body.mp4", 12), body("soft-intro.mp4", -10));
    let props = Props {
        intro: Some(&intro),
        ..Props::default()
    };
    let json = r#"{"bumper":{},"audio":{"mode":"normalize"},"outputs":[{"kind":"mp4"}]}"#;
    let samples = shoot_with(&source, &props, &recipe(json)).unwrap().samples(0);
    let peak = |from: usize| {
        samples[from..from + 48_000]
            .iter()
            .fold(0.0_f32, |peak, sample| peak.max(sample.abs()))
    };
    // The tone has an eighth of full scale, less ten decibels; a mono tone of −16 LUFS has a peak of about −13 dB.
    assert!((peak(24_000) - 0.0395).abs() < 0.004, "{}", peak(24_000));
    assert!((peak(120_000) - 0.224).abs() < 0.03, "{}", peak(120_000));
}

#[test]
fn the_first_pass_can_be_canceled_before_any_file_is_begun() {
    let source = heard(
        "swell.flac",
        "anoisesrc=c=pink:d=12:s=7:a=0.9,volume='0.1+0.9*abs(sin(t/2))':eval=frame",
        "-ac 2",
    );
    let facts = crate::studio::probe(&source).unwrap();
    let plan = domain::plan(&recipe(NORMAL), &facts, Clips::default(), &Limits::default()).unwrap();
    let (scratch, cancel, images) = (tempfile::tempdir().unwrap(), Cancel::new(), Images::new());
    let footage = Inputs {
        sources: &[File::open(&source).unwrap()],
        images: &images,
    };
    let mut told = Vec::new();
    let failure = engine::transcode(
        &footage,
        &plan,
        scratch.path(),
        2,
        &mut |step| {
            told.push(step);
            cancel.raise();
        },
        &cancel,
    )
    .unwrap_err();
    assert_eq!(failure.code, Code::Unavailable);
    assert_eq!(told.len(), 1);
    assert!(is_empty(scratch.path()));
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().unwrap().next().is_none()
}

#[test]
fn the_stream_of_the_language_that_was_asked_for_is_heard() {
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
        let take = shoot(&source, &recipe(&json)).unwrap();
        for place in [0, 1] {
            let samples = take.samples(place);
            let heard = &samples[22_050..66_150];
            let crossings = heard
                .windows(2)
                .filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0))
                .count();
            assert!((crossings / 2).abs_diff(expected) <= 3, "{audio}: {} Hz", crossings / 2);
        }
    }
}
