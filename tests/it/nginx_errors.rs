//! Requests that nginx refuses by itself, its error log, and request bodies on its disk.

use crate::nginx::Nginx;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tests::TestApp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Timeout of a reply.
const TIMEOUT: Duration = Duration::from_secs(30);

async fn connect(url: &str) -> TcpStream {
    let address = url.strip_prefix("http://").unwrap();
    for _ in 0..200 {
        if let Ok(stream) = TcpStream::connect(address).await {
            return stream;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nginx does not listen on {address}");
}

/// Sends bytes, reads until the connection is closed, and returns the head in lower case and the body.
async fn ask(url: &str, request: &str) -> (String, Value) {
    let mut stream = connect(url).await;
    let _ = stream.write_all(request.as_bytes()).await;
    let mut bytes = Vec::new();
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut bytes))
        .await
        .expect("nginx does not close the connection");
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{request:.80}: {text}"));
    (
        head.to_ascii_lowercase(),
        serde_json::from_str(body).unwrap_or_default(),
    )
}

/// Reads a file in the directory of nginx.
fn read(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join("nginx").join(name)).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_nginx_refuses_get_problem_details_and_a_request_id() {
    let app = TestApp::idle().await;
    let nginx = Nginx::in_front_of(&app.url, app.directory.path());
    nginx.ready().await;
    let long = "a".repeat(9_000);
    for (request, status, code) in [
        ("garbage\r\n\r\n".to_owned(), 400, "request_invalid"),
        (
            "GET /ping HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(),
            400,
            "request_invalid",
        ),
        (
            "GET /ping HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n".to_owned(),
            400,
            "request_invalid",
        ),
        (
            format!("GET /{long} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
            414,
            "uri_too_long",
        ),
        (
            format!("GET /ping HTTP/1.1\r\nhost: a\r\nx: {long}\r\nconnection: close\r\n\r\n"),
            431,
            "headers_too_large",
        ),
        (
            "POST /api/plan HTTP/1.1\r\nhost: a\r\ncontent-length: 70000\r\nconnection: close\r\n\r\n".to_owned(),
            413,
            "body_too_large",
        ),
        (
            "POST /api/auth/login HTTP/1.1\r\nhost: a\r\ncontent-length: 20000\r\nconnection: close\r\n\r\n".to_owned(),
            413,
            "body_too_large",
        ),
        (
            "TRACE / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_owned(),
            405,
            "method_not_allowed",
        ),
    ] {
        let (head, body) = ask(&nginx.url, &request).await;
        assert!(
            head.starts_with(&format!("http/1.1 {status} ")),
            "{request:.80}: {head}"
        );
        assert!(
            head.contains("content-type: application/problem+json"),
            "{request:.80}: {head}"
        );
        assert_eq!(
            (&body["code"], &body["status"]),
            (&code.into(), &status.into()),
            "{request:.80}: {head}"
        );
        let id = body["request_id"].as_str().unwrap();
        assert!(
            !id.is_empty() && head.contains(&format!("x-request-id: {id}")),
            "{head}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_log_of_nginx_contains_other_errors_but_no_signatures() {
    let directory = tempfile::tempdir().unwrap();
    // No process listens on this port.
    let nginx = Nginx::in_front_of("http://127.0.0.1:9", directory.path());
    let (play, download) = (
        "/api/video/play/1.key.proof/2026/01/31/7_clip.mp4/hls/master.m3u8?a=proof",
        "/api/video/download/2026/01/31/7_clip.mp4?output=video.mp4&signature=proof",
    );
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{more}\r\n");
    let big = format!("x: {}\r\n", "a".repeat(9_000));
    for path in [
        play,
        download,
        "//api/video/download/x?signature=proof",
        "/api/vide%6f/download/x?signature=proof",
    ] {
        let (head, body) = ask(&nginx.url, &get(path, "")).await;
        assert_eq!(body["code"], "unavailable", "{head}");
        for more in ["b ad: header\r\n", "host: b\r\n", big.as_str(), "content-length: x\r\n"] {
            ask(&nginx.url, &get(path, more)).await;
        }
        ask(&nginx.url, &get(&format!("{path}{}", "a".repeat(9_000)), "")).await;
    }
    let (head, _) = ask(&nginx.url, &get("/api/tasks?max=7", "")).await;
    assert!(head.starts_with("http/1.1 502"), "{head}");
    drop(nginx);
    let (errors, access) = (
        read(directory.path(), "error.log"),
        read(directory.path(), "access.log"),
    );
    assert!(!errors.contains("proof"), "{errors}");
    assert!(!access.contains("proof"), "{access}");
    assert!(
        errors.contains("connect() failed") && errors.contains("/api/tasks?max=7"),
        "{errors}"
    );
    assert!(access.contains(r#""upstream_status":"502""#), "{access}");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_bodies_without_a_token_are_not_written_to_disk_by_nginx() {
    let app = TestApp::idle().await;
    let nginx = Nginx::in_front_of(&app.url, app.directory.path());
    nginx.ready().await;
    let body = vec![b'a'; 60_000];
    let mut waiting = Vec::new();
    for (path, bytes, parts) in [
        ("/api/images", 2_000_000, 33),
        ("/api/tasks", 2_000_000, 33),
        ("/api/plan", 64_000, 1),
        ("/api/auth/login", 16_000, 0),
    ] {
        for _ in 0..11 {
            let mut stream = connect(&nginx.url).await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: {bytes}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            for _ in 0..parts {
                // nginx stops reading when its buffers are full.
                if !timeout(Duration::from_millis(200), stream.write_all(&body))
                    .await
                    .is_ok_and(|sent| sent.is_ok())
                {
                    break;
                }
            }
            waiting.push(stream);
        }
    }
    let open = open_files_below(&app.directory.path().join("nginx"));
    let bodies: Vec<_> = open.iter().filter(|path| path.contains("client_body")).collect();
    assert!(bodies.is_empty(), "{bodies:?}");
    assert!(
        open.iter().any(|path| path.ends_with("error.log")),
        "the open error log is found: {open:?}"
    );
    assert_eq!(app.anonymous().get(&format!("{}/ping", nginx.url)).await.status, 200);
}

/// The files in a directory that any process has open, also unlinked ones: nginx unlinks the file of a request body as
/// soon as it has opened it.
fn open_files_below(directory: &Path) -> Vec<String> {
    let below = directory.display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let descriptors = processes.filter_map(|process| std::fs::read_dir(process.path().join("fd")).ok());
    descriptors
        .flatten()
        .filter_map(|descriptor| std::fs::read_link(descriptor.ok()?.path()).ok())
        .map(|path| path.display().to_string())
        .filter(|path| path.starts_with(&below))
        .collect()
}
