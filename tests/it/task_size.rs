//! Limits of the work of one task. A task whose source has been probed is refused at once, another one when a worker
//! has probed its source.

use backend::Config;
use serde_json::json;
use tests::clip::Clip;
use tests::{Options, TestApp};

/// A limit in the settings, and a part of the refusal that it leads to.
type Limit = (fn(&mut Config), &'static str);

const LIMITS: [Limit; 4] = [
    (
        |config| config.app.limits.max_output_frames = 23,
        "frames to encode; accepted: at most 23",
    ),
    (
        |config| config.app.limits.max_output_megapixels = 0,
        "megapixels to encode; accepted: at most 0",
    ),
    (
        |config| config.app.limits.max_output_duration_us = 1_000_000,
        "seconds of outputs; accepted: at most 1",
    ),
    (
        |config| config.app.limits.max_cpu_s = 0,
        "processor seconds, estimated; accepted: at most 0",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_task_above_a_limit_is_refused_with_its_value_and_the_limit() {
    // Two seconds at 12 frames per second: 24 frames.
    let recipe = json!({ "frame": { "fps": "12" }, "outputs": [{ "kind": "mp4" }] });
    for (config, figure) in LIMITS {
        let app = TestApp::with(Options {
            config,
            ..Options::default()
        })
        .await;
        let caller = app.caller().await;
        let clip = Clip::default().make(app.directory.path());
        let parts = [("recipe", &*recipe.to_string())];
        // The source has not been probed, so the task is accepted. The worker fails it without a retry.
        let task = caller.ended(caller.task(&clip, &parts).await).await;
        let error = &task["error"];
        assert_eq!(
            (&error["code"], &task["failures"]),
            (&"task_too_large".into(), &1.into()),
            "{task}"
        );
        assert!(error["detail"].as_str().unwrap().contains(figure), "{task}");
        // Now the source has been probed, and tasks are refused at once.
        let plan = json!({ "task": task["id"], "recipe": recipe });
        let bytes = std::fs::read(&clip).unwrap();
        for reply in [
            caller.post("/api/plan", &plan).await,
            caller
                .post(&format!("/api/tasks/{}/retry", task["id"]), &json!({}))
                .await,
            caller.upload("again.mp4", bytes, &parts).await,
        ] {
            assert_eq!((reply.status, reply.code()), (422, "task_too_large"), "{reply:?}");
            assert!(reply.body["detail"].as_str().unwrap().contains(figure), "{reply:?}");
        }
        assert_eq!(caller.get("/api/tasks").await.body["data"].as_array().unwrap().len(), 1);
        assert_eq!(app.stored_files().len(), 1, "a refused upload leaves no file");
    }
}
