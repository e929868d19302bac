//! What the presets promise, to the frame.

use serde_json::Value;
use std::path::Path;
use tests::clip::{self, Clip};
use tests::{Caller, TestApp};

/// A processed task, and the facts of what it made.
async fn made(caller: &Caller, source: &Path, preset: &str) -> (Value, Value) {
    let task = caller.processed(source, &[("preset", preset)]).await;
    let facts = clip::facts(task["download"][0].as_str().unwrap());
    (task, facts)
}

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

fn seconds(facts: &Value) -> f64 {
    facts["format"]["duration"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_golden_facts_of_idrl_hold_to_the_frame() {
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

    let (_, facts) = made(&caller, &long, "idrl").await;
    assert_eq!(video(&facts), (480, 270, "24/1", "480"));
    assert_eq!(facts["streams"][1]["codec_name"], "aac");
    assert!((seconds(&facts) - 20.0).abs() <= 1.0 / 24.0, "{}", seconds(&facts));

    let (_, facts) = made(&caller, &silent, "idrl").await;
    assert_eq!((video(&facts).0, video(&facts).1, video(&facts).2), (960, 540, "24/1"));
    assert_eq!(
        facts["streams"].as_array().unwrap().len(),
        1,
        "no sound came, none goes"
    );
    assert!((seconds(&facts) - 17.35).abs() <= 1.0 / 24.0, "{}", seconds(&facts));

    let (_, facts) = made(&caller, &narrow, "idrl").await;
    assert_eq!((video(&facts).0, video(&facts).1), (640, 360));
    assert!((seconds(&facts) - 9.8).abs() <= 1.0 / 24.0, "{}", seconds(&facts));
}

#[tokio::test(flavor = "multi_thread")]
async fn showcase_is_silent_720p_and_never_longer_than_30_s() {
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
    let (task, facts) = made(&caller, &source, "showcase").await;
    assert_eq!(video(&facts), (1280, 720, "24/1", "720"));
    assert_eq!(facts["streams"].as_array().unwrap().len(), 1);
    assert_eq!(task["outputs"][0]["duration_ms"], 30_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn web_keeps_small_pictures_small_and_portraits_upright() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let portrait = Clip {
        width: 1440,
        height: 2560,
        seconds: 1.0,
        ..Clip::default()
    }
    .make(app.directory.path());
    let (task, _) = made(&caller, &portrait, "web").await;
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
    let (task, _) = made(&caller, &small, "web").await;
    assert_eq!(task["outputs"][0]["width_px"], 96);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_clip_of_each_kind_is_processed_or_refused_with_a_code() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    for name in [
        "bikes.mp4",
        "avi__sample.avi",
        "flv__sample.flv",
        "ts__bbb_2500ms.ts",
        "mp4__sample_malformed_free_box.mp4",
    ] {
        let Some(path) = clip::real(name) else { continue };
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
async fn the_list_tells_which_tasks_have_warnings() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let clip = Clip::default().make(app.directory.path());
    let wish = r#"{"audio":{"language":"tlh"},"trim":{"end":10},"outputs":[{"kind":"audio"}]}"#;
    let warned = caller.processed(&clip, &[("recipe", wish)]).await;
    let plain = caller.processed(&clip, &[("preset", "audio")]).await;
    let list = caller.get("/api/tasks?order=0").await.body;
    for (task, line) in [warned, plain].iter().zip(list["data"].as_array().unwrap()) {
        assert_eq!(line["id"], task["id"]);
        let warnings = task["report"]["warnings"].as_array().unwrap();
        assert_eq!(line["warnings"], warnings.len(), "{warnings:?}");
    }
    // The language that is missing, and the trim that ends after the source.
    assert_eq!(list["data"][0]["warnings"], 2, "{list}");
    let waiting = TestApp::idle().await;
    let caller = waiting.caller().await;
    let bytes = std::fs::read(&clip).unwrap();
    caller.upload("clip.mp4", bytes, &[]).await;
    assert_eq!(caller.get("/api/tasks").await.body["data"][0]["warnings"], 0);
}
