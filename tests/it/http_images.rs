//! Images of an account: upload, validation, limits, and images in use by tasks.

use backend::{AppState, Config, ProcessHealth, Secret, Secrets, ServerConfig};
use background::Background;
use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use reqwest::header::CONTENT_TYPE;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use serde_json::json;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tests::{MP4, PNG, Reply, SECRET, TestApp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Paths of the stored images.
fn stored_images(app: &TestApp) -> Vec<PathBuf> {
    let files = app.stored_files().into_iter();
    files
        .filter(|file| file.to_string_lossy().contains("/images/"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_stored_listed_served_and_removed() {
    let app = TestApp::idle().await;
    let (owner, other) = (app.caller().await, app.caller().await);
    let created = owner.image("cat", PNG.to_vec()).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(
        (&created.body["width_px"], &created.body["height_px"]),
        (&json!(640), &json!(360))
    );
    assert_eq!(
        (&created.body["name"], &created.body["media_type"]),
        (&json!("cat"), &json!("image/png"))
    );
    assert_eq!(
        owner.image("logo", PNG.to_vec()).await.status,
        201,
        "it overrides the built-in image"
    );
    let list = owner.get("/api/images").await.body;
    assert_eq!(list["data"][0], created.body);
    assert_eq!(list["data"][1]["name"], "logo");
    assert_eq!(other.get("/api/images").await.body["data"], json!([]));
    let served = owner
        .request(reqwest::Method::GET, "/api/images/cat")
        .send()
        .await
        .unwrap();
    assert_eq!(served.headers()["content-type"], "image/png");
    assert_eq!(served.headers()["x-content-type-options"], "nosniff");
    assert_eq!(served.bytes().await.unwrap(), PNG);
    assert_eq!(other.delete("/api/images/cat").await.code(), "image_not_found");
    assert_eq!(
        other.image("cat", PNG.to_vec()).await.status,
        201,
        "names are unique per account"
    );
    assert_eq!(stored_images(&app).len(), 3);
    assert_eq!(owner.delete("/api/images/cat").await.message(), "Eliminado");
    assert_eq!(owner.delete("/api/images/cat").await.code(), "image_not_found");
    assert_eq!(stored_images(&app).len(), 2);
    assert_eq!(
        owner.image("cat", PNG.to_vec()).await.status,
        201,
        "the name is free again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_image_is_refused_and_not_stored() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let mut huge_size = PNG.to_vec();
    huge_size[16..24].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
    huge_size[29..33].copy_from_slice(&[0x14, 0xC9, 0x0B, 0x66]); // checksum of the chunk
    let large = [PNG, &vec![0; 5 << 20]].concat();
    let just_too_large = [PNG, &vec![0; (4 << 20) + 1 - PNG.len()]].concat();
    for (bytes, status, code) in [
        (MP4.to_vec(), 415, "not_an_image"),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
            415,
            "not_an_image",
        ),
        (PNG[..20].to_vec(), 415, "not_an_image"),
        (PNG[..PNG.len() - 1].to_vec(), 415, "not_an_image"),
        (huge_size, 422, "image_too_large"),
        (large, 413, "upload_too_large"),
        (just_too_large, 413, "upload_too_large"),
        (Vec::new(), 400, "file_empty"),
    ] {
        let reply = caller.image("cat", bytes).await;
        assert_eq!((reply.status, reply.code()), (status, code));
    }
    for name in [
        "",
        "-cat",
        "Cat",
        "../cat",
        "c/t",
        "cat.png",
        "c\0t",
        "gató",
        &"c".repeat(41),
    ] {
        let reply = caller.image(name, PNG.to_vec()).await;
        assert_eq!((reply.status, reply.code()), (400, "name_invalid"), "{name:?}");
        assert_eq!(reply.body["errors"][0]["field"], "name");
    }
    let image = || Part::bytes(PNG).file_name("x.png");
    for (form, code) in [
        (Form::new().text("name", "cat"), "file_missing"),
        (Form::new().part("file", image()), "name_invalid"),
        (
            Form::new().part("file", image()).part("file", image()),
            "multipart_invalid",
        ),
        (Form::new().text("title", "cat"), "part_unknown"),
    ] {
        let request = caller.request(reqwest::Method::POST, "/api/images").multipart(form);
        assert_eq!(Reply::read(request.send().await.unwrap()).await.code(), code);
    }
    let nameless = Form::new().part("file", image());
    let request = caller.request(reqwest::Method::POST, "/api/images").multipart(nameless);
    let reply = Reply::read(request.send().await.unwrap()).await;
    assert!(reply.body["detail"].as_str().unwrap().contains("missing"), "{reply:?}");
    for path in ["..%2f1", "a%00b", "Cat"] {
        let reply = caller.get(&format!("/api/images/{path}")).await;
        assert_eq!((reply.status, reply.code()), (404, "image_not_found"), "{path}");
    }
    assert_eq!(stored_images(&app), Vec::<PathBuf>::new());
    assert_eq!(caller.get("/api/images").await.body["data"], json!([]));
    let largest = [PNG, &vec![0; (4 << 20) - PNG.len()]].concat();
    assert_eq!(caller.image("cat", largest).await.status, 201, "exactly 4 MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_parallel_uploads_with_one_name_one_succeeds_and_the_others_leave_no_files() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let replies = join_all((0..8).map(|_| caller.image("cat", PNG.to_vec()))).await;
    let created = replies.iter().filter(|reply| reply.status == 201).count();
    let taken = replies
        .iter()
        .filter(|reply| reply.code() == "image_name_taken")
        .count();
    assert_eq!((created, taken), (1, 7), "{replies:?}");
    assert_eq!(stored_images(&app).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_100_images_holds_for_parallel_requests() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let image = async |number: usize| caller.image(&format!("cat-{number}"), PNG.to_vec()).await;
    for number in 0..97 {
        let reply = image(number).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    let replies = join_all((97..104).map(image)).await;
    let refused = replies.iter().filter(|reply| reply.code() == "images_too_many");
    assert_eq!(refused.count(), 4, "{replies:?}");
    assert_eq!(stored_images(&app).len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_cannot_be_removed_while_an_unfinished_task_uses_it() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    assert_eq!(caller.image("cat", PNG.to_vec()).await.status, 201);
    let recipe = r#"{"watermark":{"image":"cat"},"outputs":[{"kind":"mp4"}]}"#;
    let task = caller.upload("a.mp4", MP4.to_vec(), &[("recipe", recipe)]).await;
    assert_eq!(task.status, 201, "{task:?}");
    let path = format!("/api/tasks/{}", task.body["id"]);
    assert_eq!(caller.delete("/api/images/cat").await.code(), "image_in_use");
    assert_eq!(caller.post(&format!("{path}/cancel"), &json!(null)).await.status, 200);
    assert_eq!(caller.delete("/api/images/cat").await.status, 200);
    let retry = caller.post(&format!("{path}/retry"), &json!(null)).await;
    assert_eq!((retry.status, retry.code()), (400, "recipe_invalid"));
    assert_eq!(retry.body["errors"][0]["field"], "watermark.image");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipe_can_use_only_images_and_tasks_of_its_account() {
    let app = TestApp::idle().await;
    let (owner, other) = (app.caller().await, app.caller().await);
    assert_eq!(other.image("cat", PNG.to_vec()).await.status, 201);
    let theirs = other.upload("b.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    let own = owner.upload("b.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    let before = app.snapshot().await;
    for (edit, field) in [
        (json!({"watermark": {"image": "cat"}}), "watermark.image"),
        (json!({"bumper": {"image": "cat", "intro_ms": 5}}), "bumper.image"),
        (json!({"bumper": {"intro_task": theirs}}), "bumper.intro_task"),
        (
            json!({"bumper": {"intro_task": own, "outro_task": -1}}),
            "bumper.outro_task",
        ),
    ] {
        let mut recipe = edit;
        recipe["outputs"] = json!([{"kind": "mp4"}]);
        let reply = owner
            .upload("a.mp4", MP4.to_vec(), &[("recipe", &recipe.to_string())])
            .await;
        assert_eq!((reply.status, reply.code()), (400, "recipe_invalid"), "{reply:?}");
        assert_eq!(reply.body["errors"][0]["field"], field);
    }
    assert_eq!(app.snapshot().await, before);
    let recipe = json!({"bumper": {"intro_task": own}, "watermark": {}, "outputs": [{"kind": "mp4"}]});
    let reply = owner
        .upload("a.mp4", MP4.to_vec(), &[("recipe", &recipe.to_string())])
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_timeout_does_not_apply_to_uploads() {
    let app = TestApp::idle().await;
    let mut caller = app.caller().await;
    let mut config = Config::new(Secrets {
        current: Secret::new(SECRET).unwrap(),
        previous: None,
    });
    config.catalog_dir = app.directory.path().join("catalog");
    config.request_timeout = REQUEST_TIMEOUT;
    let state = AppState::new(
        app.db.clone(),
        app.storage.clone(),
        app.queue.clone(),
        config,
        ProcessHealth::default(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    caller.url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(backend::serve(
        listener,
        backend::router(state),
        ServerConfig::default(),
        CancellationToken::new(),
        Background::default(),
    ));
    let endless = Body::wrap_stream(stream::pending::<io::Result<Bytes>>());
    let request = caller.request(Method::POST, "/api/plan");
    let request = request.header(CONTENT_TYPE, "application/json").body(endless);
    let other = Reply::read(request.send().await.unwrap()).await;
    assert_eq!((other.status, other.code()), (503, "unavailable"));
    let (image, video) = (slow(PNG, "picture.png"), slow(MP4, "a.mp4"));
    let request = caller.request(Method::POST, "/api/images");
    let form = Form::new().text("name", "mine").part("file", image);
    let stored = Reply::read(request.multipart(form).send().await.unwrap()).await;
    assert_eq!(stored.status, 201, "{stored:?}");
    let task = caller.submit(Form::new().part("file", video)).await;
    assert_eq!(task.status, 201, "{task:?}");
}

/// The timeout of all requests except uploads in the test above.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(300);

/// A file whose second half is sent after twice the request timeout.
fn slow(bytes: &'static [u8], name: &'static str) -> Part {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let halves = stream::iter([(first, Duration::ZERO), (second, 2 * REQUEST_TIMEOUT)]);
    let body = Body::wrap_stream(halves.then(async |(half, pause)| {
        tokio::time::sleep(pause).await;
        Ok::<_, io::Error>(Bytes::from_static(half))
    }));
    Part::stream(body).file_name(name)
}
