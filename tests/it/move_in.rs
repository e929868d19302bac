//! `rushes import`: the executable beside a service and beside servers with recorded replies of other video services.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::process::{Output, Stdio};
use tests::clip::Clip;
use tests::file_host::{Answer, FileHost};
use tests::{Caller, Options, TestApp, executable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

const PERMITTED: &str = "127.0.0.2";
const HOSTILE: &str = "=1+1;\"quoted\",\nand\u{0} more";
const CLEAN: &str = "=1+1;\"quoted\", and  more";

async fn service() -> TestApp {
    TestApp::with(Options {
        config: |config| config.app.outbound = "127.0.0.2/32".parse().unwrap(),
        ..Options::default()
    })
    .await
}

async fn files(app: &TestApp) -> FileHost {
    let clip = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    FileHost::start(PERMITTED, clip, &[Answer::File]).await
}

/// Replies by path with query. Any other path is a 404.
type Replies = HashMap<&'static str, Value>;

/// Serves replies on a free port; returns the address.
async fn replies(replies: Replies) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let reply = replies.get(head.split(' ').nth(1).unwrap());
            let (status, body) = reply.map_or(("404 Not Found", String::new()), |body| ("200 OK", body.to_string()));
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
    });
    url
}

/// Runs `rushes import` with the token of an account and secrets of the other services.
async fn run(caller: &Caller, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(executable());
    command.env_clear().stdin(Stdio::null()).arg("import").args(arguments);
    command.envs([("RUSHES_URL", caller.url.as_str()), ("RUSHES_TOKEN", &caller.token)]);
    command.envs([("MUX_TOKEN_ID", "id"), ("MUX_TOKEN_SECRET", "secret-word")]);
    command.env("CLOUDFLARE_API_TOKEN", "secret-word");
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(!format!("{stdout}{stderr}").contains("secret-word"), "{stderr}");
    (status.code().unwrap(), stdout, stderr)
}

async fn titles(caller: &Caller) -> Vec<String> {
    let videos = caller.get("/api/videos").await.body;
    let data = videos["data"].as_array().unwrap_or_else(|| panic!("{videos}"));
    let mut titles: Vec<_> = data
        .iter()
        .map(|video| video["title"].as_str().unwrap().to_owned())
        .collect();
    titles.sort();
    titles
}

/// Imports a service twice, the second time with another manifest of the same videos.
async fn moved_once(arguments: &[&str], app: &TestApp) {
    let caller = app.caller().await;
    let (code, stdout, stderr) = run(&caller, arguments).await;
    assert_eq!(code, 0, "{arguments:?}: {stdout}{stderr}");
    assert!(
        stdout.contains("done: 2 rows, 0 pending, 0 working, 2 created"),
        "{stdout}"
    );
    assert!(stderr.contains("2 rows, 2 assets without one"), "{stderr}");
    assert!(
        stderr.contains("without a row: (no id): the entry is damaged"),
        "{stderr}"
    );
    assert_eq!(titles(&caller).await, [CLEAN, "Two"]);

    let (code, stdout, stderr) = run(&caller, &[arguments, &["--preset", "web"]].concat()).await;
    assert_eq!(code, 0, "{arguments:?}: {stdout}{stderr}");
    assert!(
        stdout.contains("0 created, 0 updated, 2 duplicate, 0 error"),
        "{stdout}"
    );
    assert_eq!(titles(&caller).await, [CLEAN, "Two"]);
    for task in caller.get("/api/tasks").await.body["data"]
        .as_array()
        .into_iter()
        .flatten()
    {
        caller.ended(task["id"].as_i64().unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn videos_of_mux_move_in_once() {
    let app = service().await;
    let host = files(&app).await;
    let master = |n: u8| json!({"status": "ready", "url": format!("{}?{n}", host.url)});
    let first = json!({"data": [
        {"id": "m1", "status": "ready", "meta": {"title": HOSTILE}, "master": master(1)},
        {"status": "ready"},
    ], "next_cursor": "next"});
    let second = json!({"data": [
        {"id": "m2", "status": "ready", "passthrough": "Two", "master": master(2)},
        {"id": "m3", "status": "ready", "playback_ids": []},
    ], "next_cursor": null});
    let pages = [
        ("/video/v1/assets?limit=100", first),
        ("/video/v1/assets?limit=100&cursor=next", second),
    ];
    let url = replies(pages.into()).await;
    moved_once(&["mux", "--api", &url], &app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn videos_of_cloudflare_move_in_once() {
    let app = service().await;
    let host = files(&app).await;
    let video = |uid: &str, name: &str| {
        let created = format!("2024-01-0{}T00:00:00Z", &uid[1..]);
        json!({"uid": uid, "created": created, "meta": {"name": name}})
    };
    let ready = |n: u8| json!({"result": {"default": {"status": "ready", "url": format!("{}?{n}", host.url)}}});
    let pages = [
        (
            "/accounts/acc/stream?asc=true",
            json!({"result": [video("c1", HOSTILE), {"uid": null}, video("c2", "Two")]}),
        ),
        (
            "/accounts/acc/stream?asc=true&start=2024-01-02T00%3A00%3A00Z",
            json!({"result": [video("c2", "Two"), video("c3", "Three")]}),
        ),
        (
            "/accounts/acc/stream?asc=true&start=2024-01-03T00%3A00%3A00Z",
            json!({"result": [video("c3", "Three")]}),
        ),
        ("/accounts/acc/stream/c1/downloads", ready(1)),
        ("/accounts/acc/stream/c2/downloads", ready(2)),
        ("/accounts/acc/stream/c3/downloads", json!({"result": {}})),
    ];
    let url = replies(pages.into()).await;
    moved_once(&["cloudflare", "--account-id", "acc", "--api", &url], &app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn videos_of_peertube_move_in_once() {
    let app = service().await;
    let host = files(&app).await;
    let file = |n: u8| json!([{"resolution": {"id": 720}, "fileDownloadUrl": format!("{}?{n}", host.url)}]);
    let pages = [
        (
            "/api/v1/accounts/jo/videos?sort=publishedAt&count=100&start=0",
            json!({"total": 4, "data": [{"uuid": "p1"}, {"name": "damaged"}]}),
        ),
        (
            "/api/v1/accounts/jo/videos?sort=publishedAt&count=100&start=2",
            json!({"total": 4, "data": [{"uuid": "p2"}, {"uuid": "p3"}]}),
        ),
        (
            "/api/v1/videos/p1",
            json!({"name": HOSTILE, "tags": ["a,b"], "files": file(1)}),
        ),
        ("/api/v1/videos/p2", json!({"name": "Two", "files": file(2)})),
        ("/api/v1/videos/p3", json!({"name": "Three", "files": []})),
    ];
    let url = replies(pages.into()).await;
    moved_once(&["peertube", &url, "--account", "jo"], &app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn videos_of_mediacms_move_in_once() {
    let app = service().await;
    let host = files(&app).await;
    let original = |title: &str, n: u8| json!({"title": title, "media_type": "video", "original_media_url": format!("{}?{n}", host.url)});
    let pages = [
        (
            "/api/v1/media",
            json!({"next": "/api/v1/media?page=2", "results": [{"friendly_token": "t1"}, {}]}),
        ),
        (
            "/api/v1/media?page=2",
            json!({"next": null, "results": [{"friendly_token": "t2"}, {"friendly_token": "t3"}]}),
        ),
        ("/api/v1/media/t1", original(HOSTILE, 1)),
        ("/api/v1/media/t2", original("Two", 2)),
        ("/api/v1/media/t3", json!({"title": "Image", "media_type": "image"})),
    ];
    let url = replies(pages.into()).await;
    moved_once(&["mediacms", &url], &app).await;
}

fn written(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_rows_are_printed_and_have_an_exit_code() {
    let app = service().await;
    let caller = app.caller().await;
    let csv = "source_url,title,lat,lon\nhttp://127.0.0.2:9/a.mp4,One,95.2,0\n";
    let file = written(app.directory.path(), "rows.csv", csv);
    let (code, stdout, stderr) = run(&caller, &["csv", &file]).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.contains("done_with_errors: 1 rows"), "{stdout}");
    assert!(
        stderr.contains("row 1: latitude_invalid: \"95.2\"; accepted: -90 to 90"),
        "{stderr}"
    );

    let file = written(
        app.directory.path(),
        "unknown.csv",
        "source_url,colour\nhttp://127.0.0.2:9/a.mp4,red\n",
    );
    let (code, stdout, stderr) = run(&caller, &["csv", &file]).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stderr.contains("column_unknown: \"colour\""), "{stderr}");

    let file = written(
        app.directory.path(),
        "dry.csv",
        "source_url\nhttp://127.0.0.2:9/a.mp4\n",
    );
    let (code, stdout, stderr) = run(&caller, &["csv", &file, "--dry-run"]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("done (dry run): 1 rows"), "{stdout}");
    assert_eq!(titles(&caller).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_written_without_an_import_and_missing_secrets_are_named() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let video =
        json!({"id": "m1", "status": "ready", "master": {"status": "ready", "url": "https://example.com/1.mp4"}});
    let pages = [("/video/v1/assets?limit=100", json!({"data": [video]}))];
    let url = replies(pages.into()).await;
    let manifest = written(app.directory.path(), "mux.jsonl", "");
    let (code, _, stderr) = run(&caller, &["mux", "--api", &url, "--manifest", &manifest]).await;
    assert_eq!(code, 0, "{stderr}");
    let text = std::fs::read_to_string(&manifest).unwrap();
    assert_eq!(
        text,
        "{\"source_url\":\"https://example.com/1.mp4\",\"external_id\":\"mux:m1\"}\n"
    );
    assert_eq!(caller.get("/api/imports").await.body["data"], json!([]));

    let mut command = Command::new(executable());
    let output = command.env_clear().args(["import", "mux"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("MUX_TOKEN_ID"));
}
