//! Resumable uploads with the clients of others: tus-js-client, Uppy and tuspy.

use crate::clients::{sources, tools};
use crate::tus::{source_of, video};
use std::path::Path;
use tests::{TestApp, Tus};
use tokio::process::Command;

/// Runs a client program with a video and checks the sources of the tasks that it prints.
async fn upload_with(app: &TestApp, executable: &Path, script: &str, tasks: usize) {
    let tus = Tus::of(app.caller().await);
    let bytes = video(app, 3_000_000);
    let directory = app.directory.path();
    std::fs::write(directory.join("video.mp4"), &bytes).unwrap();
    std::fs::copy(sources().join(script), directory.join(script)).unwrap();
    let output = Command::new(executable)
        .args([script, &app.url, &tus.caller.token, "video.mp4"])
        .current_dir(directory)
        .output()
        .await
        .unwrap();
    let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{printed:?}");
    let ids: Vec<i64> = printed[0].lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(ids.len(), tasks, "{printed:?}");
    for task in ids {
        assert!(source_of(app, task).await == bytes);
    }
    assert!(!app.snapshot().await.iter().any(|line| line.contains("removed.mp4")));
}

#[tokio::test(flavor = "multi_thread")]
async fn tus_js_client_and_uppy_pause_resume_and_finish() {
    let Some(tools) = tools() else { return };
    let app = TestApp::idle().await;
    let modules = tools.join("node_modules");
    std::os::unix::fs::symlink(modules, app.directory.path().join("node_modules")).unwrap();
    upload_with(&app, Path::new("node"), "tus.mjs", 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tuspy_sends_chunks_with_checksums_and_resumes() {
    let Some(tools) = tools() else { return };
    let app = TestApp::idle().await;
    upload_with(&app, &tools.join("venv/bin/python"), "tus.py", 1).await;
}
