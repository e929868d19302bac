//! Uploads at the level of HTTP: order of parts, bodies that pause, end early or never end, file names, and clients
//! that read the reply only after they have sent the whole body.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::clip::Clip;
use tests::{Caller, TestApp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A service without a worker, with a limit of 1 MB for an upload and of 500 ms for a pause in it.
async fn limited() -> TestApp {
    let config = |config: &mut backend::Config| {
        config.app.limits.max_upload_bytes = 1_000_000;
        config.upload_idle = Duration::from_millis(500);
    };
    TestApp::idle_with(config).await
}

fn clip(app: &TestApp) -> Vec<u8> {
    std::fs::read(Clip::default().make(app.directory.path())).unwrap()
}

fn file(bytes: Vec<u8>) -> Part {
    Part::bytes(bytes).file_name("x.mp4")
}

/// The head of an upload, with further header lines.
fn head(app: &TestApp, caller: &Caller, lines: &str) -> String {
    let address = app.url.strip_prefix("http://").unwrap();
    format!(
        "POST /api/tasks HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n{lines}\r\n",
        caller.token
    )
}

/// The header of the part with the file.
const PART: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.mp4\"\r\n\r\n";

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.url.strip_prefix("http://").unwrap())
        .await
        .unwrap()
}

/// Reads a reply that is JSON, for at most 10 s.
async fn read_reply(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = async {
        let mut buffer = [0; 4_096];
        loop {
            let count = socket.read(&mut buffer).await.unwrap();
            text.extend_from_slice(&buffer[..count]);
            if count == 0 || text.ends_with(b"}") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.unwrap();
    String::from_utf8(text).unwrap()
}

/// Asserts that all stored files are removed within 5 s.
async fn assert_nothing_stored(app: &TestApp) {
    for _ in 0..50 {
        if app.stored_files().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(app.stored_files(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_may_have_any_order() {
    let app = limited().await;
    let caller = app.caller().await;
    let recipe = r#"{"trim":{"end":1},"outputs":[{"kind":"mp4"}]}"#;
    for form in [
        Form::new().part("file", file(clip(&app))).text("preset", "idrl"),
        Form::new().text("preset", "idrl").part("video", file(clip(&app))),
        Form::new().part("fileName", file(clip(&app))).text("recipe", recipe),
        Form::new().text("recipe", recipe).part("file", file(clip(&app))),
    ] {
        let reply = caller.submit(form).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let task = caller.get(&format!("/api/tasks/{}", reply.body["id"])).await.body;
        let from_preset = task["preset"] == "idrl" && task["recipe"]["trim"]["end"] == 16;
        let from_recipe = task["preset"].is_null() && task["recipe"]["trim"]["end"] == 1;
        assert!(from_preset || from_recipe, "{task}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_after_the_file_removes_the_file() {
    let app = limited().await;
    let caller = app.caller().await;
    let with = |name: &'static str, value: &'static str| Form::new().part("file", file(clip(&app))).text(name, value);
    for (form, code) in [
        (with("preset", "nope"), "preset_unknown"),
        (with("recipe", "{}"), "recipe_invalid"),
        (with("colour", "blue"), "part_unknown"),
        (
            with("preset", "web").text("recipe", r#"{"outputs":[{"kind":"mp4"}]}"#),
            "preset_and_recipe",
        ),
        (
            with("preset", "web").part("file", file(clip(&app))),
            "multipart_invalid",
        ),
    ] {
        let reply = caller.submit(form).await;
        assert_eq!(reply.code(), code, "{reply:?}");
        assert_eq!(app.stored_files(), Vec::<PathBuf>::new(), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stored_file_has_the_bytes_and_the_hash_of_the_upload() {
    use sha2::{Digest, Sha256};
    let app = limited().await;
    let caller = app.caller().await;
    let bytes = clip(&app);
    let reply = caller.upload("x.mp4", bytes.clone(), &[]).await;
    let task = caller.get(&format!("/api/tasks/{}", reply.body["id"])).await.body;
    assert_eq!(task["source"]["bytes"], bytes.len());
    assert_eq!(task["source"]["sha256"], hex::encode(Sha256::digest(&bytes)));
    assert_eq!(
        task["progress"],
        json!({ "percent": 0, "phase": null, "eta_s": null, "fps": null, "speed": null })
    );
    assert_eq!(
        (&task["error"], &task["report"], &task["outputs"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_the_whole_body_first_can_read_the_refusal() {
    let app = limited().await;
    let (caller, anonymous) = (app.caller().await, app.anonymous());
    let body = vec![b'x'; 12_000_000];
    for (client, status) in [(&caller, "413 Payload Too Large"), (&anonymous, "401 Unauthorized")] {
        let mut socket = connect(&app).await;
        let lines = format!("Content-Length: {}\r\n", body.len());
        socket.write_all(head(&app, client, &lines).as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        socket.write_all(&body).await.unwrap();
        let reply = read_reply(&mut socket).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{reply}");
        assert!(reply.contains("application/problem+json"), "{reply}");
    }
    assert_nothing_stored(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_expect_100_continue_is_refused_before_its_body() {
    let app = limited().await;
    let (caller, anonymous) = (app.caller().await, app.anonymous());
    for (client, bytes, first) in [
        (&caller, 12_000_000, "413"),
        (&anonymous, 500_000, "401"),
        (&caller, 500_000, "100"),
    ] {
        let mut socket = connect(&app).await;
        let lines = format!("Content-Length: {bytes}\r\nExpect: 100-continue\r\n");
        socket.write_all(head(&app, client, &lines).as_bytes()).await.unwrap();
        let mut start = [0; 12];
        tokio::time::timeout(Duration::from_secs(5), socket.read_exact(&mut start))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(std::str::from_utf8(&start).unwrap(), format!("HTTP/1.1 {first}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_holds_for_a_body_without_content_length() {
    let app = limited().await;
    let caller = app.caller().await;
    let start = clip(&app);
    let rest = futures::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![0; 50_000]))));
    let first = futures::stream::iter([Ok(bytes::Bytes::from(start))]);
    let body = reqwest::Body::wrap_stream(futures::StreamExt::chain(first, rest));
    let reply = caller
        .submit(Form::new().part("file", Part::stream(body).file_name("x.mp4")))
        .await;
    assert_eq!((reply.status, reply.code()), (413, "upload_too_large"), "{reply:?}");
    assert_eq!(app.stored_files(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_pauses_too_long_gets_408() {
    let app = limited().await;
    let caller = app.caller().await;
    let mut socket = connect(&app).await;
    socket
        .write_all(head(&app, &caller, "Content-Length: 900000\r\n").as_bytes())
        .await
        .unwrap();
    socket.write_all(PART.as_bytes()).await.unwrap();
    let clip = clip(&app);
    socket.write_all(&clip[..clip.len() / 2]).await.unwrap();
    let reply = read_reply(&mut socket).await;
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    assert!(reply.contains("request_timeout"), "{reply}");
    assert_nothing_stored(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_with_an_endless_header_is_refused() {
    let app = limited().await;
    let caller = app.caller().await;
    let mut socket = connect(&app).await;
    socket
        .write_all(head(&app, &caller, "Transfer-Encoding: chunked\r\n").as_bytes())
        .await
        .unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
    let begin = "--b\r\nX-Endless: ";
    socket
        .write_all(format!("{:x}\r\n{begin}\r\n", begin.len()).as_bytes())
        .await
        .unwrap();
    for _ in 0..64 {
        if socket.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let reply = read_reply(&mut socket).await;
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    assert!(reply.contains("multipart_invalid"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_ends_early_is_refused() {
    let app = limited().await;
    let caller = app.caller().await;
    let bytes = clip(&app);
    for body in [
        [PART.as_bytes(), &bytes].concat(),
        [
            PART.as_bytes(),
            &bytes,
            b"\r\n--b\r\nContent-Disposition: form-data; name=\"pre",
        ]
        .concat(),
        b"--b".to_vec(),
        b"".to_vec(),
    ] {
        let request = caller.request(reqwest::Method::POST, "/api/tasks").body(body);
        let reply = request
            .header("content-type", "multipart/form-data; boundary=b")
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 400);
        assert_eq!(reply.json::<Value>().await.unwrap()["code"], "multipart_invalid");
        assert_eq!(app.stored_files(), Vec::<PathBuf>::new());
    }
    let without = caller
        .request(reqwest::Method::POST, "/api/tasks")
        .header("content-type", "multipart/form-data");
    assert_eq!(
        without.send().await.unwrap().json::<Value>().await.unwrap()["code"],
        "multipart_invalid"
    );
    let empty = Form::new().part("file", Part::bytes(Vec::new()).file_name(""));
    assert_eq!(caller.submit(empty).await.message(), "No file part");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_name_is_decoded_as_browsers_encode_it() {
    let app = limited().await;
    let caller = app.caller().await;
    let bytes = clip(&app);
    for (sent, name) in [
        (r#"filename="a%22b%0D%0Ac.mp4""#, "a\"b\r\nc.mp4"),
        (r#"filename="a\"b.mp4""#, "a\"b.mp4"),
        (r#"filename="C:\clips\x.mp4""#, r"C:\clips\x.mp4"),
        ("filename*=utf-8''d%C3%ADa%20%F0%9F%8E%AC.mp4", "día 🎬.mp4"),
        ("filename=\"día 🎬.mp4\"", "día 🎬.mp4"),
    ] {
        let part = format!("--b\r\nContent-Disposition: form-data; name=\"file\"; {sent}\r\n\r\n");
        let body = [part.as_bytes(), &bytes, b"\r\n--b--\r\n"].concat();
        let request = caller.request(reqwest::Method::POST, "/api/tasks").body(body);
        let reply = request
            .header("content-type", "multipart/form-data; boundary=b")
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 201, "{sent}");
        let reply: Value = reply.json().await.unwrap();
        assert_eq!(reply["display_name"], name, "{sent}");
        let path = Path::new(reply["file_path"].as_str().unwrap());
        assert_eq!(path.components().count(), 4, "{}", path.display());
    }
}
