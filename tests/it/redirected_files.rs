//! Files that a bucket sends by itself: redirects to signed URLs, for clients that follow them and for browsers.

use backend::Delivery;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use serde_json::json;
use std::process::Command;
use std::time::Duration;
use storage::{FileName, Key};
use tests::{Caller, MP4, Options, PNG, TestApp};

const MEDIA: &[u8] = b"0123456789";
const PLAYLIST: &[u8] = b"#EXTM3U\n#EXTINF:2,\n720p-0001.m4s\n";

async fn app() -> TestApp {
    TestApp::with(Options {
        config: |config| config.delivery = Delivery::Redirect,
        worker: None,
        needs_bucket: true,
        ..Options::default()
    })
    .await
}

/// A client that shows redirects.
fn direct() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

/// A task with a file and the path of its signed link.
async fn file(app: &TestApp, caller: &Caller) -> (i64, String) {
    let upload = caller.upload("día 1.mov", MP4.to_vec(), &[]).await;
    let id = upload.body["id"].as_i64().unwrap();
    app.finish(id, &[("video.mp4", "mp4", "video/mp4", MEDIA)]).await;
    (id, link(caller, id).await)
}

async fn link(caller: &Caller, task: i64) -> String {
    let task = caller.get(&format!("/api/tasks/{task}")).await.body;
    task["download"][0].as_str().unwrap().to_owned()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_redirected_to_a_signed_url_that_keeps_name_type_and_ranges() {
    let app = app().await;
    let caller = app.caller().await;
    let (_, url) = file(&app, &caller).await;
    let redirect = direct().get(&url).send().await.unwrap();
    assert_eq!(redirect.status(), 307);
    assert_eq!(header(&redirect, "cache-control"), "no-store");
    assert_eq!(header(&redirect, "etag"), "", "it would be that of the redirect");
    let signed = header(&redirect, "location").to_owned();
    assert!(signed.starts_with(app.storage.signed_origin().unwrap()), "{signed}");
    let lifetime = signed
        .split("X-Amz-Expires=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    assert!(lifetime.parse::<u64>().unwrap() <= 300, "{signed}");

    let followed = reqwest::get(&url).await.unwrap();
    assert_eq!(header(&followed, "content-type"), "video/mp4");
    let name = header(&followed, "content-disposition");
    assert!(name.contains("filename*=UTF-8''d%C3%ADa%201.mp4"), "{name}");
    assert!(header(&followed, "cache-control").starts_with("private, max-age="));
    assert_eq!(followed.bytes().await.unwrap(), MEDIA);
    for (range, body) in [("bytes=2-4", "234"), ("bytes=-3", "789"), ("bytes=4-", "456789")] {
        let part = Client::new().get(&url).header("range", range).send().await.unwrap();
        assert_eq!(part.status(), 206, "{range}");
        assert_eq!(part.text().await.unwrap(), body, "{range}");
    }
    // curl continues a file, and saves it under the name of the upload.
    let directory = tempfile::tempdir().unwrap();
    let partial = directory.path().join("partial.mp4");
    std::fs::write(&partial, &MEDIA[..4]).unwrap();
    for arguments in [&["-C", "-", "-o", "partial.mp4"][..], &["-OJ"]] {
        let mut curl = Command::new("curl");
        curl.current_dir(directory.path()).args(["-sSfL", &url]).args(arguments);
        assert!(curl.status().unwrap().success());
    }
    for saved in std::fs::read_dir(directory.path()).unwrap() {
        assert_eq!(std::fs::read(saved.unwrap().path()).unwrap(), MEDIA);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_heads_and_conditional_requests_are_answered_by_the_backend() {
    let app = app().await;
    let caller = app.caller().await;
    let (_, url) = file(&app, &caller).await;
    let head = direct().head(&url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, "10"));
    assert_eq!(header(&head, "accept-ranges"), "bytes");
    let (etag, modified) = (
        header(&head, "etag").to_owned(),
        header(&head, "last-modified").to_owned(),
    );
    let ask = async |headers: &[(&str, &str)]| {
        let request = headers.iter().fold(direct().get(&url), |request, (name, value)| {
            request.header(*name, *value)
        });
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let range = ("range", "bytes=1-2");
    for (headers, status, body) in [
        (vec![("if-none-match", &*etag)], 304, ""),
        (vec![("if-modified-since", &*modified)], 304, ""),
        (vec![("if-none-match", "\"other\"")], 200, "0123456789"),
        (vec![("if-match", &*etag)], 200, "0123456789"),
        (vec![("if-range", &*etag), range], 206, "12"),
        // The bucket may know it.
        (vec![("if-range", "\"other\""), range], 307, ""),
        (vec![range], 307, ""),
    ] {
        assert_eq!(ask(&headers).await, (status, body.to_owned()), "{headers:?}");
    }
    assert_eq!(ask(&[("if-match", "\"other\"")]).await.0, 412);
    assert_eq!(ask(&[("range", "bytes=10-")]).await.0, 416);
    // A range of the version that the bucket has sent.
    let etag_of_bucket = header(&reqwest::get(&url).await.unwrap(), "etag").to_owned();
    let continued = Client::new().get(&url).header(range.0, range.1);
    let continued = continued.header("if-range", etag_of_bucket).send().await.unwrap();
    assert_eq!(continued.text().await.unwrap(), "12");
    // Nothing is signed without a valid link.
    let forged = direct()
        .get(url.replace("signature=", "signature=A"))
        .send()
        .await
        .unwrap();
    assert_eq!(forged.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_comes_from_the_backend_and_its_segments_from_the_bucket() {
    let app = app().await;
    let caller = app.caller().await;
    let id = caller.upload("clip.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    app.finish_stream(id, &[("master.m3u8", PLAYLIST), ("720p-0001.m4s", MEDIA)])
        .await;
    let published = caller.post(&format!("/api/tasks/{id}/publish"), &json!({})).await;
    let playback = published.body["playback_url"].as_str().unwrap().to_owned();
    for url in [link(&caller, id).await, playback] {
        let playlist = direct().get(&url).send().await.unwrap();
        assert_eq!(playlist.status(), 200, "{url}");
        assert_eq!(playlist.bytes().await.unwrap(), PLAYLIST);
        let segment = url.replace("master.m3u8", "720p-0001.m4s");
        let origin = "https://player.example.com";
        let redirect = direct().get(&segment).header("origin", origin).send().await.unwrap();
        assert_eq!(redirect.status(), 307, "{segment}");
        let allowed = header(&redirect, "access-control-allow-origin");
        assert_eq!(allowed, if segment.contains("/library/") { "*" } else { "" });
        let sent = reqwest::get(&segment).await.unwrap();
        assert_eq!(header(&sent, "content-type"), "video/mp4");
        assert_eq!(sent.bytes().await.unwrap(), MEDIA);
    }
    assert_eq!(caller.image("logo", PNG.to_vec()).await.status, 201);
    // The token of the account stays here: it is for this service alone.
    let image = caller.request(Method::GET, "/api/images/logo").send().await.unwrap();
    assert!(image.url().as_str().starts_with(app.storage.signed_origin().unwrap()));
    assert_eq!((image.status().as_u16(), &*image.bytes().await.unwrap()), (200, PNG));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_player_page_allows_the_bucket_and_no_other_host() {
    let app = app().await;
    let caller = app.caller().await;
    let (id, _) = file(&app, &caller).await;
    let published = caller.post(&format!("/api/tasks/{id}/publish"), &json!({})).await.body;
    let page = reqwest::get(published["embed_url"].as_str().unwrap()).await.unwrap();
    let policy = header(&page, "content-security-policy");
    let bucket = app.storage.signed_origin().unwrap();
    assert!(
        policy.contains(&format!("media-src 'self' {bucket}; img-src 'self' {bucket};")),
        "{policy}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_url_reads_one_object_until_it_expires() {
    let app = app().await;
    let caller = app.caller().await;
    let (id, _) = file(&app, &caller).await;
    let other = Key::output(domain::TaskId(id), 2, &FileName::parse("video.mp4").unwrap());
    let key = Key::output(domain::TaskId(id), 1, &FileName::parse("video.mp4").unwrap());
    let sign = async |seconds| {
        let signed = app
            .storage
            .sign_read(&key, &[("content-type", "video/mp4")], Duration::from_secs(seconds));
        signed.await.unwrap().unwrap()
    };
    let url = sign(60).await;
    assert_eq!(caller.download(&url).await, MEDIA);
    for changed in [
        url.replace(key.as_str(), other.as_str()),
        url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"),
        url.replace("video%2Fmp4", "text%2Fhtml"),
    ] {
        assert_ne!(changed, url);
        assert_eq!(reqwest::get(&changed).await.unwrap().status(), 403, "{changed}");
    }
    let written = Client::new().put(&url).body("other").send().await.unwrap();
    assert_eq!(written.status(), 403);
    let short = sign(1).await;
    let begun = std::time::Instant::now();
    while reqwest::get(&short).await.unwrap().status() == 200 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never expires");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(reqwest::get(&short).await.unwrap().status(), 403);
}
