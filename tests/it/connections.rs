//! Limits of connections (idle, slow, many), and replies to bytes that are no valid HTTP request.

use reqwest::Method;
use serde_json::Value;
use std::time::{Duration, Instant};
use tests::{Options, TestApp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Timeout of one read: longer than any limit in these tests, also on a machine under load.
const TIMEOUT: Duration = Duration::from_secs(30);

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.url.strip_prefix("http://").unwrap())
        .await
        .unwrap()
}

/// Reads until the server closes or resets the connection.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = timeout(TIMEOUT, stream.read_to_end(&mut bytes));
    let _ = read.await.expect("the server does not close the connection");
    bytes
}

/// A service with short timeouts: 300 ms for the head of a request, 600 ms for an idle connection.
async fn with_short_timeouts() -> TestApp {
    let mut options = Options {
        worker: None,
        ..Options::default()
    };
    options.server.first_request_timeout = Duration::from_millis(300);
    options.server.keep_alive_timeout = Duration::from_millis(600);
    TestApp::with(options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_complete_request_is_closed_without_a_reply() {
    let app = with_short_timeouts().await;
    for beginning in [
        "",
        "G",
        "GET /ping HTTP/1.1",
        "GET /ping HTTP/1.1\r\nhost: a\r\n",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\r\n\r\n",
    ] {
        let mut stream = connect(&app).await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let received = read_to_end(&mut stream).await;
        assert!(!received.starts_with(b"HTTP"), "{beginning:?}: {received:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_headers_and_idle_connections_are_closed() {
    let app = with_short_timeouts().await;
    let (mut read, mut write) = connect(&app).await.into_split();
    let dripping = tokio::spawn(async move {
        let endless = b"GET /ping HTTP/1.1\r\nx: ".iter().chain(std::iter::repeat(&b'a'));
        for byte in endless {
            if write.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut received = Vec::new();
    let _ = timeout(TIMEOUT, read.read_to_end(&mut received))
        .await
        .expect("the server waits for slow headers without end");
    assert_eq!(received, b"");
    dripping.abort();

    for half in ["", "GET /ping HTTP/1.1\r\nho"] {
        let mut stream = connect(&app).await;
        for _ in 0..3 {
            stream
                .write_all(b"GET /ping HTTP/1.1\r\nhost: a\r\n\r\n")
                .await
                .unwrap();
            assert!(reply(&mut stream).await.0.starts_with("HTTP/1.1 200"));
        }
        stream.write_all(half.as_bytes()).await.unwrap();
        assert_eq!(
            read_to_end(&mut stream).await,
            b"",
            "closed when idle, also with half a request: {half}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_progress_may_take_longer_than_an_idle_connection() {
    let app = with_short_timeouts().await;
    let caller = app.caller().await;
    let (first, second) = tests::MP4.split_at(8);
    let file = futures::stream::unfold(0, move |step| async move {
        if step == 1 {
            sleep(Duration::from_millis(1_500)).await;
        }
        let bytes = [first, second].get(step).map(|bytes| bytes.to_vec())?;
        Some((Ok::<_, std::io::Error>(bytes), step + 1))
    });
    let part = reqwest::multipart::Part::stream(reqwest::Body::wrap_stream(file)).file_name("slow.mp4");
    let stored = caller.submit(reqwest::multipart::Form::new().part("file", part)).await;
    assert_eq!(stored.status, 201, "{stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_the_rest_of_its_body_is_refused_and_its_connection_closed() {
    let limit = Duration::from_millis(700);
    let app = TestApp::idle_with(|config| config.request_timeout = Duration::from_millis(700)).await;
    let mut stream = connect(&app).await;
    let head =
        "POST /api/auth/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let begun = Instant::now();
    let reply = String::from_utf8(read_to_end(&mut stream).await).unwrap();
    assert!(reply.starts_with("HTTP/1.1 503"), "{reply}");
    assert!(
        begun.elapsed() < limit + Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_for_a_request_when_the_limit_is_reached() {
    let mut options = Options {
        worker: None,
        ..Options::default()
    };
    options.server.max_connections = 8;
    let app = TestApp::with(options).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(connect(&app).await);
    }
    let ping = timeout(TIMEOUT, app.anonymous().get("/ping")).await;
    assert_eq!(ping.expect("idle connections block a request").status, 200);
    // The oldest was closed without a reply.
    assert_eq!(read_to_end(&mut idle[0]).await, b"");
}

/// Reads a reply that has `Content-Length`; returns its head and its body.
async fn reply(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let read = timeout(TIMEOUT, stream.read_buf(&mut bytes)).await.unwrap().unwrap();
        assert!(read > 0, "the reply ends early: {:?}", String::from_utf8_lossy(&bytes));
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.unwrap_or_else(|| panic!("{head}")).parse().unwrap();
    let mut body = bytes[end..].to_vec();
    while body.len() < length {
        let read = timeout(TIMEOUT, stream.read_buf(&mut body)).await.unwrap().unwrap();
        assert!(read > 0, "the body ends early");
    }
    (head, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_request_gets_problem_details_and_a_request_id() {
    let app = TestApp::idle().await;
    let headers: String = (0..120).map(|number| format!("x-{number}: a\r\n")).collect();
    let good = "GET /ping HTTP/1.1\r\nhost: a\r\n\r\n";
    for (defect, request, status, code) in [
        ("garbage", "garbage\r\n\r\n".to_owned(), 400, "request_invalid"),
        ("no version", "GET /\r\n\r\n".to_owned(), 400, "request_invalid"),
        (
            "a bad header",
            "GET /ping HTTP/1.1\r\nhost: a\r\nb ad: c\r\n\r\n".to_owned(),
            400,
            "request_invalid",
        ),
        (
            "TLS",
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}".to_owned() + "\r\n\r\n",
            400,
            "request_invalid",
        ),
        (
            "a long address",
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000)),
            414,
            "uri_too_long",
        ),
        (
            "many headers",
            format!("GET /ping HTTP/1.1\r\nhost: a\r\n{headers}\r\n"),
            431,
            "headers_too_large",
        ),
        (
            "a long header",
            format!("GET /ping HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(900_000)),
            431,
            "headers_too_large",
        ),
        (
            "no host",
            "GET /ping HTTP/1.1\r\n\r\n".to_owned(),
            400,
            "request_invalid",
        ),
        (
            "two hosts",
            "GET /ping HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n".to_owned(),
            400,
            "request_invalid",
        ),
        (
            "the same host twice",
            "GET /ping HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".to_owned(),
            400,
            "request_invalid",
        ),
        (
            "no host name",
            "GET /ping HTTP/1.1\r\nhost: a/b c\r\n\r\n".to_owned(),
            400,
            "request_invalid",
        ),
    ] {
        for first in [None, Some(good)] {
            let mut stream = connect(&app).await;
            if let Some(good) = first {
                stream.write_all(good.as_bytes()).await.unwrap();
                assert!(reply(&mut stream).await.0.starts_with("HTTP/1.1 200"));
            }
            // The server may reply and stop reading before the whole request has been sent.
            let _ = stream.write_all(request.as_bytes()).await;
            let (head, body) = reply(&mut stream).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{defect}: {head}");
            assert!(
                head.contains("\r\ncontent-type: application/problem+json\r\n"),
                "{defect}: {head}"
            );
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (&body["code"], &body["status"]),
                (&code.into(), &status.into()),
                "{defect}"
            );
            let id = body["request_id"].as_str().unwrap();
            assert!(
                head.contains(&format!("\r\nx-request-id: {id}\r\n")),
                "{defect}: {head}"
            );
        }
    }
    let mut stream = connect(&app).await;
    stream
        .write_all(b"GET /ping HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        .await
        .unwrap();
    let (head, _) = reply(&mut stream).await;
    assert!(head.contains(" 200 "), "HTTP/1.0 has no Host: {head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hsts_is_sent_only_when_the_client_uses_tls() {
    let year = |config: &mut backend::Config| config.hsts = Some(Duration::from_secs(31_536_000));
    let public = |config: &mut backend::Config| {
        config.hsts = Some(Duration::from_secs(31_536_000));
        config.public_url = Some("https://video.example.com".parse().unwrap());
    };
    let proxied = |config: &mut backend::Config| {
        config.hsts = Some(Duration::from_secs(31_536_000));
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    };
    let none = |config: &mut backend::Config| config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let value = Some("max-age=31536000");
    for (config, scheme, expected) in [
        (year as fn(&mut backend::Config), "https", None),
        (public, "http", value),
        (proxied, "https", value),
        (proxied, "http", None),
        (none, "https", None),
    ] {
        let app = TestApp::idle_with(config).await;
        let request = app.anonymous().request(Method::GET, "/api/nothing");
        let response = request.header("x-forwarded-proto", scheme).send().await.unwrap();
        let header = response.headers().get("strict-transport-security");
        assert_eq!(header.map(|value| value.to_str().unwrap()), expected, "{scheme}");
    }
}

/// An HTTP/2 connection preface (RFC 9113 §3.4) with an initial window of 0, so that the server cannot send any body,
/// and 32 requests.
fn many_requests() -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        [&head, payload].concat()
    };
    let (settings, headers, end) = (4, 1, 0x5);
    let no_window = [0, 4, 0, 0, 0, 0];
    // `:method: GET`, `:scheme: http`, a literal `:path` and `:authority` (RFC 7541).
    let request = [&[0x82, 0x86, 0x04, 5], &b"/ping"[..], &[0x41, 4], b"test"].concat();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(settings, 0, 0, &no_window));
    for number in 0..32 {
        bytes.extend(frame(headers, end, 2 * number + 1, &request));
    }
    bytes
}

#[tokio::test]
async fn many_requests_on_few_connections_do_not_block_other_connections() {
    let mut options = Options {
        worker: None,
        ..Options::default()
    };
    options.server.max_connections = 8;
    let app = TestApp::with(options).await;
    let mut kept = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(&app).await;
        stream.write_all(&many_requests()).await.unwrap();
        // The server acknowledges the settings, so it has read them.
        assert!(stream.read_u8().await.is_ok());
        kept.push(stream);
    }
    for _ in 0..20 {
        let request = reqwest::get(format!("{}/livez", app.url));
        let reply = timeout(TIMEOUT, request).await;
        assert_eq!(reply.expect("other connections are blocked").unwrap().status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_too_large_for_http_2_get_problem_details_and_a_request_id() {
    let app = TestApp::idle().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let ping = || client.get(format!("{}/ping", app.url));
    assert_eq!(ping().send().await.unwrap().version(), reqwest::Version::HTTP_2);
    let many = (0..120).fold(ping(), |request, number| request.header(format!("x-{number}"), "a"));
    let long = ping().header("x", "a".repeat(140_000));
    for (name, request) in [("many", many), ("long", long)] {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 431, "{name}");
        let id = reply.headers()["x-request-id"].to_str().unwrap().to_owned();
        let problem: Value = reply.json().await.unwrap();
        assert_eq!(
            (&problem["code"], &problem["request_id"]),
            (&"headers_too_large".into(), &id.into())
        );
    }
    let less = ping().header("x", "a".repeat(100_000));
    assert_eq!(less.send().await.unwrap().status(), 200, "the connection stays usable");
}
