//! The gRPC API with `grpcio`, the client of Python, directly and through nginx: the same answers, codes and rules as
//! the HTTP API.

use crate::clients::{run, sources, tools};
use crate::nginx::Nginx;
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tests::{Caller, MP4, Options, TestApp};

/// Publishes a video and returns its id and its public id.
pub(crate) async fn published(app: &TestApp, caller: &Caller, name: &str, tag: &str) -> [String; 2] {
    let task = caller.upload(name, MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    let files: [(&str, &'static str, &'static str, &'static [u8]); 2] = [
        ("video.mp4", "mp4", "video/mp4", b"video"),
        ("poster.jpg", "poster", "image/jpeg", b"poster"),
    ];
    app.finish(task, &files).await;
    let video = caller
        .post(&format!("/api/tasks/{task}/publish"), &json!({}))
        .await
        .body;
    let patch = json!({ "tags": [tag, "all"], "region": "Cusco" });
    let id = video["id"].to_string();
    let request = caller.request(reqwest::Method::PATCH, &format!("/api/videos/{id}"));
    assert_eq!(request.json(&patch).send().await.unwrap().status(), 200);
    let url = video["public_url"].as_str().unwrap();
    [id, url.rsplit('/').next().unwrap().to_owned()]
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcio_gets_the_answers_of_the_http_api_directly_and_through_nginx() {
    let Some(tools) = tools() else { return };
    let config = |config: &mut backend::Config| config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let app = TestApp::with(Options {
        config,
        worker: None,
        ..Options::default()
    })
    .await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let [video, public_id] = published(&app, &caller, "talk one.mp4", "a").await;
    for (owner, name) in [
        (&caller, "talk two.mp4"),
        (&other, "talk three.mp4"),
        (&other, "música.mp4"),
    ] {
        published(&app, owner, name, "b").await;
    }
    // Private videos: that of the account is in its own list only, those of others are in none.
    for owner in [&caller, &caller, &other] {
        owner.upload("private.mp4", MP4.to_vec(), &[]).await;
    }
    let nginx = Nginx::in_front_of(&app.url, app.directory.path());
    nginx.ready().await;
    let protos = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../grpc/proto")
        .display()
        .to_string();
    let client = sources().join("grpc_library.py").display().to_string();
    let direct = app.url.strip_prefix("http://").unwrap().to_owned();
    for address in [direct, nginx.grpc.clone()] {
        let arguments = [&client, &address, &protos, &caller.token, &app.url, &video, &public_id];
        run(app.directory.path(), &tools.join("venv/bin/python"), &arguments).await;
    }
}

const LIST: &str = "rushes.v1.LibraryService/ListVideos";

/// A call of a method with an empty message.
fn call(app: &TestApp, method: &str) -> reqwest::RequestBuilder {
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    client
        .post(format!("{}/{method}", app.url))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        // A frame without compression and without content.
        .body(vec![0; 5])
}

/// The status of a response without messages, or of one whose status follows in the trailers: 0.
async fn status(call: reqwest::RequestBuilder) -> String {
    let response = call.send().await.unwrap();
    let status = response.headers().get("grpc-status");
    status.map_or("0", |status| status.to_str().unwrap()).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_at_its_deadline() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    published(&app, &caller, "talk.mp4", "a").await;
    let answered = call(&app, LIST).header("grpc-timeout", "20S");
    assert_eq!(status(answered).await, "0");
    // The message of this call never arrives, so its deadline always passes first: DEADLINE_EXCEEDED.
    let silent = reqwest::Body::wrap_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let unanswered = call(&app, LIST).body(silent).header("grpc-timeout", "50m");
    assert_eq!(status(unanswered).await, "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_cut_malformed_or_too_large_is_refused_and_the_next_call_is_answered() {
    let app = TestApp::idle().await;
    let large = [&[0, 0, 1, 0x11, 0x70][..], &[b'x'; 70_000]].concat();
    let (invalid, exhausted, unimplemented) = ("3", "8", "12");
    for (frame, expected) in [
        // No message at all, a part of its head, a part of its content.
        (vec![], invalid),
        (vec![0, 0, 0], invalid),
        (vec![0, 0, 0, 0, 9, 1], invalid),
        // No field has this type, and a text that is longer than its message.
        (vec![0, 0, 0, 0, 1, 0xff], invalid),
        (vec![0, 0, 0, 0, 2, 0x12, 0x7f], invalid),
        // Unknown flags, and a compression that was not announced.
        (vec![9, 0, 0, 0, 0], invalid),
        (vec![1, 0, 0, 0, 0], invalid),
        // Said to be larger than it is, and as large as it says.
        (vec![0, 0xff, 0xff, 0xff, 0xff], exhausted),
        (large, exhausted),
    ] {
        let start = frame[..frame.len().min(8)].to_vec();
        assert_eq!(status(call(&app, LIST).body(frame)).await, expected, "{start:?}");
        assert_eq!(status(call(&app, LIST)).await, "0", "after {start:?}");
    }
    let compressed = call(&app, LIST)
        .header("grpc-encoding", "zstd")
        .body(vec![1, 0, 0, 0, 0]);
    assert_eq!(status(compressed).await, unimplemented);
    // A client that ends in the middle of its message, and one that ends in the middle of a stream.
    let broken = [Ok(vec![0_u8, 0, 0, 0, 9]), Err(std::io::Error::other("cut"))];
    let broken = reqwest::Body::wrap_stream(futures::stream::iter(broken));
    assert!(call(&app, LIST).body(broken).send().await.is_err());
    drop(call(&app, "grpc.health.v1.Health/Watch").send().await.unwrap());
    assert_eq!(status(call(&app, LIST)).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_the_shutdown_begins() {
    let mut app = TestApp::idle().await;
    let watch = call(&app, "grpc.health.v1.Health/Watch").send().await.unwrap();
    assert_eq!(watch.status(), 200);
    app.stop().await;
    let rest = tokio::time::timeout(Duration::from_secs(60), watch.bytes()).await;
    rest.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn links_have_the_host_of_the_call_and_the_scheme_that_a_trusted_proxy_reports() {
    let app = TestApp::idle_with(|config| config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()]).await;
    let caller = app.caller().await;
    published(&app, &caller, "talk.mp4", "a").await;
    let host = app.url.strip_prefix("http://").unwrap();
    for scheme in ["http", "https"] {
        let request = call(&app, LIST).header("x-forwarded-proto", scheme);
        let response = request.header("x-request-id", "call-1").send().await.unwrap();
        assert_eq!(response.headers()["x-request-id"], "call-1");
        let message = response.bytes().await.unwrap();
        let text = String::from_utf8_lossy(&message);
        assert!(text.contains(&format!("{scheme}://{host}/api/library/")), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_by_method_and_status_and_unknown_methods_are_one() {
    let app = TestApp::idle().await;
    for method in [
        "grpc.health.v1.Health/Check",
        "rushes.v1.LibraryService/NoMethod",
        "rushes.v1.NoService/Call",
    ] {
        call(&app, method).send().await.unwrap().bytes().await.unwrap();
    }
    let metrics = reqwest::get(format!("{}/metrics", app.url)).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for sample in [
        "rushes_grpc_calls_total{method=\"grpc.health.v1.Health/Check\",status=\"OK\"} 1",
        "rushes_grpc_calls_total{method=\"rushes.v1.LibraryService/ListVideos\",status=\"OK\"} 0",
        "rushes_grpc_calls_total{method=\"unknown\",status=\"UNIMPLEMENTED\"} 2",
        "rushes_grpc_call_duration_seconds_count{method=\"unknown\"} 2",
    ] {
        assert!(
            metrics.lines().any(|line| line == sample),
            "{sample} is not in\n{metrics}"
        );
    }
}
