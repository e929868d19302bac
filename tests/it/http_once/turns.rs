//! Requests with one key that meet: at the same moment, while the first is at work, after the first was lost.

use super::{ALL, send, wait, whole};
use futures::future::join_all;
use reqwest::Method;
use std::time::{Duration, Instant};
use tests::{Caller, MP4, PNG, Reply, TestApp, image_form};
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

const END: &str = "\r\n--b--\r\n";

/// Sends the beginning of a form under a key; `rest` bytes and [`END`] are to follow.
async fn begin(app: &TestApp, caller: &Caller, (path, key): (&str, &str), form: &str, rest: &[u8]) -> TcpStream {
    let address = app.url.strip_prefix("http://").unwrap();
    let length = form.len() + rest.len() + END.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {key}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{form}",
        caller.token
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    changed(app, key, None, Duration::from_secs(10)).await;
    socket
}

/// Sends the first half of an upload under a key, and nothing more.
async fn half(app: &TestApp, caller: &Caller, key: &str) -> TcpStream {
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.mp4\"\r\n\r\n";
    begin(app, caller, ("/api/tasks", key), form, MP4).await
}

/// Sends the rest, and returns head and body of the answer.
async fn end(mut socket: TcpStream, rest: &[u8]) -> (String, String) {
    socket.write_all(rest).await.unwrap();
    socket.write_all(END.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// Waits until the row of a key is another than this one, and returns it.
async fn changed(app: &TestApp, key: &str, before: Option<&str>, within: Duration) -> String {
    let begun = Instant::now();
    loop {
        let mut rows = app.everything().await.into_iter();
        let row = rows.find(|line| line.starts_with("idempotency_keys: ") && line.contains(key));
        match row {
            Some(row) if before != Some(&row) => return row,
            row => assert!(begun.elapsed() < within, "it stays {row:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_long_keeps_its_key() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let first = half(&app, &caller, "long").await;
    let taken = changed(&app, "long", None, Duration::ZERO).await;
    // A third of the lease, and what a busy machine adds.
    changed(&app, "long", Some(&taken), Duration::from_secs(25)).await;
    assert_eq!(send(whole(&caller), "long").await.code(), "idempotency_key_in_use");
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_the_first_is_at_work_is_told_to_come_back() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let first = half(&app, &caller, "slow").await;
    let second = send(whole(&caller), "slow").await;
    assert_eq!(
        (second.status, second.code()),
        (409, "idempotency_key_in_use"),
        "{second:?}"
    );
    assert_eq!(second.header("retry-after"), "2");
    assert_eq!(send(whole(&caller), "another").await.status, 201);

    let (head, body) = end(first, MP4).await;
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
    let again = whole(&caller).header("idempotency-key", "slow").send().await.unwrap();
    assert_eq!(again.text().await.unwrap(), body, "letter by letter");
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
    let late = half(&app, &caller, "dead").await;
    assert_eq!(send(whole(&caller), "dead").await.status, 409);
    let second = after_the_lease(&app, async || send(whole(&caller), "dead").await).await;

    let (_, refusal) = end(late, MP4).await;
    assert!(refusal.contains("\"idempotency_key_in_use\""), "{refusal}");
    assert_eq!(send(whole(&caller), "dead").await.body, second.body);
    assert_eq!(caller.get("/api/tasks").await.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(app.stored_files().len(), 1, "its file went with it");
}

/// The answer to a request whose key another one holds, once the lease of that is over.
async fn after_the_lease(app: &TestApp, send: impl AsyncFn() -> Reply) -> Reply {
    for _ in 0..10 {
        wait(app).await;
        let reply = send().await;
        // Its beat may come just then.
        if reply.status != 409 {
            assert_eq!(reply.status, 201, "{reply:?}");
            return reply;
        }
    }
    panic!("the lease never ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_its_key_is_not_told_of_the_name_that_its_own_repetition_took() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let form = "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\ncat\r\n\
                --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"picture.png\"\r\n\r\n";
    let late = begin(&app, &caller, ("/api/images", "cat"), form, PNG).await;
    let image = || {
        caller
            .request(Method::POST, "/api/images")
            .multipart(image_form("cat", PNG.to_vec()))
    };
    after_the_lease(&app, async || send(image(), "cat").await).await;
    let (_, refusal) = end(late, PNG).await;
    assert!(refusal.contains("\"idempotency_key_in_use\""), "{refusal}");
    assert_eq!(app.stored_files().len(), 1, "its file went with it");
}
