//! Progress of the stages of a transcode: slow stages advance, and a stalled one is reported.

use crate::clips::clip;
use crate::harness::{inputs_of, plan, probe, process, recipe};
use domain::protocol::Progress;
use media::engine::{self, Cancel};
use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn repeating_one_frame_for_an_hour_counts_as_progress() {
    let source = clip(
        "hour.mkv",
        "-f lavfi -i testsrc2=s=64x64:r=1/3600:d=7200 -frames:v 2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    );
    let still = r#"{"frame":{"fps":"10"},"outputs":[{"kind":"mp4","video":{"speed":"fastest"}}]}"#;
    let run = process(&source, &recipe(still)).unwrap();
    let frames = run.report.outputs[0].frames;
    assert!(frames >= 36_000, "{frames} frames");
    let last = run.progress.last().unwrap();
    assert!(
        last.items_processed >= frames,
        "{} of {frames} frames",
        last.items_processed
    );
    // Every event shows an advance, except for the last ones.
    let unchanged = run
        .progress
        .windows(2)
        .filter(|pair| pair[0].items_processed == pair[1].items_processed)
        .count();
    assert!(unchanged <= 2, "{:?}", run.progress);
}

/// Time without an advance that counts as a stall; more than a stage needs for a packet on a busy machine.
const STALL_MS: u64 = 3_000;

#[test]
fn a_stalled_output_is_reported_in_progress_events() {
    let source = clip(
        "long-audio.mkv",
        "-f lavfi -i testsrc2=s=64x64:r=10:d=60 -f lavfi -i anoisesrc=d=60:r=44100 -c:v libx264 -preset ultrafast -c:a flac",
    );
    let outputs = recipe(r#"{"outputs":[{"kind":"mp4","video":{"speed":"fastest"}},{"kind":"audio","format":"mp3"}]}"#);
    let plan = plan(&outputs, &probe(&source).unwrap()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    // The second output is a pipe that is not read, so it blocks after 64 KiB.
    let path = scratch.path().join(&plan.outputs[1].file);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let pipe = File::options().read(true).write(true).open(&path).unwrap();
    let (started, mut stalled, mut is_drained) = (Instant::now(), None, false);
    let mut on_progress = |progress: Progress| {
        stalled = stalled.or((progress.stalled_ms >= STALL_MS).then_some(progress.items_processed));
        if !is_drained && (stalled.is_some() || started.elapsed() > Duration::from_secs(60)) {
            is_drained = true;
            let mut end = pipe.try_clone().unwrap();
            std::thread::spawn(move || std::io::copy(&mut end, &mut std::io::sink()));
        }
    };
    let sources = [File::open(&source).unwrap()];
    let result = engine::transcode(
        &inputs_of(&sources),
        &plan,
        scratch.path(),
        2,
        &mut on_progress,
        &Cancel::new(),
    );
    assert!(stalled.is_some_and(|items| items > 0), "{stalled:?}, {result:?}");
}
