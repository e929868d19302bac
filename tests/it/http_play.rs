//! Playback of adaptive outputs: the signature is in the path, so relative URIs in playlists are signed as well.

use chrono::Utc;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use tests::clip::{self, Clip};
use tests::{Caller, MP4, TestApp};
use tokio::time::sleep;

const MASTER: &[u8] = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n720p.m3u8\n";
const SEGMENT: &[u8] = b"0123456789";

/// A client with a processed task that has an adaptive output: the client, the id of the task and the link.
async fn stream(app: &TestApp) -> (Caller, i64, String) {
    let caller = app.caller().await;
    let id = caller.upload("a clip.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    let files = [
        ("master.m3u8", MASTER),
        ("720p.m3u8", b"#EXTM3U\n"),
        ("720p-0001.m4s", SEGMENT),
        ("sheet-1.jpg", b"j"),
        ("sprite.vtt", b"WEBVTT"),
        ("init.mp4", b"i"),
        ("audio-0001.m4s", b"a"),
        ("audio-init.mp4", b"i"),
    ];
    app.finish_stream(id, &files).await;
    let task = caller.get(&format!("/api/tasks/{id}")).await.body;
    assert_eq!(task["outputs"][0]["url"], task["download"][0]);
    (caller, id, task["download"][0].as_str().unwrap().to_owned())
}

fn beside(url: &str, name: &str) -> String {
    let (folder, _) = url.rsplit_once('/').unwrap();
    format!("{folder}/{name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_can_follow_relative_names_without_a_token() {
    let app = TestApp::idle().await;
    let (_, _, url) = stream(&app).await;
    let player = app.anonymous();
    assert!(url.ends_with("/hls/master.m3u8"), "{url}");
    assert_eq!(player.download(&url).await, MASTER);
    for (name, media_type) in [
        ("master.m3u8", "application/vnd.apple.mpegurl"),
        ("720p.m3u8", "application/vnd.apple.mpegurl"),
        ("720p-0001.m4s", "video/mp4"),
        ("init.mp4", "video/mp4"),
        ("audio-0001.m4s", "audio/mp4"),
        ("audio-init.mp4", "audio/mp4"),
        ("sprite.vtt", "text/vtt"),
        ("sheet-1.jpg", "image/jpeg"),
    ] {
        let reply = player.get(&beside(&url, name)).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, media_type),
            "{name}"
        );
        assert!(reply.header("cache-control").starts_with("private"), "{name}");
    }
    let request = player
        .request(Method::GET, &beside(&url, "720p-0001.m4s"))
        .header("range", "bytes=2-4");
    let part = request.send().await.unwrap();
    assert_eq!(
        (part.status().as_u16(), &part.headers()["content-range"]),
        (206, &"bytes 2-4/10".parse().unwrap())
    );
    let etag = part.headers()["etag"].clone();
    assert_eq!(part.bytes().await.unwrap(), SEGMENT[2..5]);
    let again = player
        .request(Method::GET, &beside(&url, "720p-0001.m4s"))
        .header("if-none-match", etag);
    assert_eq!(again.send().await.unwrap().status(), 304);
    let behind = player
        .request(Method::GET, &beside(&url, "720p-0001.m4s"))
        .header("range", "bytes=10-");
    assert_eq!(behind.send().await.unwrap().status(), 416);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_gives_access_to_one_output_and_to_valid_file_names_only() {
    let app = TestApp::idle().await;
    let ((_, _, mine), (owner, theirs, url)) = (stream(&app).await, stream(&app).await);
    let player = app.anonymous();
    let token = |url: &str| {
        url.split("/play/")
            .nth(1)
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned()
    };
    let expires: i64 = token(&url).split('.').next().unwrap().parse().unwrap();
    let later = token(&url).replacen(&expires.to_string(), &(expires + 1).to_string(), 1);
    for wrong in [
        url.replace(&token(&url), &token(&mine)),
        url.replace(&token(&url), &later),
        url.replace(&token(&url), "-"),
        url.replace("/hls/", "/sprite/"),
        beside(&url, "absent.m4s"),
        beside(&url, ".."),
        beside(&url, "..%2fhls%2fmaster.m3u8"),
        beside(&url, "%2e%2e%2f%2e%2e%2f1%2fhls%2fmaster.m3u8"),
        beside(&url, "-rf"),
        beside(&url, ".hidden"),
        beside(&url, "a%00b"),
    ] {
        let reply = player.get(&wrong).await;
        assert_eq!(reply.status, 404, "{wrong}");
    }
    let unsigned = url.replace(&token(&url), "-");
    assert_eq!(owner.get(&unsigned).await.status, 200, "the owner needs no signature");
    assert_eq!(owner.delete(&format!("/api/tasks/{theirs}")).await.status, 200);
    assert_eq!(player.get(&url).await.code(), "file_not_found");
    let left = app.stored_files();
    assert!(
        left.iter()
            .all(|file| !file.to_string_lossy().contains(&format!("outputs/{theirs}/"))),
        "{left:?}"
    );
}

/// The time to live of links in the next test, and with it the length of a window.
const WINDOW: Duration = Duration::from_secs(6);
/// The duration of [`stream`].
const PLAYING_S: i64 = 4;

/// The expiry of a link to a set, in seconds since the Unix epoch.
fn expiry(url: &str) -> i64 {
    let (_, token) = url.split_once("/play/").unwrap();
    token.split('.').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_of_one_window_have_one_link_and_etag_and_a_link_outlives_the_video_and_then_expires() {
    let app = TestApp::idle_with(|config| config.link_ttl = WINDOW).await;
    let (caller, id, _) = stream(&app).await;
    let path = format!("/api/tasks/{id}");
    // Per link: the times of its first and its last poll, and the tag.
    let mut links: Vec<(String, Instant, Instant, String)> = Vec::new();
    let begun = Instant::now();
    // Until a whole window was seen: its link is the second one, and another follows.
    while links.len() < 3 {
        assert!(begun.elapsed() < 6 * WINDOW, "{links:?}");
        let (asked, asked_s) = (Instant::now(), Utc::now().timestamp());
        let reply = caller.get(&path).await;
        let (url, etag) = (reply.body["download"][0].as_str().unwrap(), reply.header("etag"));
        assert_eq!(reply.body["outputs"][0]["url"], url);
        let left_s = expiry(url) - asked_s;
        assert!(
            left_s >= PLAYING_S + 6,
            "a link for {left_s} s to a video of {PLAYING_S} s"
        );
        match links.last_mut().filter(|(last, ..)| last == url) {
            Some((.., until, tag)) => {
                *until = asked;
                assert_eq!(tag, etag);
            }
            None => links.push((url.to_owned(), asked, asked, etag.to_owned())),
        }
        let known = caller.request(Method::GET, &path).header("if-none-match", etag);
        let status = known.send().await.unwrap().status();
        // The window may end between the two requests.
        assert!(
            status == 304 || expiry(url) - Utc::now().timestamp() <= PLAYING_S + 6 + 1,
            "{status}"
        );
        sleep(Duration::from_millis(300)).await;
    }
    let (url, from, until, tag) = &links[1];
    assert!(
        *until - *from >= WINDOW / 2,
        "the link changed within a window: {links:?}"
    );
    assert!(*tag != links[0].3 && *tag != links[2].3, "{links:?}");
    assert_eq!(
        expiry(url) - expiry(&links[0].0),
        6,
        "a window is as long as the time to live"
    );

    let player = app.anonymous();
    assert_eq!(player.download(url).await, MASTER);
    let forged = url.replacen(&expiry(url).to_string(), &(expiry(url) + 6).to_string(), 1);
    assert_eq!(player.get(&forged).await.status, 404);
    while Utc::now().timestamp() < expiry(url) {
        assert!(begun.elapsed() < 20 * WINDOW);
        sleep(Duration::from_millis(300)).await;
    }
    for name in ["master.m3u8", "720p-0001.m4s"] {
        let expired = player.get(&beside(url, name)).await;
        assert_eq!((expired.status, expired.code()), (410, "link_expired"), "{name}");
    }
    let forged = player.get(&forged).await;
    assert_eq!((forged.status, forged.code()), (404, "file_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_of_an_adaptive_output_redirects_to_its_entry() {
    let app = TestApp::idle().await;
    let (owner, id, _) = stream(&app).await;
    let task = owner.get(&format!("/api/tasks/{id}")).await.body;
    let path = format!("/api/video/download/{}", task["file_path"].as_str().unwrap());
    let followed = owner.request(Method::GET, &path).send().await.unwrap();
    assert!(
        followed.url().path().ends_with("/hls/master.m3u8"),
        "{}",
        followed.url()
    );
    assert_eq!(followed.bytes().await.unwrap(), MASTER);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signature_of_a_playback_link_is_not_valid_for_downloads() {
    let app = TestApp::idle().await;
    let (owner, id, url) = stream(&app).await;
    let token: Vec<_> = url.split('/').nth(6).unwrap().split('.').collect();
    let [expires, key, signature] = token[..] else {
        panic!("{url}")
    };
    let task = owner.get(&format!("/api/tasks/{id}")).await.body;
    let file_path = task["file_path"].as_str().unwrap();
    let query = format!("output=hls&expires={expires}&key={key}&signature={signature}");
    let path = format!("/api/video/download/{file_path}?{query}");
    assert_eq!(app.anonymous().get(&path).await.code(), "file_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hls_output_of_a_worker_can_be_decoded_from_its_link_to_the_last_frame() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let source = Clip {
        seconds: 3.4,
        ..Clip::default()
    }
    .make(app.directory.path());
    for single_file in [false, true] {
        let hls = json!({ "kind": "hls", "ladder": [180, 90], "segment_ms": 1_000, "single_file": single_file });
        let recipe = json!({ "outputs": [hls] }).to_string();
        let task = caller.processed(&source, &[("recipe", &recipe)]).await;
        let url = task["download"][0].as_str().unwrap();
        // ffprobe reads playlists and segments through the link.
        let streams = clip::ffprobe(url)["streams"].as_array().unwrap().clone();
        let mut seen: Vec<_> = streams
            .iter()
            .map(|stream| (stream["codec_name"].as_str().unwrap(), stream["height"].as_u64()))
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, [("aac", None), ("h264", Some(90)), ("h264", Some(180))]);
        for stream in streams.iter().filter(|stream| stream["height"].is_u64()) {
            assert_eq!(stream["nb_read_packets"], "85", "{stream}");
        }
        // Every frame of every segment decodes.
        let whole = app.directory.path().join("whole.mkv");
        clip::ffmpeg(&["-xerror", "-i", url, "-c:v", "ffv1", "-c:a", "flac"], &whole);
        let decoded = clip::ffprobe(&whole);
        assert_eq!(decoded["streams"][0]["nb_read_packets"], "85");
        let seconds: f64 = decoded["format"]["duration"].as_str().unwrap().parse().unwrap();
        assert!((3.4..3.5).contains(&seconds), "{seconds} s");
    }
}
