//! The player page of a published video: in a frame of another site, in a real browser, and with hostile titles.

use crate::clients::{run, sources, tools};
use reqwest::Method;
use serde_json::{Value, json};
use tests::clip::Clip;
use tests::{Caller, MP4, TestApp};

/// Publishes the task of a client and gives its video this title. Returns the video.
async fn publish(caller: &Caller, task: i64, title: &str) -> Value {
    let published = caller.post(&format!("/api/tasks/{task}/publish"), &json!({})).await;
    assert_eq!(published.status, 200, "{published:?}");
    let path = format!("/api/videos/{}", published.body["id"]);
    let patch = json!({ "title": title, "description": title });
    let changed = caller.request(Method::PATCH, &path).json(&patch).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    changed.json().await.unwrap()
}

/// Status, headers and text of a page.
async fn page(url: &str, language: &str) -> (u16, reqwest::header::HeaderMap, String) {
    let request = reqwest::Client::new().get(url).header("accept-language", language);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_player_page_escapes_titles_and_may_be_framed_and_ends_with_the_publication() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let task = caller.upload("talk.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    let files: [(&str, &'static str, &'static str, &'static [u8]); 2] = [
        ("poster.jpg", "poster", "image/jpeg", b"the poster"),
        ("video.mp4", "mp4", "video/mp4", b"the video"),
    ];
    app.finish(task, &files).await;
    let title = "</title><script>alert(1)</script>\" onload='x' &amp;";
    let video = publish(&caller, task, title).await;
    let url = video["embed_url"].as_str().unwrap();
    let (status, headers, text) = page(url, "en").await;
    assert_eq!(status, 200, "{text}");
    assert!(!text.contains("<script") && !text.contains("onload='"), "{text}");
    assert!(text.contains("&lt;/title&gt;&lt;script&gt;alert(1)"), "{text}");
    assert!(
        text.contains("<html lang=\"en\">") && text.contains("property=\"og:image\""),
        "{text}"
    );
    assert_eq!(headers.get("x-frame-options"), None);
    assert_eq!(headers["cache-control"], "public, max-age=60");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("frame-ancestors *") && policy.contains("default-src 'none'"),
        "{policy}"
    );
    // All other pages stay out of frames.
    let (_, others, _) = page(&format!("{}/docs/errors", app.url), "en").await;
    assert_eq!(others["x-frame-options"], "DENY");
    // The addresses in the page lead to the files, for scripts of any site too.
    let source = text.split("<source src=\"").nth(1).unwrap().split('"').next().unwrap();
    let file = app.anonymous().get(source).await;
    assert_eq!((file.status, file.header("access-control-allow-origin")), (200, "*"));
    for path in ["none", "%ff", "1"] {
        let (status, headers, text) = page(&format!("{}/embed/{path}", app.url), "es").await;
        assert_eq!(
            (status, &headers["content-type"]),
            (404, &"text/html; charset=utf-8".parse().unwrap())
        );
        assert!(text.contains("No existe ese video."), "{text}");
    }
    let path = format!("/api/videos/{}/unpublish", video["id"]);
    let private = caller.post(&path, &json!({})).await;
    assert_eq!((private.status, &private.body["embed_url"]), (200, &Value::Null));
    assert_eq!(page(url, "en").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_plays_a_published_video_in_a_frame_of_another_site() {
    let Some(tools) = tools() else { return };
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let clip = Clip {
        seconds: 3.0,
        ..Clip::default()
    }
    .make(app.directory.path());
    let mut pages = Vec::new();
    for recipe in [
        json!({ "outputs": [{ "kind": "mp4" }] }),
        json!({ "outputs": [{ "kind": "hls" }] }),
    ] {
        let task = caller.processed(&clip, &[("recipe", &recipe.to_string())]).await;
        let video = publish(&caller, task["id"].as_i64().unwrap(), "talk").await;
        pages.push(video["embed_url"].as_str().unwrap().to_owned());
    }
    let script = app.directory.path().join("play.mjs");
    std::fs::copy(sources().join("play.mjs"), &script).unwrap();
    std::os::unix::fs::symlink(tools.join("node_modules"), app.directory.path().join("node_modules")).unwrap();
    pages.insert(0, script.display().to_string());
    run(app.directory.path(), std::path::Path::new("node"), &pages).await;
}
