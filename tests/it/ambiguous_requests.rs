//! Bodies and credentials that a proxy could read in another way than the backend are refused.

use tests::{Reply, TestApp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn an_encoded_or_partial_body_is_refused_and_stored_nowhere() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let before = app.snapshot().await;
    for (method, path, name, value, status, code) in [
        (
            "PUT",
            "/api/uploads/file",
            "content-encoding",
            "gzip",
            415,
            "content_type_unsupported",
        ),
        (
            "POST",
            "/api/presets",
            "content-encoding",
            "br",
            415,
            "content_type_unsupported",
        ),
        (
            "POST",
            "/api/tasks",
            "content-encoding",
            "identity, gzip",
            415,
            "content_type_unsupported",
        ),
        (
            "PUT",
            "/api/uploads/file",
            "content-range",
            "bytes 0-9/100",
            400,
            "request_invalid",
        ),
    ] {
        let request = caller.request(method.parse().unwrap(), path).header(name, value);
        let reply = Reply::read(request.body(tests::MP4.to_vec()).send().await.unwrap()).await;
        assert_eq!(
            (reply.status, reply.code()),
            (status, code),
            "{name}: {value}: {reply:?}"
        );
    }
    assert_eq!(app.snapshot().await, before);
    let plain = caller.request("PUT".parse().unwrap(), "/api/uploads/file?preset=audio");
    let plain = plain.header("content-encoding", "Identity").body(tests::MP4.to_vec());
    assert_eq!(plain.send().await.unwrap().status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tokens_in_one_request_are_refused() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let request = caller.request("GET".parse().unwrap(), "/api/tasks");
    let reply = Reply::read(request.header("authorization", "Bearer other").send().await.unwrap()).await;
    assert_eq!((reply.status, reply.code()), (401, "token_invalid"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_with_another_transfer_coding_or_two_lengths_is_refused() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let address = app.url.strip_prefix("http://").unwrap();
    for lines in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "PUT /api/uploads/file HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n{lines}\r\n\r\n0\r\n\r\n",
            caller.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut reply = [0; 12];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&reply), "HTTP/1.1 400", "{lines}");
    }
}
