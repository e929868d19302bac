//! Events: the list and the stream of one process.

mod access;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::event_stream::EventStream;
use tests::{Caller, MP4, Options, TestApp};

async fn upload(caller: &Caller) -> i64 {
    let reply = caller.upload("clip.mp4", MP4.to_vec(), &[]).await;
    reply.body["id"].as_i64().unwrap()
}

async fn finish(app: &TestApp, task: i64) {
    app.finish(task, &[("video.mp4", "mp4", "video/mp4", b"0123")]).await;
}

fn types(events: &Value) -> Vec<&str> {
    let events = events.as_array().unwrap().iter();
    events.map(|event| event["type"].as_str().unwrap()).collect()
}

/// Brings a task and its video through their lives. Returns the id of the video.
async fn live(app: &TestApp, caller: &Caller) -> i64 {
    let task = upload(caller).await;
    finish(app, task).await;
    let video = caller.get(&format!("/api/tasks/{task}")).await.body["video_id"]
        .as_i64()
        .unwrap();
    let path = format!("/api/videos/{video}");
    let rename = caller.request(Method::PATCH, &path).json(&json!({"title": "A title"}));
    assert_eq!(rename.send().await.unwrap().status(), 200);
    for (action, body) in [
        ("publish", json!({})),
        ("unpublish", Value::Null),
        ("unpublish", Value::Null),
    ] {
        let reply = caller.post(&format!("{path}/{action}"), &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    assert_eq!(caller.delete(&path).await.status, 204);
    video
}

const LIFE: [&str; 8] = [
    "video.created",
    "task.created",
    "task.processed",
    "video.updated",
    "video.published",
    "video.unpublished",
    "task.deleted",
    "video.deleted",
];

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_one_event_in_the_list_of_its_account_alone() {
    let app = TestApp::idle().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    live(&app, &caller).await;
    let list = caller.get("/api/events").await.body;
    assert_eq!(types(&list["data"]), LIFE, "{list}");
    assert_eq!(list["has_more"], false);
    let ids: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["id"].as_i64().unwrap())
        .collect();
    assert!(ids.is_sorted());
    let others = other.get("/api/events").await.body;
    assert_eq!(
        (&others["data"], &others["next_cursor"]),
        (&json!([]), &list["next_cursor"])
    );
    let (mut after, mut pages) = ("0".to_owned(), Vec::new());
    loop {
        let page = caller.get(&format!("/api/events?after={after}&max=3")).await.body;
        page["next_cursor"].as_str().unwrap().clone_into(&mut after);
        pages.extend(page["data"].as_array().unwrap().clone());
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(Value::from(pages), list["data"]);
    let path = format!("/api/events?after={after}");
    assert_eq!(caller.get(&path).await.body["data"], json!([]));
    let task = upload(&caller).await;
    assert_eq!(
        caller
            .post(&format!("/api/tasks/{task}/cancel"), &Value::Null)
            .await
            .status,
        200
    );
    let retry = caller.post(&format!("/api/tasks/{task}/retry"), &Value::Null).await;
    assert_eq!(retry.status, 201);
    let later = caller.get(&path).await.body;
    assert_eq!(
        types(&later["data"]),
        ["video.created", "task.created", "task.canceled", "task.created"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_an_event_is_the_subject_as_lists_and_videos_show_it() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let task = upload(&caller).await;
    let item = async || caller.get("/api/tasks").await.body["data"][0].clone();
    let newest = async || {
        let events = caller.get("/api/events").await.body["data"].take();
        events.as_array().unwrap().last().unwrap().clone()
    };
    assert_eq!(newest().await["data"], item().await);
    finish(&app, task).await;
    let event = newest().await;
    assert_eq!(
        (&event["type"], &event["data"]),
        (&json!("task.processed"), &item().await)
    );
    assert_eq!(event["data"]["progress"]["percent"], 100);
    let video = caller
        .post(&format!("/api/tasks/{task}/publish"), &json!({}))
        .await
        .body;
    let event = newest().await;
    assert_eq!(event["type"], "video.published");
    let data = event["data"].as_object().unwrap();
    assert_eq!(data.len(), 8);
    for (name, value) in data {
        assert_eq!(&video[name], value, "{name}");
    }
    assert_eq!(caller.delete(&format!("/api/tasks/{task}")).await.status, 200);
    let all = caller.get("/api/events").await.body;
    assert_eq!(
        types(&all["data"])[4..],
        ["task.deleted", "video.deleted"],
        "the only task of the video"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_is_too_old_or_unknown_is_refused() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    upload(&caller).await;
    let list = caller.get("/api/events").await.body;
    let first = list["data"][0]["id"].as_i64().unwrap();
    upload(&caller).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(entity::event::trim(&app.db, Duration::from_secs(60)).await.unwrap(), 0);
    assert_eq!(
        entity::event::trim(&app.db, Duration::ZERO).await.unwrap(),
        3,
        "the newest stays"
    );
    for path in ["/api/events", "/api/events/stream"] {
        for expired in [first, first + 1, 999_999] {
            let reply = caller.get(&format!("{path}?after={expired}")).await;
            assert_eq!(
                (reply.status, reply.code()),
                (410, "cursor_expired"),
                "{path} {expired}"
            );
        }
        let reply = caller.get(&format!("{path}?after=x")).await;
        assert_eq!((reply.status, reply.code()), (400, "query_invalid"));
    }
    let kept = caller.get("/api/events?after=0").await.body;
    assert_eq!(types(&kept["data"]), ["task.created"]);
    let mut stream = EventStream::open(&caller, "?after=0").await;
    assert_eq!(stream.types(1).await, ["task.created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_the_events_of_its_account_and_continues_where_it_broke_off() {
    let app = TestApp::idle().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    upload(&caller).await;
    let mut stream = EventStream::open(&caller, "").await;
    let start = stream.last_id.clone();
    let request = other.request(Method::GET, "/api/events/stream").send().await.unwrap();
    // nginx takes this header away.
    assert_eq!(request.headers()["x-accel-buffering"], "no");
    let mut others = EventStream::of(request).await;
    live(&app, &caller).await;
    assert_eq!(stream.types(8).await, LIFE, "without the events before the stream");
    let list = caller.get(&format!("/api/events?after={start}")).await.body;
    for (path, header) in [("", start.as_str()), ("?after=0", &start)] {
        let request = caller.request(Method::GET, &format!("/api/events/stream{path}"));
        let mut again = EventStream::of(request.header("last-event-id", header).send().await.unwrap()).await;
        assert_eq!(again.last_id, start, "the header is stronger than the parameter");
        for event in list["data"].as_array().unwrap() {
            assert_eq!(
                &again.event().await,
                event,
                "the stream and the list have the same form"
            );
        }
    }
    let middle = list["data"][4]["id"].to_string();
    let mut again = EventStream::resume(&caller, &middle).await;
    assert_eq!(again.types(3).await, LIFE[5..]);
    upload(&caller).await;
    assert_eq!(again.types(2).await, LIFE[..2]);
    assert_eq!(stream.types(2).await, LIFE[..2]);
    assert_eq!(others.within(Duration::from_millis(700)).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_on_the_stream_without_an_id_and_at_most_once_a_second() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let task = upload(&caller).await;
    let mut stream = EventStream::open(&caller, "").await;
    let start = stream.last_id.clone();
    let claimed = app.claim(task).await;
    let begun = Instant::now();
    for percent in 0..60_u8 {
        let progress = domain::protocol::Progress {
            percent,
            ..Default::default()
        };
        assert!(claimed.claim().renew(&app.db, Some(json!(progress))).await.unwrap());
        app.queue.publish_update(claimed.owner(), claimed.task_id());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let messages = stream.within(Duration::from_secs(2)).await;
    let (count, seconds) = (messages.len() as u64, begun.elapsed().as_secs());
    assert!((2..=seconds + 1).contains(&count), "in {seconds} s: {messages:?}");
    for message in &messages {
        assert_eq!((message.event.as_str(), message.id.as_str()), ("task.progress", ""));
    }
    let last = &messages.last().unwrap().data;
    let task = caller.get(&format!("/api/tasks/{task}")).await.body;
    for name in ["id", "task_id", "status", "attempt", "progress"] {
        assert_eq!(last[name], task[name], "{name}");
    }
    assert_eq!(stream.last_id, start, "progress does not move the cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_moves_the_cursor_past_the_events_of_other_accounts() {
    let app = TestApp::idle_with(|config| config.event_heartbeat = Duration::from_millis(200)).await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let mut stream = EventStream::open(&caller, "").await;
    let start = stream.last_id.clone();
    stream.heartbeat().await;
    assert_eq!(stream.last_id, start, "a heartbeat without events has no id");
    upload(&other).await;
    while stream.last_id == start {
        stream.heartbeat().await;
    }
    let list = caller.get("/api/events").await.body;
    assert_eq!(list["next_cursor"], stream.last_id.as_str());
    upload(&caller).await;
    let mut again = EventStream::resume(&caller, &stream.last_id).await;
    for stream in [&mut stream, &mut again] {
        assert_eq!(stream.types(2).await, LIFE[..2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_limits_of_their_own_and_take_no_place_of_a_wait() {
    let mut options = Options {
        worker: None,
        ..Options::default()
    };
    // Half of the connections may be streams, and an eighth may wait.
    options.server.max_connections = 64;
    let app = TestApp::with(options).await;
    let (caller, second) = (app.caller().await, app.caller().await);
    let open = |caller: Caller, count: usize| async move {
        join_all((0..count).map(|_| EventStream::open(&caller, ""))).await
    };
    let mut streams = open(caller.clone(), 20).await;
    let refused = caller.get("/api/events/stream").await;
    assert_eq!(
        (refused.status, refused.code()),
        (429, "event_streams_too_many"),
        "{refused:?}"
    );
    assert_eq!(
        (refused.header("retry-after"), &refused.body["detail"]),
        ("10", &json!("20 streams of this account"))
    );
    let more = open(second.clone(), 12).await;
    let refused = second.get("/api/events/stream").await;
    assert_eq!(refused.body["detail"], "32 streams of this process");
    let task = upload(&caller).await;
    let begun = Instant::now();
    assert_eq!(caller.get(&format!("/api/tasks/{task}?wait=1")).await.status, 200);
    assert!(begun.elapsed() >= Duration::from_secs(1), "a request may still wait");
    for stream in &mut streams {
        assert_eq!(stream.types(2).await, LIFE[..2]);
    }
    drop((streams, more));
    let begun = Instant::now();
    loop {
        let response = second.request(Method::GET, "/api/events/stream").send().await.unwrap();
        if response.status() == 200 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the places are still taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_streams_with_the_time_to_connect_again() {
    let mut app = TestApp::idle().await;
    let caller = app.caller().await;
    let mut stream = EventStream::open(&caller, "").await;
    assert_eq!(stream.retry, Some(2_000));
    let begun = Instant::now();
    let (end, ()) = tokio::join!(stream.next(), app.stop());
    assert_eq!(end, None);
    assert!((2_000..=4_000).contains(&stream.retry.unwrap()), "{:?}", stream.retry);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
