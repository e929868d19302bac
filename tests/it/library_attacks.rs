//! Hostile requests to the library: none causes a fault of the server, and nothing private is in a public answer.

use crate::searches::{ask, result};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::{Caller, MP4, Reply, TestApp};

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn send(caller: &Caller, method: Method, path: &str, body: &str) -> Reply {
    let request = caller.request(method, path).header("content-type", "application/json");
    Reply::read(request.body(body.to_owned()).send().await.unwrap()).await
}

/// Uploads a video whose task is processed; returns its id.
async fn processed(app: &TestApp, caller: &Caller, name: &str) -> i64 {
    let upload = caller.upload(name, MP4.to_vec(), &[]).await;
    app.finish(
        upload.body["id"].as_i64().unwrap(),
        &[("video.mp4", "mp4", "video/mp4", b"x")],
    )
    .await;
    upload.body["video_id"].as_i64().unwrap()
}

async fn patch(caller: &Caller, video: i64, patch: &Value) -> Reply {
    send(
        caller,
        Method::PATCH,
        &format!("/api/videos/{video}"),
        &patch.to_string(),
    )
    .await
}

async fn publish(caller: &Caller, video: i64, visibility: &str) -> Value {
    let published = caller
        .post(
            &format!("/api/videos/{video}/publish"),
            &json!({ "visibility": visibility }),
        )
        .await;
    assert_eq!(published.status, 200, "{published:?}");
    published.body
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_queries_are_text_or_refused() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    for (video, title) in [
        (processed(&app, &caller, "a.mp4").await, "title OR NEAR(talk)"),
        (processed(&app, &caller, "b.mp4").await, "مرحبا بالعالم 😀 𠜎𠜏"),
    ] {
        assert_eq!(patch(&caller, video, &json!({ "title": title })).await.status, 200);
        publish(&caller, video, "public").await;
    }
    let (long, words) = ("a".repeat(200), "w ".repeat(99));
    // The text and the number of hits.
    for (text, total) in [
        ("title:(talk OR *)", Some(0)),
        ("NEAR(talk, 5)", Some(0)),
        ("NEAR(talk", Some(1)),
        ("OR talk", Some(1)),
        ("talk*", Some(1)),
        ("^title", Some(1)),
        ("{title tags}:talk", Some(0)),
        ("talk' OR 1=1; DROP TABLE videos; --", Some(0)),
        ("\"talk\"\"title", None),
        ("مرحبا", Some(1)),
        ("\u{202e}مرحبا\u{202c}", None),
        ("𠜎𠜏", Some(1)),
        ("😀", Some(0)),
        ("%", Some(0)),
        ("\u{7f}\u{1}", Some(0)),
        ("a\u{301}\u{301}\u{301}", None),
        (&long, Some(0)),
        (&words, Some(0)),
    ] {
        for path in [
            "/api/library/search?facets=tags,region",
            "/api/videos/search?typing=true",
        ] {
            let reply = caller.get(&format!("{path}&q={}", encoded(text))).await;
            assert_eq!(reply.status, 200, "{text:?}: {reply:?}");
            let is_typing = path.contains("typing");
            assert!(
                is_typing || total.is_none_or(|total| reply.body["total"] == total),
                "{text:?}: {reply:?}"
            );
        }
    }
    for text in [
        "",
        " ",
        "-talk",
        "\"",
        "\"\"",
        "a\0b",
        &"a".repeat(201),
        &"ñ".repeat(10_000),
    ] {
        for path in ["/api/library/search", "/api/videos/search"] {
            let reply = caller.get(&format!("{path}?q={}", encoded(text))).await;
            assert_eq!(
                (reply.status, reply.code()),
                (400, "query_invalid"),
                "{text:?}: {reply:?}"
            );
        }
    }
    for query in [
        "q=%ff",
        "q=a&q=b",
        "q=a&tag=%00",
        "q=a&owner=%ff%fe",
        "q=%ED%A0%80",
        "q=a&max=1e9",
        "q=a&region=",
    ] {
        let reply = caller.get(&format!("/api/library/search?{query}")).await;
        assert!(reply.status == 400 || reply.status == 200, "{query}: {reply:?}");
    }
    for id in [
        "0",
        "-1",
        "99999999999999999999",
        "..",
        "%2e%2e%2f",
        "%00",
        "%ff",
        "01",
        "+1",
        &"a".repeat(5_000),
    ] {
        for path in ["", "/files/x", "/files/x/y", "/files/%2e%2e%2f%2e%2e"] {
            let reply = caller.get(&format!("/api/library/{id}{path}")).await;
            assert!([301, 308, 404, 405].contains(&reply.status), "{id}{path}: {reply:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_query_scope_or_account_is_refused() {
    let app = TestApp::idle().await;
    let (ana, eva) = (app.caller().await, app.caller().await);
    for caller in [&ana, &ana, &eva, &eva] {
        publish(caller, processed(&app, caller, "talk.mp4").await, "public").await;
    }
    let cursor = async |caller: &Caller, path: &str| {
        let page = caller.get(&format!("{path}max=1")).await;
        page.body["next_cursor"].as_str().unwrap().to_owned()
    };
    let paths = [
        (&ana, "/api/library?"),
        (&ana, "/api/library?sort=duration&"),
        (&ana, "/api/library?region=x&"),
        (&ana, "/api/library/search?q=talk&"),
        (&ana, "/api/library/search?q=talk+-x&"),
        (&ana, "/api/library/search?q=talk&typing=true&"),
        (&ana, "/api/videos?"),
        (&ana, "/api/videos/search?q=talk&"),
        (&eva, "/api/videos?"),
        (&eva, "/api/videos/search?q=talk&"),
    ];
    for (index, (caller, path)) in paths.iter().enumerate() {
        if path.contains("region") {
            continue;
        }
        let cursor = cursor(caller, path).await;
        for (other_index, (other_caller, other_path)) in paths.iter().enumerate() {
            let reply = other_caller.get(&format!("{other_path}cursor={cursor}")).await;
            let expected = if index == other_index { 200 } else { 400 };
            assert_eq!(reply.status, expected, "{path} at {other_path}: {reply:?}");
            assert!(expected == 200 || reply.code() == "cursor_invalid", "{reply:?}");
        }
        // One changed character anywhere.
        for at in [0, cursor.len() / 2, cursor.len() - 2] {
            let mut forged = cursor.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            let reply = caller.get(&format!("{path}cursor={forged}")).await;
            assert_eq!(reply.code(), "cursor_invalid", "{path}: {reply:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_refused_and_change_nothing() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let video = processed(&app, &caller, "talk.mp4").await;
    let path = format!("/api/videos/{video}");
    let before = caller.get(&path).await.body;
    let many_tags = json!({ "tags": (0..1_000).map(|number| format!("{number}")).collect::<Vec<_>>() }).to_string();
    let long_tag = json!({ "tags": ["x".repeat(101)] }).to_string();
    let large = json!({ "metadata": { "a": "x".repeat(70_000) } }).to_string();
    let deep = format!("{{\"metadata\":{}1{}}}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let wide = json!({ "metadata": (0..4_000).map(|number| (format!("{number}"), json!(0))).collect::<serde_json::Map<_, _>>() });
    for body in [
        r#"{"title":"\ud800"}"#,
        r#"{"title":"\udfff\ud800"}"#,
        r#"{"metadata":{"a":"\ud800"}}"#,
        r#"{"metadata":{"\ud800":1}}"#,
        r#"{"title":"a\u0000b"}"#,
        r#"{"description":"\u0000"}"#,
        r#"{"tags":["\u0000"]}"#,
        r#"{"region":"\u0000"}"#,
        r#"{"external_id":"\u0000"}"#,
        r#"{"metadata":{"a":"\u0000"}}"#,
        r#"{"metadata":{"\u0000":1}}"#,
        r#"{"metadata":{"a":1e400}}"#,
        r#"{"title":"a","title":"b"}"#,
        r#"{"tags":[["a"]]}"#,
        r#"{"tags":"a"}"#,
        r#"{"id":7}"#,
        r#"{"visibility":"public"}"#,
        r#"{"public_id":"x"}"#,
        r#"{"account":1}"#,
        "[]",
        "null",
        "",
        &large,
        &deep,
        &many_tags,
        &long_tag,
        &wide.to_string(),
    ] {
        let reply = send(&caller, Method::PATCH, &path, body).await;
        let start: String = body.chars().take(60).collect();
        assert!([400, 413].contains(&reply.status), "{start}: {reply:?}");
        assert_eq!(caller.get(&path).await.body, before, "{start}");
    }
    // What is not refused is text.
    for title in [
        "😀 𠜎",
        "\u{202e}txt.exe",
        "<script>alert(1)</script>",
        "' OR 1=1 --",
        "a\u{301}",
        "=1+1",
    ] {
        let reply = patch(&caller, video, &json!({ "title": title })).await;
        assert_eq!(
            (reply.status, reply.body["title"].as_str()),
            (200, Some(title)),
            "{reply:?}"
        );
        let list = caller.get("/api/videos").await;
        assert_eq!(list.body["data"][0]["title"], title);
    }
}

/// All names of fields in a reply, at any depth.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, inner) in object {
                found.insert(name.clone());
                names(inner, found);
            }
        }
        Value::Array(array) => array.iter().for_each(|inner| names(inner, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_answers_have_no_unlisted_or_private_video_and_no_private_field() {
    let app = TestApp::idle().await;
    let (ana, eva) = (app.caller().await, app.caller().await);
    let mut urls = Vec::new();
    for visibility in ["public", "unlisted", "private"] {
        let video = processed(&app, &ana, "talk.mp4").await;
        let fields = json!({ "title": format!("talk zzq{visibility}"), "tags": ["all", format!("zzq{visibility}")],
            "region": format!("zzq{visibility}"), "description": format!("zzq{visibility}"),
            "external_id": format!("secret-{visibility}"), "metadata": { "secret": "secret" } });
        assert_eq!(patch(&ana, video, &fields).await.status, 200);
        if visibility != "private" {
            let published = publish(&ana, video, visibility).await;
            urls.push(published["public_url"].as_str().unwrap().to_owned());
        }
    }
    let ticket = ask(&eva, "/api/library/search?q=talk").await;
    let mut replies = vec![result(&eva, ticket.header("location")).await];
    for path in [
        "/api/library",
        "/api/library?tag=all",
        "/api/library?tag=zzqunlisted",
        "/api/library?region=zzqprivate",
        "/api/library/search?q=talk&facets=tags,region",
        "/api/library/search?q=zzqunlisted&facets=tags,region",
        "/api/library/search?q=zzqprivate&facets=tags,region",
        // One letter from a word of a hidden video.
        "/api/library/search?q=zzqunlistex&facets=tags",
        "/api/library/search?q=zzqp&typing=true&facets=tags",
    ] {
        for caller in [&app.anonymous(), &eva] {
            let reply = caller.get(path).await;
            assert_eq!(reply.status, 200, "{path}");
            replies.push(reply);
        }
    }
    for reply in &replies {
        let titles = reply.body["data"].as_array().unwrap().iter();
        assert!(
            titles.clone().all(|video| video["title"] == "talk zzqpublic"),
            "{reply:?}"
        );
        assert!(
            reply.body["total"]
                .as_u64()
                .is_none_or(|total| total == titles.len() as u64),
            "{reply:?}"
        );
        for hidden in ["zzqunlisted", "zzqprivate"] {
            let data = [&reply.body["data"], &reply.body["facets"]]
                .map(Value::to_string)
                .concat();
            assert!(!data.contains(hidden), "{reply:?}");
            for correction in reply.body["corrected"].as_array().unwrap_or(&Vec::new()) {
                assert!(!correction["replacements"].to_string().contains(hidden), "{reply:?}");
            }
        }
    }
    // An unlisted video is shown at its address, also without its private fields.
    for url in &urls {
        replies.push(app.anonymous().get(url).await);
    }
    for reply in &replies {
        let mut found = BTreeSet::new();
        names(&reply.body, &mut found);
        for private in [
            "external_id",
            "metadata",
            "secret",
            "account",
            "user_id",
            "source_id",
            "key",
            "public_id",
            "task_id",
            "tasks",
        ] {
            assert!(!found.contains(private), "{private}: {reply:?}");
        }
        assert!(!reply.body.to_string().contains("secret"), "{reply:?}");
    }
}
