//! Reuse of outputs between tasks, adaptive outputs, bumpers from other tasks, and reports.

use serde_json::{Value, json};
use tests::TestApp;
use tests::clip::Clip;

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_task_reuses_the_outputs_and_the_last_task_removes_the_files() {
    let app = TestApp::start().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let source = Clip::default().make(app.directory.path());
    let first = caller.processed(&source, &[]).await;
    let second = caller.processed(&source, &[]).await;
    assert_eq!(first["report"]["reused_from"], Value::Null);
    assert_eq!(second["report"]["reused_from"], first["id"]);
    assert_eq!(second["progress"]["percent"], 100);
    assert_eq!(second["source"], first["source"], "the probe of the first task is used");
    let plan = json!({ "task": second["id"], "preset": "web" });
    assert_eq!(caller.post("/api/plan", &plan).await.status, 200);
    for field in ["sha256", "bytes", "name"] {
        assert_eq!(first["outputs"][0][field], second["outputs"][0][field]);
    }
    assert_ne!(
        first["download"][0], second["download"][0],
        "each task has links of its own"
    );
    let renamed = r#"{"outputs":[{"kind":"mp4","name":"small"}]}"#;
    let third = caller.processed(&source, &[("recipe", renamed)]).await;
    assert_eq!(third["report"]["reused_from"], Value::Null, "another recipe");
    let theirs = other.processed(&source, &[]).await;
    assert_eq!(theirs["report"]["reused_from"], Value::Null, "another account");

    let link = |task: &Value| task["download"][0].as_str().unwrap().to_owned();
    let before = caller.download(&link(&first)).await;
    assert_eq!(caller.delete(&format!("/api/tasks/{}", first["id"])).await.status, 200);
    assert_eq!(caller.download(&link(&second)).await, before);
    let fourth = caller.processed(&source, &[]).await;
    assert_eq!(fourth["report"]["reused_from"], second["id"]);
    for task in [&second, &third, &fourth] {
        assert_eq!(caller.delete(&format!("/api/tasks/{}", task["id"])).await.status, 200);
    }
    assert_eq!(other.delete(&format!("/api/tasks/{}", theirs["id"])).await.status, 200);
    assert!(app.stored_files().is_empty(), "{:?}", app.stored_files());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_an_hls_output_are_removed_with_its_last_task() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let source = Clip::default().make(app.directory.path());
    let recipe = json!({"outputs": [{"kind": "hls", "ladder": [90, 180], "segment_ms": 1000}]}).to_string();
    let task = caller.processed(&source, &[("recipe", &recipe)]).await;
    let output = &task["outputs"][0];
    assert_eq!((&output["kind"], &output["name"]), (&json!("hls"), &json!("hls")));
    let stored = app.stored_files();
    let names: Vec<_> = stored.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    for name in ["master.m3u8", "180p.m3u8", "90p-0001.m4s", "90p-0002.m4s", "audio.m3u8"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let bytes: u64 = stored
        .iter()
        .filter(|path| path.to_string_lossy().contains("/hls/"))
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert_eq!(output["bytes"].as_u64(), Some(bytes));
    let again = caller.processed(&source, &[("recipe", &recipe)]).await;
    assert_eq!(again["report"]["reused_from"], task["id"]);
    for task in [&task, &again] {
        assert_eq!(caller.delete(&format!("/api/tasks/{}", task["id"])).await.status, 200);
    }
    assert!(app.stored_files().is_empty(), "{:?}", app.stored_files());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_of_an_earlier_task_can_be_the_intro_of_a_video() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let (clip, source) = (
        Clip {
            seconds: 1.0,
            ..Clip::default()
        },
        Clip::default(),
    );
    let clip = caller.processed(&clip.make(app.directory.path()), &[]).await;
    let source = source.make(app.directory.path());
    let recipe = |task: &Value| json!({"bumper": {"intro_task": task}, "outputs": [{"kind": "mp4"}]}).to_string();
    let task = caller.processed(&source, &[("recipe", &recipe(&clip["id"]))]).await;
    let length_ms = task["outputs"][0]["duration_ms"].as_u64().unwrap();
    assert!(length_ms.abs_diff(3_000) <= 40, "{length_ms} ms of 1 s and 2 s");
    assert_eq!(
        task["report"]["outputs"][0]["steps"][0]["reason"],
        "a bumper is joined to it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_contains_steps_timings_and_costs() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let source = Clip::default().make(app.directory.path());
    let task = caller.processed(&source, &[]).await;
    let report = &task["report"];
    for figure in [
        "cpu_ms",
        "wall_ms",
        "peak_memory_bytes",
        "bytes_in",
        "bytes_out",
        "media_ms",
        "speed",
    ] {
        assert!(
            report[figure].as_f64().is_some_and(|value| value > 0.0),
            "{figure}: {report}"
        );
    }
    assert_eq!(report["bytes_in"], task["source"]["bytes"]);
    for phase in ["fetch_ms", "probe_ms", "transcode_ms", "verify_ms", "store_ms"] {
        assert!(report["timings"][phase].is_u64(), "{phase}: {report}");
    }
    assert!(report["predicted"]["class"].as_str().unwrap().contains("mp4"));
    assert_eq!(report["verified"], "fast");
    assert!(report["ffmpeg"].as_str().unwrap().starts_with("libavcodec "));
    assert_eq!(report["outputs"][1]["steps"][0]["stream"], "image");
}
