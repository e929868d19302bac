//! The choice of the constant frame rate for sources with missing frames or jittering timestamps. No frame is lost.

use crate::clips::{frame_number, numbered};
use crate::harness::{process, recipe};
use domain::plan::WarningCode;
use std::collections::BTreeSet;

#[test]
fn a_regular_rate_with_missing_frames_keeps_every_frame() {
    let h264 = "-c:v libx264 -preset ultrafast -crf 4 -pix_fmt yuv420p";
    for (name, encoding, fps) in [
        // An AVI with empty slots.
        (
            "empty-slots.avi",
            "-vf select='not(between(n,30,60))*not(eq(mod(n,3),1))' -vsync vfr -c:v mpeg4 -q:v 2".to_owned(),
            30.0,
        ),
        // A random half of the frames of 60 fps.
        (
            "random-half.mp4",
            format!("-vf settb=1/60,setpts=N,select='gt(random(1),0.5)' -r 60 -vsync vfr {h264}"),
            60.0,
        ),
        (
            "random-half.mkv",
            format!("-vf settb=1/60,setpts=N,select='gt(random(1),0.5)' -r 60 -vsync vfr {h264}"),
            60.0,
        ),
        (
            "every-second-then-all.avi",
            "-vf select='gte(n,120)+not(mod(n,2))' -vsync vfr -c:v mpeg4 -q:v 2".to_owned(),
            30.0,
        ),
        // A gap in a short recording lowers its average rate a little.
        (
            "one-gap.mp4",
            format!("-vf select='not(eq(n,50))*not(eq(n,51))' -vsync vfr {h264}"),
            30.0,
        ),
    ] {
        let source = numbered(name, &encoding);
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#)).unwrap();
        assert!((run.plan.fps.as_f64() - fps).abs() < 0.01, "{name}: {}", run.plan.fps);
        let dropped = |code| code == WarningCode::FramesDropped;
        assert!(
            !run.report.warnings.iter().any(|warning| dropped(warning.code)),
            "{name}: {:?}",
            run.report.warnings
        );
        let (frames, width, height) = run.luma(0);
        let seen: BTreeSet<_> = frames.iter().map(|luma| frame_number(luma, width, height)).collect();
        let counted = std::process::Command::new("ffprobe")
            .args(["-v", "error", "-count_packets", "-select_streams", "v:0"])
            .args(["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"])
            .arg(&source)
            .output()
            .unwrap();
        let counted: usize = String::from_utf8_lossy(&counted.stdout).trim().parse().unwrap();
        assert!(seen.len() + 1 >= counted, "{name}: {} of {counted}", seen.len());
    }
}

#[test]
fn half_of_the_base_rate_is_kept_when_every_second_slot_is_empty() {
    for (name, encoding) in [
        (
            "every-second.avi",
            "-vf select='not(mod(n,2))' -vsync vfr -c:v mpeg4 -q:v 2",
        ),
        (
            "fields.mkv",
            "-r 15 -c:v libx264 -preset ultrafast -crf 4 -pix_fmt yuv420p",
        ),
    ] {
        let run = process(&numbered(name, encoding), &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        assert!((run.plan.fps.as_f64() - 15.0).abs() < 0.01, "{name}: {}", run.plan.fps);
    }
}

#[test]
fn a_jittering_rate_becomes_its_average() {
    let h264 = "-c:v libx264 -preset ultrafast -crf 4 -pix_fmt yuv420p";
    for (name, clock) in [("jitter.mkv", 1_000), ("jitter.mp4", 90_000)] {
        let times = format!("settb=1/{clock},setpts=(N/30+(random(1)-0.5)*0.016)*{clock}");
        let encoding = format!("-vf {times} -enc_time_base 1/{clock} -vsync passthrough {h264}");
        let run = process(&numbered(name, &encoding), &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        assert!((run.plan.fps.as_f64() - 30.0).abs() < 0.5, "{name}: {}", run.plan.fps);
    }
}
