//! Parallel requests with one idempotency key: at the same time, while the first is in progress, and after the first
//! was lost.

use super::{ALL, expire, plain_upload, send};
use futures::future::join_all;
use reqwest::Method;
use std::time::{Duration, Instant};
use tests::{Caller, MP4, PNG, Reply, TestApp, image_form};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn of_parallel_requests_with_one_key_one_creates_a_resource() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    for operation in ALL {
        let canceled = operation.prepare(&caller).await;
        let key = &format!("key-{operation:?}");
        let replies = join_all((0..8).map(|_| send(operation.request(&caller, canceled, "web"), key))).await;
        let created = replies.iter().filter(|reply| reply.status == 201);
        let first: Vec<_> = created
            .clone()
            .filter(|reply| reply.header("idempotent-replayed").is_empty())
            .collect();
        assert_eq!(first.len(), 1, "{operation:?}: {replies:?}");
        assert!(
            created.clone().all(|reply| reply.body == first[0].body),
            "{operation:?}"
        );
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            assert_eq!(
                (reply.status, reply.code()),
                (409, "idempotency_key_in_use"),
                "{operation:?}"
            );
            assert_eq!(reply.header("retry-after"), "2");
        }
    }
    let tasks = caller.get("/api/tasks").await.body["data"].as_array().unwrap().len();
    assert_eq!(tasks, 3, "one upload, one that was canceled, and its retry");
    assert_eq!(app.stored_files().len(), 3, "two sources and an image");
}

/// The end of a multipart body.
const END: &str = "\r\n--b--\r\n";

/// A request whose body is sent in two steps.
struct SlowRequest {
    path: &'static str,
    key: &'static str,
    /// The beginning of the form.
    form: &'static str,
    /// The bytes of the file, which [`end`] sends.
    file: &'static [u8],
}

/// Sends the head and the beginning of the form, and waits until the key is in use.
async fn begin(app: &TestApp, caller: &Caller, request: SlowRequest) -> TcpStream {
    let SlowRequest { path, key, form, file } = request;
    let address = app.url.strip_prefix("http://").unwrap();
    let length = form.len() + file.len() + END.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {key}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{form}",
        caller.token
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    changed_row(app, key, None, Duration::from_secs(10)).await;
    socket
}

/// Begins an upload under a key.
async fn begin_upload(app: &TestApp, caller: &Caller, key: &'static str) -> TcpStream {
    let request = SlowRequest {
        path: "/api/tasks",
        key,
        form: "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.mp4\"\r\n\r\n",
        file: MP4,
    };
    begin(app, caller, request).await
}

/// Sends the rest of the body and returns head and body of the reply.
async fn end(mut socket: TcpStream, file: &[u8]) -> (String, String) {
    socket.write_all(file).await.unwrap();
    socket.write_all(END.as_bytes()).await.unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// Waits until the row of a key differs from `before` and returns it.
async fn changed_row(app: &TestApp, key: &str, before: Option<&str>, within: Duration) -> String {
    let begun = Instant::now();
    loop {
        let mut rows = app.snapshot().await.into_iter();
        let row = rows.find(|line| line.starts_with("idempotency_keys: ") && line.contains(key));
        match row {
            Some(row) if before != Some(&row) => return row,
            row => assert!(begun.elapsed() < within, "the row is still {row:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_request_renews_the_lease_of_its_key() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let first = begin_upload(&app, &caller, "long").await;
    let taken = changed_row(&app, "long", None, Duration::ZERO).await;
    // The lease is renewed every 10 s; more time for a machine under load.
    changed_row(&app, "long", Some(&taken), Duration::from_secs(25)).await;
    assert_eq!(
        send(plain_upload(&caller), "long").await.code(),
        "idempotency_key_in_use"
    );
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_key_is_in_use_gets_409_with_retry_after() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let first = begin_upload(&app, &caller, "slow").await;
    let second = send(plain_upload(&caller), "slow").await;
    assert_eq!(
        (second.status, second.code()),
        (409, "idempotency_key_in_use"),
        "{second:?}"
    );
    assert_eq!(second.header("retry-after"), "2");
    assert_eq!(send(plain_upload(&caller), "another").await.status, 201);

    let (head, body) = end(first, MP4).await;
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
    let again = plain_upload(&caller)
        .header("idempotency-key", "slow")
        .send()
        .await
        .unwrap();
    assert_eq!(again.text().await.unwrap(), body, "the stored reply is byte-identical");
    assert_eq!(caller.get("/api/tasks").await.body["data"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnected_can_repeat_its_request() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    drop(begin_upload(&app, &caller, "lost").await);
    let begun = Instant::now();
    let reply = loop {
        let reply = send(plain_upload(&caller), "lost").await;
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
async fn after_its_lease_has_expired_a_key_is_free_and_its_first_request_cannot_commit() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    // The first request is still reading its body when its lease expires.
    let late = begin_upload(&app, &caller, "dead").await;
    assert_eq!(send(plain_upload(&caller), "dead").await.status, 409);
    let second = after_the_lease(&app, async || send(plain_upload(&caller), "dead").await).await;

    let (_, refusal) = end(late, MP4).await;
    assert!(refusal.contains("\"idempotency_key_in_use\""), "{refusal}");
    assert_eq!(send(plain_upload(&caller), "dead").await.body, second.body);
    assert_eq!(caller.get("/api/tasks").await.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        app.stored_files().len(),
        1,
        "the file of the refused request was removed"
    );
}

/// Expires the lease on a key and returns the reply to a request with that key.
async fn after_the_lease(app: &TestApp, send: impl AsyncFn() -> Reply) -> Reply {
    for _ in 0..10 {
        expire(app).await;
        let reply = send().await;
        // The first request may have renewed its lease just now.
        if reply.status != 409 {
            assert_eq!(reply.status, 201, "{reply:?}");
            return reply;
        }
    }
    panic!("the lease never ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_lost_its_lease_gets_idempotency_key_in_use_although_its_name_is_taken() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let form = "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\ncat\r\n\
                --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"picture.png\"\r\n\r\n";
    let request = SlowRequest {
        path: "/api/images",
        key: "cat",
        form,
        file: PNG,
    };
    let late = begin(&app, &caller, request).await;
    let image = || {
        caller
            .request(Method::POST, "/api/images")
            .multipart(image_form("cat", PNG.to_vec()))
    };
    after_the_lease(&app, async || send(image(), "cat").await).await;
    let (_, refusal) = end(late, PNG).await;
    assert!(refusal.contains("\"idempotency_key_in_use\""), "{refusal}");
    assert_eq!(
        app.stored_files().len(),
        1,
        "the file of the refused request was removed"
    );
}
