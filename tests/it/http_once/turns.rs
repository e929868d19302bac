//! Requests with one key that meet: at the same moment, while the first is at work, after the first was lost.

use super::{ALL, send, wait, whole};
use futures::future::join_all;
use serde_json::Value;
use std::time::{Duration, Instant};
use tests::{Caller, MP4, TestApp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_makes_something() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    for making in ALL {
        let about = making.prepare(&caller).await;
        let key = &format!("key-{making:?}");
        let replies = join_all((0..8).map(|_| send(making.request(&caller, about, "web"), key))).await;
        let made = replies.iter().filter(|reply| reply.status == 201);
        let first: Vec<_> = made
            .clone()
            .filter(|reply| reply.header("idempotent-replayed").is_empty())
            .collect();
        assert_eq!(first.len(), 1, "{making:?}: {replies:?}");
        assert!(made.clone().all(|reply| reply.body == first[0].body), "{making:?}");
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            assert_eq!(
                (reply.status, reply.code()),
                (409, "idempotency_key_in_use"),
                "{making:?}"
            );
            assert_eq!(reply.header("retry-after"), "2");
        }
    }
    let tasks = caller.get("/api/tasks").await.body["data"].as_array().unwrap().len();
    assert_eq!(tasks, 3, "one upload, one that was canceled, and its retry");
    assert_eq!(app.stored_files().len(), 3, "two sources and an image");
}

/// Sends the first half of an upload under a key, and nothing more.
async fn half(app: &TestApp, caller: &Caller, key: &str) -> TcpStream {
    let address = app.url.strip_prefix("http://").unwrap();
    let part = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.mp4\"\r\n\r\n";
    let length = part.len() + MP4.len() + "\r\n--b--\r\n".len();
    let head = format!(
        "POST /api/tasks HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {key}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{part}",
        caller.token
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    // Until it has its turn.
    let begun = Instant::now();
    while !app
        .everything()
        .await
        .iter()
        .any(|line| line.starts_with("idempotency_keys: ") && line.contains(key))
    {
        assert!(begun.elapsed() < Duration::from_secs(10), "it never took its key");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_the_first_is_at_work_is_told_to_come_back() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let mut first = half(&app, &caller, "slow").await;
    let second = send(whole(&caller), "slow").await;
    assert_eq!(
        (second.status, second.code()),
        (409, "idempotency_key_in_use"),
        "{second:?}"
    );
    assert_eq!(second.header("retry-after"), "2");
    assert_eq!(send(whole(&caller), "another").await.status, 201);

    first.write_all(MP4).await.unwrap();
    first.write_all(b"\r\n--b--\r\n").await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 201"), "{answer}");
    let again = send(whole(&caller), "slow").await;
    assert_eq!(again.body, serde_json::from_str::<Value>(body).unwrap());
    assert_eq!(caller.get("/api/tasks").await.body["data"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_can_come_back_with_its_key() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    drop(half(&app, &caller, "lost").await);
    let begun = Instant::now();
    let reply = loop {
        let reply = send(whole(&caller), "lost").await;
        if reply.status != 409 {
            break reply;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{reply:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(
        (reply.status, reply.header("idempotent-replayed")),
        (201, ""),
        "{reply:?}"
    );
    assert_eq!(caller.get("/api/tasks").await.body["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_process_that_died_is_free_after_its_lease_and_the_dead_write_nothing() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    // The first is not dead, only late: its database forgets it while it still reads.
    let mut late = half(&app, &caller, "dead").await;
    assert_eq!(send(whole(&caller), "dead").await.status, 409);
    wait(&app).await;
    let second = send(whole(&caller), "dead").await;
    assert_eq!(second.status, 201, "{second:?}");

    late.write_all(MP4).await.unwrap();
    late.write_all(b"\r\n--b--\r\n").await.unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\"idempotency_key_in_use\""), "{answer}");
    assert_eq!(send(whole(&caller), "dead").await.body, second.body);
    assert_eq!(caller.get("/api/tasks").await.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(app.stored_files().len(), 1, "its file went with it");
}
