//! The outputs of the built-in presets, exact to the frame.

use serde_json::Value;
use std::path::Path;
use tests::clip::{self, Clip};
use tests::{Caller, TestApp};

/// Processes a file with a preset. Returns the task and the `ffprobe` of its first output.
async fn process(caller: &Caller, source: &Path, preset: &str) -> (Value, Value) {
    let task = caller.processed(source, &[("preset", preset)]).await;
    let facts = clip::ffprobe(task["download"][0].as_str().unwrap());
    (task, facts)
}

/// Width, height, frame rate and number of packets of the first stream.
fn video(facts: &Value) -> (u64, u64, &str, &str) {
    let stream = &facts["streams"][0];
    let text = |key: &str| stream[key].as_str().unwrap();
    (
        stream["width"].as_u64().unwrap(),
        stream["height"].as_u64().unwrap(),
        text("avg_frame_rate"),
        text("nb_read_packets"),
    )
}

/// The duration in seconds.
fn seconds(facts: &Value) -> f64 {
    facts["format"]["duration"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_of_idrl_have_the_exact_size_rate_and_number_of_frames() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let directory = app.directory.path();
    let long = Clip {
        width: 480,
        height: 270,
        seconds: 30.03,
        fps: 30,
        sound: true,
    }
    .make(directory);
    let silent = Clip {
        width: 960,
        height: 540,
        seconds: 13.35,
        fps: 20,
        sound: false,
    }
    .make(directory);
    let narrow = Clip {
        width: 640,
        height: 480,
        seconds: 5.8,
        fps: 25,
        sound: true,
    }
    .make(directory);

    let (_, facts) = process(&caller, &long, "idrl").await;
    assert_eq!(video(&facts), (480, 270, "24/1", "480"));
    assert_eq!(facts["streams"][1]["codec_name"], "aac");
    assert!((seconds(&facts) - 20.0).abs() <= 1.0 / 24.0, "{}", seconds(&facts));

    let (_, facts) = process(&caller, &silent, "idrl").await;
    assert_eq!((video(&facts).0, video(&facts).1, video(&facts).2), (960, 540, "24/1"));
    assert_eq!(facts["streams"].as_array().unwrap().len(), 1, "the source has no audio");
    assert!((seconds(&facts) - 17.35).abs() <= 1.0 / 24.0, "{}", seconds(&facts));

    let (_, facts) = process(&caller, &narrow, "idrl").await;
    assert_eq!((video(&facts).0, video(&facts).1), (640, 360));
    assert!((seconds(&facts) - 9.8).abs() <= 1.0 / 24.0, "{}", seconds(&facts));
}

#[tokio::test(flavor = "multi_thread")]
async fn showcase_is_720p_without_audio_and_at_most_30_s_long() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let source = Clip {
        width: 640,
        height: 480,
        seconds: 27.0,
        fps: 25,
        sound: true,
    }
    .make(app.directory.path());
    let (task, facts) = process(&caller, &source, "showcase").await;
    assert_eq!(video(&facts), (1280, 720, "24/1", "720"));
    assert_eq!(facts["streams"].as_array().unwrap().len(), 1);
    assert_eq!(task["outputs"][0]["duration_ms"], 30_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn web_does_not_enlarge_small_videos_and_keeps_portrait_orientation() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let portrait = Clip {
        width: 1440,
        height: 2560,
        seconds: 1.0,
        ..Clip::default()
    }
    .make(app.directory.path());
    let (task, _) = process(&caller, &portrait, "web").await;
    assert_eq!(
        (&task["outputs"][0]["width_px"], &task["outputs"][0]["height_px"]),
        (&1080.into(), &1920.into())
    );
    let small = Clip {
        width: 96,
        height: 54,
        seconds: 1.0,
        ..Clip::default()
    }
    .make(app.directory.path());
    let (task, _) = process(&caller, &small, "web").await;
    assert_eq!(task["outputs"][0]["width_px"], 96);
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_clips_are_processed_or_fail_with_a_code() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    for name in [
        "bikes.mp4",
        "avi__sample.avi",
        "flv__sample.flv",
        "ts__bbb_2500ms.ts",
        "mp4__sample_malformed_free_box.mp4",
    ] {
        let Some(path) = clip::from_collection(name) else {
            continue;
        };
        let task = caller.ended(caller.task(&path, &[]).await).await;
        match task["status"].as_str().unwrap() {
            "processed" => assert!(!task["download"].as_array().unwrap().is_empty()),
            "failed" => assert_eq!(
                (name, &task["error"]["code"]),
                ("mp4__sample_malformed_free_box.mp4", &"source_damaged".into())
            ),
            other => panic!("{name}: {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_tasks_shows_the_number_of_warnings() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let clip = Clip::default().make(app.directory.path());
    let recipe = r#"{"audio":{"language":"tlh"},"trim":{"end":10},"outputs":[{"kind":"audio"}]}"#;
    let warned = caller.processed(&clip, &[("recipe", recipe)]).await;
    let plain = caller.processed(&clip, &[("preset", "audio")]).await;
    let list = caller.get("/api/tasks?order=0").await.body;
    for (task, line) in [warned, plain].iter().zip(list["data"].as_array().unwrap()) {
        assert_eq!(line["id"], task["id"]);
        let warnings = task["report"]["warnings"].as_array().unwrap();
        assert_eq!(line["warnings"], warnings.len(), "{warnings:?}");
    }
    // The audio language is not in the source, and the trim ends after its end.
    assert_eq!(list["data"][0]["warnings"], 2, "{list}");
    let waiting = TestApp::idle().await;
    let caller = waiting.caller().await;
    let bytes = std::fs::read(&clip).unwrap();
    caller.upload("clip.mp4", bytes, &[]).await;
    assert_eq!(caller.get("/api/tasks").await.body["data"][0]["warnings"], 0);
}

/// A copy of a clip whose audio has a codec that no decoder knows.
fn with_unknown_audio(clip: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(clip).unwrap();
    for (name, other) in [(b"mp4a", b"zzzz"), (b"esds", b"free")] {
        let at = bytes.windows(4).rposition(|bytes| bytes == name).unwrap();
        bytes[at..at + 4].copy_from_slice(other);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_tasks_shows_that_a_video_lost_its_only_audio() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let clip = Clip::default().make(app.directory.path());
    let silent = app.directory.path().join("unknown.mp4");
    std::fs::write(&silent, with_unknown_audio(&clip)).unwrap();
    let task = caller.processed(&silent, &[("preset", "web")]).await;
    let warnings = task["report"]["warnings"].as_array().unwrap();
    let codes: Vec<_> = warnings.iter().map(|warning| &warning["code"]).collect();
    assert!(codes.contains(&&"audio_undecodable".into()), "{codes:?}");
    let list = caller.get("/api/tasks").await.body;
    assert_eq!(list["data"][0]["id"], task["id"], "{list}");
    assert_eq!(list["data"][0]["warnings"], codes.len(), "{list}");
}
