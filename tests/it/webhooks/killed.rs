//! Workers that are killed while they send: no message is lost.

use super::{patch, permit, webhook};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tests::receiver::Receiver;
use tests::server::Server;
use tests::{MP4, SECRET, TestApp};
use tokio::time::{Instant, sleep};

const CHANGES: usize = 300;
const KILLS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_lost_when_workers_are_killed() {
    let app = TestApp::idle_with(permit).await;
    let caller = app.caller().await;
    let task = caller.upload("clip.mp4", MP4.to_vec(), &[]).await.body;
    let video = format!("/api/videos/{}", task["video_id"]);
    let receiver = Receiver::start().await;
    webhook(&caller, &receiver.url, &["video.updated"]).await;
    let worker = |name: String| {
        let home = app.directory.path().join(name);
        std::fs::create_dir_all(&home).unwrap();
        let mut environment = app.environment.clone();
        environment.push(("RUSHES_OUTBOUND_ALLOW", "127.0.0.0/8".to_owned()));
        environment.push(("RUSHES_SEALING_KEY", SECRET.to_owned()));
        Server::start_in("worker", &home, &environment)
    };
    let mut workers = vec![worker("a".to_owned()), worker("b".to_owned())];
    let changes = async {
        for number in 0..CHANGES {
            let changed = patch(&caller, &video, &json!({ "title": format!("title {number}") })).await;
            assert_eq!(changed.status, 200, "{changed:?}");
        }
    };
    let kills = async {
        for number in 0..KILLS {
            receiver.until((number + 1) * CHANGES / (KILLS + 4)).await;
            let killed = workers.remove(0);
            killed.end("-KILL").await;
            workers.push(worker(format!("next-{number}")));
        }
    };
    tokio::join!(changes, kills);
    // What the killed workers had taken is due when its lease of 30 s has ended.
    let begun = Instant::now();
    let titles = loop {
        let mut titles = BTreeMap::<String, BTreeSet<String>>::new();
        for one in receiver.received() {
            let title = one.json()["data"]["title"].as_str().unwrap().to_owned();
            titles.entry(title).or_default().insert(one.id().to_owned());
        }
        if titles.len() == CHANGES {
            break titles;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "{} of {CHANGES}",
            titles.len()
        );
        sleep(Duration::from_millis(100)).await;
    };
    assert!(
        titles.values().all(|ids| ids.len() == 1),
        "one message for each event: {titles:?}"
    );
    let received = receiver.received().len();
    println!("{received} requests for {CHANGES} messages, {KILLS} workers killed");
    let page = "/api/webhooks/deliveries?status=pending";
    while caller.get(page).await.body["data"] != json!([]) {
        assert!(begun.elapsed() < Duration::from_secs(180), "some stay pending");
        sleep(Duration::from_millis(200)).await;
    }
}
