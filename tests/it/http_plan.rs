//! `POST /api/plan` and `GET /api/tasks/{id}/report`.

use domain::plan::{Cost, CostSample};
use serde_json::{Value, json};
use tests::clip::Clip;
use tests::{MP4, TestApp};

/// The probe of a 1080p clip of ten seconds with audio.
fn probe() -> Value {
    json!({
        "container": "mov,mp4", "bytes": 5_000_000, "duration_us": 10_000_000, "start_us": 0,
        "streams": [
            {"index": 0, "codec": "mpeg4", "decodable": true, "default": true, "language": null, "kind": {"video": {
                "width_px": 1920, "height_px": 1080, "sample_aspect": "1", "quarter_turns": 0, "mirrored": false,
                "average_fps": "25", "base_fps": "25", "pixel_format": "yuv420p", "bit_depth": 8, "hdr": false,
                "interlaced": false, "duration_us": 10_000_000}}},
            {"index": 1, "codec": "aac", "decodable": true, "default": true, "language": "eng", "kind": {"audio": {
                "sample_rate_hz": 48000, "channels": 2, "duration_us": 10_000_000, "plain": true}}},
        ],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_each_output_with_its_steps_and_reasons() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let recipe = json!({"trim": {"end": 4}, "frame": {"max_width_px": 640, "fps": "24"},
        "outputs": [{"kind": "mp4"}, {"kind": "poster"}, {"kind": "audio", "format": "mp3"}]});
    let reply = caller
        .post("/api/plan", &json!({"recipe": recipe, "source": probe()}))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let [movie, poster, audio] = reply.body["outputs"].as_array().unwrap().as_slice() else {
        panic!("{reply:?}")
    };
    assert_eq!(
        (&movie["name"], &movie["media_type"]),
        (&json!("video.mp4"), &json!("video/mp4"))
    );
    assert_eq!((&movie["width_px"], &movie["height_px"]), (&json!(640), &json!(360)));
    assert_eq!((&movie["fps"], &movie["duration_ms"]), (&json!("24"), &json!(4_000)));
    assert_eq!(
        (&movie["video_codec"], &movie["audio_codec"]),
        (&json!("h264"), &json!("aac"))
    );
    assert_eq!(
        (&movie["steps"][0]["stream"], &movie["steps"][0]["done"]),
        (&json!("video"), &json!("transcode"))
    );
    assert!(!movie["steps"][0]["reason"].as_str().unwrap().is_empty());
    assert_eq!((&poster["duration_ms"], &poster["fps"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&audio["audio_codec"], &audio["width_px"]),
        (&json!("mp3"), &Value::Null)
    );
    let estimate = &reply.body["estimate"];
    assert_eq!(estimate["learned_from"], 0);
    let cpu = |name: &str| estimate["cpu_s"][name].as_f64().unwrap();
    assert!(
        0.0 < cpu("low") && cpu("low") < cpu("likely") && cpu("likely") < cpu("high"),
        "{estimate}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_is_corrected_by_earlier_tasks_of_its_class() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let request = json!({"preset": "archive", "source": probe()});
    let first = caller.post("/api/plan", &request).await.body["estimate"].clone();
    let cost = |value: f64| Cost {
        cpu_s: value,
        wall_s: value,
        bytes: value,
    };
    for _ in 0..6 {
        let sample = CostSample {
            predicted: cost(1.0),
            actual: cost(7.0),
        };
        let recorded = entity::write(&app.db, async |db| {
            entity::cost::record(db, "h265-balanced+mp4", &sample).await
        });
        recorded.await.unwrap();
    }
    let corrected = caller.post("/api/plan", &request).await.body["estimate"].clone();
    assert_eq!(corrected["learned_from"], 6);
    let ratio = corrected["wall_s"]["likely"].as_f64().unwrap() / first["wall_s"]["likely"].as_f64().unwrap();
    // Both numbers are rounded to three digits.
    assert!((ratio / 7.0 - 1.0).abs() < 0.01, "{first} {corrected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_planned_gets_a_code() {
    let app = TestApp::idle().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let waiting = caller.upload("a.mp4", MP4.to_vec(), &[]).await.body["id"].clone();
    let theirs = other.upload("a.mp4", MP4.to_vec(), &[]).await.body["id"].clone();
    let mut silent = probe();
    silent["streams"].as_array_mut().unwrap().pop();
    let mut long = probe();
    long["duration_us"] = json!(100_u64 * 3_600 * 1_000_000);
    for (body, status, code) in [
        (json!({"task": waiting}), 409, "source_not_probed"),
        (json!({"task": theirs}), 404, "task_not_found"),
        (json!({"preset": "audio", "source": silent}), 422, "no_audio_stream"),
        (json!({"source": long}), 422, "duration_too_long"),
        (
            json!({"recipe": {"trim": {"start": 11}, "outputs": [{"kind": "mp4"}]}, "source": probe()}),
            422,
            "trim_outside_source",
        ),
        (json!({"preset": "none", "source": probe()}), 400, "preset_unknown"),
        (
            json!({"preset": "web", "recipe": {"outputs": [{"kind": "mp4"}]}, "source": probe()}),
            400,
            "preset_and_recipe",
        ),
        (
            json!({"recipe": {"watermark": {"image": "cat"}, "outputs": [{"kind": "mp4"}]}, "source": probe()}),
            400,
            "recipe_invalid",
        ),
        (json!({"preset": "web"}), 400, "request_invalid"),
        (json!({"task": waiting, "source": probe()}), 400, "request_invalid"),
        (
            json!({"recipe": {"bumper": {"intro_task": waiting}, "outputs": [{"kind": "mp4"}]}, "source": probe()}),
            409,
            "source_not_probed",
        ),
    ] {
        let reply = caller.post("/api/plan", &body).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{body}");
    }
    let reply = caller.post("/api/plan", &json!({"preset": "web"})).await;
    assert!(
        reply.body["detail"].as_str().unwrap().contains("one of task"),
        "{reply:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_probe_is_refused_with_the_path_of_the_field() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let mut negative = probe();
    negative["bytes"] = json!(-1);
    let reply = caller.post("/api/plan", &json!({"source": negative})).await;
    assert_eq!(
        reply.body["errors"][0]["detail"], "-1; accepted: a whole number from 0 to 1125899906842624",
        "{reply:?}"
    );
    for (pointer, value, field) in [
        ("/duration_us", json!(u64::MAX), "source.duration_us"),
        ("/bytes", json!(-1), "source.bytes"),
        ("/start_us", json!(i64::MIN), "source.start_us"),
        ("/streams/0/index", json!(9), "source.streams[0].index"),
        (
            "/streams/0/kind/video/width_px",
            json!(0),
            "source.streams[0].kind.video.width_px",
        ),
        (
            "/streams/0/kind/video/quarter_turns",
            json!(4),
            "source.streams[0].kind.video.quarter_turns",
        ),
        ("/streams/1/kind/audio/channels", json!(1e9), "source.streams[1].kind"),
    ] {
        let mut source = probe();
        *source.pointer_mut(pointer).unwrap() = value;
        let reply = caller.post("/api/plan", &json!({"source": source})).await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "request_invalid"),
            "{pointer}: {reply:?}"
        );
        let reported = reply.body["errors"][0]["field"].as_str().unwrap();
        assert!(reported.starts_with(field), "{reported}, not {field}");
    }
    let mut zero = probe();
    zero["streams"][0]["kind"]["video"]["sample_aspect"] = json!("1/0");
    assert_eq!(caller.post("/api/plan", &json!({"source": zero})).await.status, 400);
    for (body, field) in [
        (json!({"source": "everything"}), "source"),
        (json!({"source": {}}), "source.container"),
        (json!({"source": probe(), "presset": "web"}), "presset"),
    ] {
        let reply = caller.post("/api/plan", &body).await;
        assert_eq!((reply.status, reply.code()), (400, "request_invalid"), "{reply:?}");
        assert_eq!(reply.body["errors"][0]["field"], field, "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_contains_task_probe_plan_and_report_as_stored_once_the_task_has_ended() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let id = caller.upload("a.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    let path = format!("/api/tasks/{id}/report");
    let early = caller.get(&path).await;
    assert_eq!((early.status, early.code()), (404, "report_not_ready"));
    app.finish(id, &[("video.mp4", "mp4", "video/mp4", b"video")]).await;
    // A report of an earlier version: without fields that this version has, and with fields and values that it lacks.
    let report = json!({
        "cpu_ms": 5,
        "outputs": [{"name": "video.mp4", "done": "transcode", "encoder": {"video": "h264", "crf": 23}}],
        "warnings": [{"code": "an_old_warning", "detail": ""}],
        "log": ["a line"],
    });
    let (plan, log) = (json!({"spans": []}), json!(["a line of FFmpeg"]));
    for (sql, values) in [
        (
            "update tasks set report = $1 where id = $2",
            vec![report.clone().into(), id.into()],
        ),
        (
            "update traces set plan = $1, log = $2 where task_id = $3",
            vec![plan.into(), log.into(), id.into()],
        ),
    ] {
        let set = sea_orm::Statement::from_sql_and_values(
            sea_orm::ConnectionTrait::get_database_backend(&app.db),
            sql,
            values,
        );
        let set = sea_orm::ConnectionTrait::execute_raw(&app.db, set).await.unwrap();
        assert_eq!(set.rows_affected(), 1);
    }
    let bundle = caller.get(&path).await.body;
    assert_eq!(bundle["report"], report);
    assert_eq!(bundle["plan"], json!({"spans": []}));
    // Earlier versions stored a log of FFmpeg, which is not shown.
    assert!(!bundle.to_string().contains("a line of FFmpeg"), "{bundle}");
    assert_eq!(
        (&bundle["task"]["id"], &bundle["task"]["report"]),
        (&json!(id), &Value::Null)
    );
    assert_eq!(bundle["probe"], Value::Null);
    let task = caller.get(&format!("/api/tasks/{id}")).await.body;
    assert_eq!(task["report"], report, "the task shows the report without the plan");
    let list = caller.get("/api/tasks").await.body;
    assert_eq!(list["data"][0]["warnings"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_from_the_probe_of_a_report_matches_the_outputs() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let clip = Clip {
        seconds: 1.0,
        ..Clip::default()
    }
    .make(app.directory.path());
    let task = caller.processed(&clip, &[("preset", "web")]).await;
    let probe = caller.get(&format!("/api/tasks/{}/report", task["id"])).await.body["probe"].clone();
    let by_probe = caller
        .post("/api/plan", &json!({"preset": "web", "source": probe}))
        .await;
    let by_task = caller
        .post("/api/plan", &json!({"preset": "web", "task": task["id"]}))
        .await;
    assert_eq!(by_probe.status, 200, "{by_probe:?}");
    assert_eq!(by_probe.body["outputs"], by_task.body["outputs"]);
    for (planned, output) in [0, 1].map(|n| (&by_task.body["outputs"][n], &task["outputs"][n])) {
        for field in ["name", "kind", "media_type", "width_px", "height_px"] {
            assert_eq!(planned[field], output[field], "{field}");
        }
    }
}
