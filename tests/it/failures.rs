//! Files that cannot become what was asked: a typed end each, told in the caller's language.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tests::clip::{self, Clip};
use tests::{Caller, Options, TestApp};

/// The error of a task that must fail.
async fn failed(caller: &Caller, file: &Path, parts: &[(&'static str, &str)]) -> Value {
    let task = caller.ended(caller.task(file, parts).await).await;
    assert_eq!(task["status"], "failed", "{task}");
    assert_eq!((&task["download"], &task["outputs"]), (&json!([]), &json!([])));
    assert!(task["finished_at"].is_string());
    task["error"].clone()
}

/// The first `keep` thousandths of a file.
fn cut(file: &Path, keep: usize) -> PathBuf {
    let bytes = std::fs::read(file).unwrap();
    let path = file.with_extension(format!("{keep}.mp4"));
    std::fs::write(&path, &bytes[..bytes.len() * keep / 1_000]).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_what_an_output_needs_fails_with_its_code() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let directory = app.directory.path();
    let sound = directory.join("sound.m4a");
    clip::ffmpeg(&["-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac"], &sound);
    let error = failed(&caller, &sound, &[]).await;
    assert_eq!(
        (&error["code"], &error["message"]),
        (&"no_video_stream".into(), &"El archivo no tiene video".into())
    );

    let silent = Clip {
        sound: false,
        ..Clip::default()
    }
    .make(directory);
    let audio = json!({ "outputs": [{ "kind": "audio" }] }).to_string();
    let error = failed(&caller, &silent, &[("recipe", &audio)]).await;
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&"no_audio_stream".into(), &false.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_file_fails_or_says_what_was_lost() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let whole = Clip {
        seconds: 4.0,
        ..Clip::default()
    }
    .make(app.directory.path());
    // The index of this file is at its end and is gone.
    assert_eq!(failed(&caller, &cut(&whole, 900), &[]).await["code"], "source_damaged");

    let first = app.directory.path().join("index-first.mp4");
    clip::ffmpeg(
        &["-i", whole.to_str().unwrap(), "-c", "copy", "-movflags", "+faststart"],
        &first,
    );
    let task = caller.processed(&cut(&first, 600), &[]).await;
    let warnings = task["report"]["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().any(|warning| warning["code"] == "source_damaged"),
        "never a silent short success: {task}"
    );
    assert!(task["outputs"][0]["duration_ms"].as_u64() < Some(3_500));
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_were_copied_and_turn_out_to_be_damaged_are_made_a_second_time() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let whole = Clip::default().make(app.directory.path());
    let mut bytes = std::fs::read(&whole).unwrap();
    let media = bytes.windows(4).position(|four| four == b"mdat").unwrap();
    // The index at the end stays whole: nothing tells of the damage before it is decoded.
    let middle = (media + bytes.len()) / 2;
    bytes[middle..middle + 400].fill(0x5a);
    let damaged = whole.with_extension("damaged.mp4");
    std::fs::write(&damaged, bytes).unwrap();

    let recipe = json!({ "outputs": [{ "kind": "mp4" }] }).to_string();
    let sound = caller.processed(&whole, &[("recipe", &recipe)]).await;
    let steps = |task: &Value| task["report"]["outputs"][0]["steps"].clone();
    assert_eq!(steps(&sound)[0]["done"], "copy", "{sound}");
    let task = caller.processed(&damaged, &[("recipe", &recipe)]).await;
    for step in steps(&task).as_array().unwrap() {
        let why = "the first attempt to copy it found damaged packets or changing headers";
        assert_eq!((&step["done"], &step["reason"]), (&"transcode".into(), &why.into()));
    }
    let warnings = task["report"]["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().any(|warning| warning["code"] == "source_damaged"),
        "{task}"
    );
    let made = clip::facts(task["download"][0].as_str().unwrap());
    assert_eq!(made["streams"][0]["nb_read_packets"], "50");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_over_the_limits_is_refused_with_both_values() {
    let config = |config: &mut backend::Config| config.limits.max_duration_us = 1_000_000;
    let app = TestApp::with(Options {
        config,
        ..Options::default()
    })
    .await;
    let caller = app.caller().await;
    let error = failed(&caller, &Clip::default().make(app.directory.path()), &[]).await;
    assert_eq!(error["code"], "duration_too_long");
    let english = caller
        .request(reqwest::Method::GET, "/api/tasks/1")
        .header("accept-language", "en-GB");
    let task: Value = english.send().await.unwrap().json().await.unwrap();
    assert_eq!(task["error"]["message"], "The video is too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_behind_a_good_beginning_ends_with_a_code() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let mut bytes = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    for byte in bytes.iter_mut().skip(64).step_by(3) {
        *byte = 0x5a;
    }
    let path = app.directory.path().join("garbage.mp4");
    std::fs::write(&path, bytes).unwrap();
    let code = failed(&caller, &path, &[]).await["code"].clone();
    assert!(
        ["source_damaged", "not_media"].contains(&code.as_str().unwrap()),
        "{code}"
    );
}
