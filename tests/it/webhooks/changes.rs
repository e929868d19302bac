//! Changes of a webhook while a message is on its way.

use super::{all_sent, delivery, patch, service, webhook};
use serde_json::json;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;
use tests::receiver::Receiver;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_late_410_of_an_old_url_leaves_the_webhook_enabled_and_its_messages_go_to_the_new_url() {
    let app = service().await;
    let caller = app.caller().await;
    let (answer, may_answer) = channel::<()>();
    let may_answer = Mutex::new(may_answer);
    let (has_arrived, arrived) = channel();
    let old = Receiver::answering(move |_| {
        has_arrived.send(()).unwrap();
        // An attempt ends after 15 s.
        let held = || may_answer.lock().unwrap().recv_timeout(Duration::from_secs(14));
        tokio::task::block_in_place(held).unwrap();
        "410 Gone".to_owned()
    });
    let (old, new) = (old.await, Receiver::start().await);
    let created = webhook(&caller, &old.url, &[]).await;
    let path = format!("/api/webhooks/{}", created["id"]);
    let send = async || {
        let sent = caller.post(&format!("{path}/test"), &json!({})).await;
        assert_eq!(sent.status, 202, "{sent:?}");
        sent.body["id"].as_str().unwrap().to_owned()
    };
    let first = send().await;
    tokio::task::block_in_place(|| arrived.recv_timeout(Duration::from_secs(60))).unwrap();
    let changed = patch(&caller, &path, &json!({ "url": new.url })).await;
    assert_eq!((changed.status, &changed.body["url"]), (200, &new.url.as_str().into()));
    answer.send(()).unwrap();
    delivery(&caller, "", |one| one["status_code"] == 410).await;
    let second = send().await;
    let received = new.until(2).await;
    let mut ids: Vec<_> = received.iter().map(|one| one.id().to_owned()).collect();
    ids.sort();
    assert_eq!(ids, [first, second]);
    let shown = caller.get(&path).await.body;
    assert_eq!(
        (&shown["enabled"], &shown["disabled_reason"]),
        (&true.into(), &json!(null))
    );
    all_sent(&caller).await;
    assert_eq!((old.received().len(), new.received().len()), (1, 2));
    let log = caller.get("/api/webhooks/deliveries").await.body["data"].take();
    for one in log.as_array().unwrap() {
        assert_eq!(
            (&one["status"], &one["url"]),
            (&"delivered".into(), &new.url.as_str().into())
        );
    }
}
