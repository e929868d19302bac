//! Webhooks: messages to endpoints of an account and to the `webhook_url` of tasks.

mod changes;
mod clients;
mod killed;
mod requests;

use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tests::receiver::{Received, Receiver};
use tests::{Caller, Options, Reply, TestApp};
use tokio::time::sleep;

/// Lets the service send to receivers of the test.
fn permit(config: &mut backend::Config) {
    config.app.outbound = "127.0.0.0/8".parse().unwrap();
}

async fn service() -> TestApp {
    TestApp::with(Options {
        config: permit,
        ..Options::default()
    })
    .await
}

/// Creates a webhook and returns it with its secret.
async fn webhook(caller: &Caller, url: &str, event_types: &[&str]) -> Value {
    let created = caller
        .post("/api/webhooks", &json!({ "url": url, "event_types": event_types }))
        .await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

async fn patch(caller: &Caller, path: &str, body: &Value) -> Reply {
    Reply::read(caller.request(Method::PATCH, path).json(body).send().await.unwrap()).await
}

/// Creates a task that a worker does not process, or that fails soon. Returns it.
async fn new_task(caller: &Caller, parts: &[(&'static str, &str)]) -> Value {
    let reply = caller.upload("clip.mp4", tests::MP4.to_vec(), parts).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.body
}

/// Polls the newest delivery until the condition holds.
async fn delivery(caller: &Caller, query: &str, condition: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let reply = caller.get(&format!("/api/webhooks/deliveries?{query}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let newest = &reply.body["data"][0];
        if !newest.is_null() && condition(newest) {
            return newest.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "still {}", reply.body);
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until every message has been delivered or has failed for good.
async fn all_sent(caller: &Caller) {
    let begun = Instant::now();
    while caller.get("/api/webhooks/deliveries?status=pending").await.body["data"] != json!([]) {
        assert!(begun.elapsed() < Duration::from_secs(60), "some stay pending");
        sleep(Duration::from_millis(50)).await;
    }
}

fn types(received: &[Received]) -> Vec<String> {
    let types = received
        .iter()
        .map(|one| one.json()["type"].as_str().unwrap().to_owned());
    types.collect()
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values
}

/// Makes all deliveries that wait due.
async fn make_due(app: &TestApp) {
    let due = "UPDATE webhook_deliveries SET run_at_ms = 0 WHERE run_at_ms IS NOT NULL";
    app.db.execute_unprepared(due).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_the_events_that_it_wants_from_its_creation_on_and_no_others() {
    let app = service().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let (all, some) = (Receiver::start().await, Receiver::start().await);
    let task = new_task(&caller, &[]).await;
    let task_id = task["id"].as_i64().unwrap();
    assert_eq!(caller.ended(task_id).await["status"], "failed");
    let created = webhook(&caller, &format!("{}/in?a=b", all.url), &[]).await;
    webhook(&caller, &some.url, &["task.deleted"]).await;
    assert!(created["secret"].as_str().unwrap().starts_with("whsec_"), "{created}");
    let of_other = new_task(&other, &[]).await;
    other.ended(of_other["id"].as_i64().unwrap()).await;
    assert_eq!(caller.delete(&format!("/api/tasks/{task_id}")).await.status, 200);
    let received = all.until(2).await;
    assert_eq!(sorted(types(&received)), ["task.deleted", "video.deleted"]);
    let message = received
        .iter()
        .find(|one| one.json()["type"] == "task.deleted")
        .unwrap();
    let events = caller.get("/api/events").await.body["data"].take();
    let event = events
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["type"] == "task.deleted");
    let mut event = event.unwrap().clone();
    event.as_object_mut().unwrap().remove("id");
    assert_eq!(message.json(), event, "the message is the event");
    assert_eq!(message.path, "/in?a=b");
    assert_eq!(message.headers["content-type"], "application/json");
    assert_eq!(types(&some.until(1).await), ["task.deleted"]);
    let query = format!("webhook_id={}&task_id={task_id}", created["id"]);
    let log = delivery(&caller, &query, |one| one["status"] == "delivered").await;
    assert_eq!((&log["id"], &log["payload"]), (&message.id().into(), &message.json()));
    assert_eq!(
        (&log["status_code"], &log["failures"], &log["error"]),
        (&204.into(), &0.into(), &Value::Null)
    );
    let log = other.get("/api/webhooks/deliveries").await.body;
    assert_eq!(log["data"], json!([]));
    all_sent(&caller).await;
    assert_eq!(
        all.received().len(),
        2,
        "events of other accounts or from before: {:?}",
        all.received()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_of_a_task_gets_its_events_also_that_of_its_removal() {
    let app = service().await;
    let caller = app.caller().await;
    let receiver = Receiver::start().await;
    let task = new_task(&caller, &[("webhook_url", &receiver.url)]).await;
    new_task(&caller, &[]).await;
    let id = task["id"].as_i64().unwrap();
    caller.ended(id).await;
    assert_eq!(caller.delete(&format!("/api/tasks/{id}")).await.status, 200);
    let received = receiver.until(3).await;
    assert_eq!(
        sorted(types(&received)),
        ["task.created", "task.deleted", "task.failed"]
    );
    assert!(
        received.iter().all(|one| one.json()["data"]["id"] == id),
        "{received:?}"
    );
    let log = delivery(&caller, &format!("task_id={id}"), |one| one["status"] == "delivered").await;
    assert_eq!((&log["webhook_id"], &log["task_id"]), (&Value::Null, &id.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_away_gets_everything_once_when_it_is_back() {
    let app = service().await;
    let caller = app.caller().await;
    let address = tests::port::free_address().to_string();
    let created = webhook(
        &caller,
        &format!("http://{address}"),
        &["task.created", "video.updated"],
    )
    .await;
    let video = new_task(&caller, &[]).await["video_id"].clone();
    for number in 0..50 {
        let changed = patch(
            &caller,
            &format!("/api/videos/{video}"),
            &json!({ "title": format!("t {number}") }),
        )
        .await;
        assert_eq!(changed.status, 200, "{changed:?}");
    }
    let failed = delivery(&caller, "", |one| one["failures"] != 0).await;
    assert_eq!(
        (&failed["status"], &failed["error"]),
        (&"pending".into(), &"connect".into()),
        "{failed}"
    );
    assert!(
        failed["next_attempt_at"].is_string() && failed["ended_at"].is_null(),
        "{failed}"
    );
    let receiver = Receiver::at(&address, |_| "200 OK".to_owned()).await;
    // Hours later.
    make_due(&app).await;
    let received = receiver.until(51).await;
    let ids: BTreeSet<&str> = received.iter().map(Received::id).collect();
    assert_eq!((ids.len(), received.len()), (51, 51), "each message once");
    let query = format!("webhook_id={}&status=pending", created["id"]);
    let begun = Instant::now();
    while caller.get(&format!("/api/webhooks/deliveries?{query}")).await.body["data"] != json!([]) {
        assert!(begun.elapsed() < Duration::from_secs(30));
        make_due(&app).await;
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(receiver.received().len(), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_a_failure_and_the_last_one_ends_the_delivery() {
    let app = service().await;
    let caller = app.caller().await;
    let target = Receiver::start().await;
    let location = format!("307 Temporary Redirect\r\nLocation: {}", target.url);
    let receiver = Receiver::answering(move |_| location.clone()).await;
    let created = webhook(&caller, &receiver.url, &[]).await;
    let sent = caller
        .post(&format!("/api/webhooks/{}/test", created["id"]), &json!({}))
        .await;
    assert_eq!(
        (sent.status, &sent.body["status"]),
        (202, &"pending".into()),
        "{sent:?}"
    );
    let log = delivery(&caller, "", |one| one["failures"] == 1).await;
    assert_eq!(
        (&log["status"], &log["status_code"], &log["error"]),
        (&"pending".into(), &307.into(), &"status".into())
    );
    let last = "UPDATE webhook_deliveries SET failures = 9, run_at_ms = 0";
    app.db.execute_unprepared(last).await.unwrap();
    let log = delivery(&caller, "", |one| one["status"] == "failed").await;
    assert_eq!((&log["failures"], &log["next_attempt_at"]), (&10.into(), &Value::Null));
    assert!(log["ended_at"].is_string(), "{log}");
    assert_eq!((receiver.received().len(), target.received().len()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_410_disables_the_endpoint_and_tells_the_account() {
    let app = service().await;
    let caller = app.caller().await;
    let (gone, other) = (
        Receiver::answering(|_| "410 Gone".to_owned()).await,
        Receiver::start().await,
    );
    let created = webhook(&caller, &gone.url, &["video.created"]).await;
    webhook(&caller, &other.url, &["webhook.disabled"]).await;
    let path = format!("/api/webhooks/{}", created["id"]);
    new_task(&caller, &[]).await;
    let told = other.until(1).await.remove(0).json();
    assert_eq!(told["type"], "webhook.disabled");
    let data: api::events::DisabledWebhook = serde_json::from_value(told["data"].clone()).unwrap();
    assert_eq!(serde_json::to_value(&data).unwrap(), told["data"]);
    assert_eq!(
        (&told["data"]["webhook_id"], &told["data"]["url"]),
        (&created["id"], &created["url"])
    );
    let shown = caller.get(&path).await.body;
    assert_eq!(
        (&shown["enabled"], &shown["disabled_reason"]),
        (&false.into(), &"gone".into())
    );
    assert_eq!(shown["disabled_at"], told["data"]["disabled_at"]);
    let events = caller.get("/api/events").await.body["data"].take();
    let events = events.as_array().unwrap();
    assert_eq!(
        events
            .iter()
            .filter(|event| event["type"] == "webhook.disabled")
            .count(),
        1
    );
    let query = format!("webhook_id={}", created["id"]);
    let failed = delivery(&caller, &query, |one| one["status"] == "failed").await;
    assert_eq!((&failed["status_code"], &failed["failures"]), (&410.into(), &1.into()));
    for refused in [
        caller.post(&format!("{path}/test"), &json!({})).await,
        caller
            .post(
                &format!("/api/webhooks/deliveries/{}/resend", failed["id"].as_str().unwrap()),
                &json!({}),
            )
            .await,
    ] {
        assert_eq!((refused.status, refused.code()), (409, "webhook_disabled"));
    }
    new_task(&caller, &[]).await;
    let enabled = patch(&caller, &path, &json!({ "enabled": true, "url": other.url })).await;
    assert_eq!(
        (enabled.status, &enabled.body["enabled"]),
        (200, &true.into()),
        "{enabled:?}"
    );
    let resend = format!("/api/webhooks/deliveries/{}/resend", failed["id"].as_str().unwrap());
    assert_eq!(caller.post(&resend, &json!({})).await.status, 202);
    let received = other.until(2).await;
    assert_eq!(
        (received[1].id(), gone.received().len()),
        (failed["id"].as_str().unwrap(), 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_410_for_the_url_of_a_task_ends_the_messages_of_this_task_alone() {
    let app = service().await;
    let caller = app.caller().await;
    let gone = Receiver::answering(|one| {
        let status = if one.path == "/gone" { "410 Gone" } else { "200 OK" };
        status.to_owned()
    });
    let gone = gone.await;
    let url = |path: &str| format!("{}{path}", gone.url);
    let first = new_task(&caller, &[("webhook_url", &url("/gone"))]).await;
    let begun = Instant::now();
    let told = loop {
        let events = caller.get("/api/events").await.body["data"].take();
        let mut disabled = events
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["type"] == "webhook.disabled");
        if let Some(event) = disabled.next() {
            break event["data"].clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((&told["task_id"], &told["webhook_id"]), (&first["id"], &Value::Null));
    let before = gone.received().len();
    assert_eq!(caller.delete(&format!("/api/tasks/{}", first["id"])).await.status, 200);
    let second = new_task(&caller, &[("webhook_url", &url("/there"))]).await;
    // Events become messages in their order, so one of the removal would be there before this one.
    let query = format!("task_id={}", second["id"]);
    delivery(&caller, &query, |one| one["event_type"] == "task.failed").await;
    all_sent(&caller).await;
    let received = gone.received().split_off(before);
    assert_eq!(
        received.iter().filter(|one| one.path == "/there").count(),
        2,
        "{received:?}"
    );
    assert!(!types(&received).contains(&"task.deleted".to_owned()), "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivered_message_can_be_sent_again_with_the_same_id() {
    let app = service().await;
    let caller = app.caller().await;
    let receiver = Receiver::start().await;
    let created = webhook(&caller, &receiver.url, &[]).await;
    let sent = caller
        .post(&format!("/api/webhooks/{}/test", created["id"]), &json!({}))
        .await;
    let id = sent.body["id"].as_str().unwrap().to_owned();
    delivery(&caller, "", |one| one["status"] == "delivered").await;
    let again = caller
        .post(&format!("/api/webhooks/deliveries/{id}/resend"), &json!({}))
        .await;
    assert_eq!(
        (again.status, &again.body["status"]),
        (202, &"pending".into()),
        "{again:?}"
    );
    let received = receiver.until(2).await;
    assert_eq!((received[0].id(), received[1].id()), (id.as_str(), id.as_str()));
    assert_eq!(received[0].body, received[1].body);
    let test = received[0].json();
    assert_eq!(
        (&test["type"], &test["data"]["url"]),
        (&"webhook.test".into(), &created["url"])
    );
    assert!(!received[0].body.contains("whsec_"));
    delivery(&caller, "", |one| one["status"] == "delivered").await;
}
