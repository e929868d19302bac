//! Malicious and malformed requests: each is refused with a code and leaves no row and no file.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use tests::clip::Clip;
use tests::{MP4, Reply, TestApp};

/// A service without a worker whose uploads are limited to 1 MB.
async fn limited() -> TestApp {
    let config = |config: &mut backend::Config| config.app.limits.max_upload_bytes = 1_000_000;
    TestApp::idle_with(config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refused_upload_has_a_code_and_leaves_nothing() {
    let app = limited().await;
    let caller = app.caller().await;
    let clip = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    let recipe = |recipe: serde_json::Value| recipe.to_string();
    let unknown = recipe(json!({ "outputs": [{ "kind": "mp4", "video": { "crff": 3 } }] }));
    let image = recipe(json!({ "watermark": { "image": "../../etc/passwd" }, "outputs": [{ "kind": "mp4" }] }));
    let huge = [clip.clone(), vec![0; 1_000_000]].concat();
    type Case<'a> = (Vec<u8>, Vec<(&'static str, &'a str)>, u16, &'a str);
    let cases: Vec<Case<'_>> = vec![
        (Vec::new(), vec![], 400, "file_empty"),
        (b"#!/bin/sh\necho hello".to_vec(), vec![], 415, "not_media"),
        (
            b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n".to_vec(),
            vec![],
            415,
            "not_media",
        ),
        (huge, vec![], 413, "upload_too_large"),
        (clip.clone(), vec![("preset", "nope")], 400, "preset_unknown"),
        (clip.clone(), vec![("recipe", "{")], 400, "recipe_invalid"),
        (clip.clone(), vec![("recipe", &unknown)], 400, "recipe_invalid"),
        (clip.clone(), vec![("recipe", &image)], 400, "recipe_invalid"),
        (
            clip.clone(),
            vec![("preset", "web"), ("recipe", r#"{"outputs":[{"kind":"mp4"}]}"#)],
            400,
            "preset_and_recipe",
        ),
        (clip.clone(), vec![("colour", "blue")], 400, "part_unknown"),
    ];
    for (bytes, parts, status, code) in cases {
        let reply = caller.upload("x.mp4", bytes, &parts).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{parts:?} {reply:?}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert!(!reply.body["request_id"].as_str().unwrap().is_empty());
        assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new(), "{code}");
    }
    let reply = caller.upload("x.mp4", clip, &[("recipe", &unknown)]).await;
    assert_eq!(reply.body["errors"][0]["field"], "outputs[0].video.crff", "{reply:?}");
    assert_eq!(
        caller.get("/api/tasks").await.body,
        json!({ "data": [], "next_cursor": null })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_a_file_or_of_another_type_is_refused() {
    let app = limited().await;
    let caller = app.caller().await;
    let reply = caller.submit(Form::new().text("preset", "web")).await;
    assert_eq!((reply.status, reply.message()), (400, "No file part"));
    let reply = caller.submit(Form::new().text("other", "x")).await;
    assert_eq!(
        (reply.status, reply.message()),
        (400, "No file part"),
        "a missing file is reported before an unknown part"
    );
    let reply = caller
        .submit(
            Form::new()
                .text("other", "x")
                .part("file", Part::bytes(tests::MP4).file_name("x.mp4")),
        )
        .await;
    assert_eq!((reply.status, reply.code()), (400, "part_unknown"));
    let reply = caller.submit(Form::new().text("one", "x").text("two", "x")).await;
    assert_eq!(
        (reply.status, reply.code()),
        (400, "part_unknown"),
        "the second unknown part ends the search for a file"
    );
    let reply = caller.post("/api/tasks", &json!({})).await;
    assert_eq!((reply.status, reply.message()), (400, "No file part"));
    let text = caller
        .request(Method::POST, "/api/tasks")
        .header("content-type", "text/plain");
    let reply = tests::Reply::read(text.body("x").send().await.unwrap()).await;
    assert_eq!((reply.status, reply.code()), (415, "content_type_unsupported"));
    let broken = caller.request(Method::POST, "/api/tasks");
    let broken = broken
        .header("content-type", "multipart/form-data; boundary=x")
        .body("--y\r\nnot a form");
    let reply = broken.send().await.unwrap();
    assert_eq!(reply.status(), 400);
    assert_eq!(
        reply.json::<serde_json::Value>().await.unwrap()["code"],
        "multipart_invalid"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_during_an_upload_leaves_no_file_and_no_task() {
    use tokio::io::AsyncWriteExt;
    let app = limited().await;
    let caller = app.caller().await;
    let address = app.url.strip_prefix("http://").unwrap();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let clip = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    let head = format!(
        "POST /api/tasks HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: multipart/form-data; \
         boundary=b\r\nContent-Length: 900000\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; \
         filename=\"x.mp4\"\r\n\r\n",
        caller.token
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&clip[..clip.len() / 2]).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    drop(socket);
    for _ in 0..50 {
        if app.stored_files().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(app.stored_files(), Vec::<std::path::PathBuf>::new());
    assert_eq!(caller.get("/api/tasks").await.body["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_file_name_comes_back_as_given_and_reaches_no_path() {
    let app = limited().await;
    let caller = app.caller().await;
    let clip = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    let long = format!("{}.mp4", "n".repeat(251));
    for name in [
        "../../etc/passwd.mp4",
        "a\"b'c;.mp4",
        "två 🎬 clips.mov",
        "C:\\temp\\x.avi",
        long.as_str(),
        ".mp4",
        "-rf.mp4",
        "my filename*=evil.mp4",
        "a; filename*=utf-8''b.mp4",
    ] {
        let part = Part::bytes(clip.clone()).file_name(name.to_owned());
        let reply = caller.submit(Form::new().part("video", part)).await;
        assert_eq!(reply.status, 201, "{name} {reply:?}");
        let task = caller.get(&format!("/api/tasks/{}", reply.body["task_id"])).await.body;
        assert_eq!(task["display_name"], name);
        let path = task["file_path"].as_str().unwrap();
        assert!(
            path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b)),
            "{path}"
        );
        assert!(!path.contains(".."), "{path}");
    }
    let outside = app
        .stored_files()
        .into_iter()
        .filter(|path| !path.to_string_lossy().contains("/sources/"));
    assert_eq!(outside.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_routes_and_wrong_methods_are_problems_too() {
    let app = limited().await;
    let caller = app.anonymous();
    let reply = caller.get("/api/nothing").await;
    assert_eq!((reply.status, reply.code()), (404, "route_not_found"));
    for path in ["/api", "/api/", "/api/tasks/1/2/3", "/nothing", "/apis", "/tasks"] {
        let reply = caller.get(path).await;
        assert_eq!((reply.status, reply.code()), (404, "route_not_found"), "{path}");
    }
    let reply = caller.delete("/api/tasks").await;
    assert_eq!((reply.status, reply.code()), (405, "method_not_allowed"));
    assert_eq!(reply.header("allow"), "GET,HEAD,POST");
    let reply = caller.delete("/api/auth/login").await;
    assert_eq!((reply.status, reply.code()), (405, "method_not_allowed"));
    assert_eq!(reply.header("allow"), "POST");
    assert!(reply.body["detail"].as_str().unwrap().contains("Allow"), "{reply:?}");
    let options = caller.request(Method::OPTIONS, "/api/nothing").send().await.unwrap();
    assert_eq!(options.status(), 404, "no origin is allowed by default");
    let zero = caller.get("/api/video/download/2026/01/31/1_%00?signature=x").await;
    assert_eq!((zero.status, zero.code()), (404, "file_not_found"));
    let zero = json!({ "username": "a\u{0}b", "password": "123abc456" });
    assert_eq!(caller.post("/api/auth/login", &zero).await.code(), "credentials_wrong");
    let login = caller.request(Method::POST, "/api/auth/login");
    let reply = login
        .header("content-type", "application/json")
        .body("{")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 400);
    assert_eq!(reply.json::<serde_json::Value>().await.unwrap()["code"], "json_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_parameter_that_nothing_can_have_is_named_with_what_is_accepted() {
    let app = limited().await;
    let caller = app.caller().await;
    let not_utf8 = "accepted: UTF-8, percent-encoded";
    for (path, code, accepted) in [
        ("/api/presets/%F0%9F", "preset_not_found", not_utf8),
        ("/api/images/%F0%9F", "image_not_found", not_utf8),
        ("/api/tasks/%FF", "task_not_found", not_utf8),
        ("/api/tasks/%FF/report", "task_not_found", not_utf8),
        ("/api/video/download/2026/01/31/%FF", "file_not_found", not_utf8),
        (
            "/api/video/play/-/2026/01/31/1_clip/hls/%FF",
            "file_not_found",
            not_utf8,
        ),
        (
            "/api/presets/My%20preset",
            "preset_not_found",
            "\"My preset\"; accepted: the name of a preset",
        ),
        (
            "/api/images/Cat",
            "image_not_found",
            "\"Cat\"; accepted: the name of an image",
        ),
        (
            "/api/tasks/seven",
            "task_not_found",
            "\"seven\"; accepted: the id of a task",
        ),
    ] {
        let reply = caller.get(path).await;
        assert_eq!((reply.status, reply.code()), (404, code), "{path}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        let detail = reply.body["detail"].as_str().unwrap();
        assert!(detail.contains(accepted), "{path}: {detail}");
        if accepted == not_utf8 {
            assert!(detail.contains(path), "{path}: {detail}");
        }
    }
    let anonymous = app.anonymous().get("/api/presets/%F0%9F").await;
    assert_eq!(anonymous.code(), "token_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_canonical_text_of_an_id_names_a_task() {
    let app = limited().await;
    let caller = app.caller().await;
    let task = caller.upload("clip.mp4", MP4.to_vec(), &[]).await.body;
    let (id, file) = (task["id"].as_i64().unwrap(), task["file_path"].as_str().unwrap());
    let (date, name) = file.rsplit_once('/').unwrap();
    for other in [
        format!("0{id}"),
        format!("+{id}"),
        format!("%2B{id}"),
        format!("{id}%20"),
        "-0".to_owned(),
    ] {
        for route in ["", "/report"] {
            let path = format!("/api/tasks/{other}{route}");
            let reply = caller.get(&path).await;
            assert_eq!((reply.status, reply.code()), (404, "task_not_found"), "{path}");
            let detail = reply.body["detail"].as_str().unwrap();
            assert!(detail.ends_with("accepted: the id of a task"), "{path}: {detail}");
        }
        for route in ["cancel", "retry"] {
            let reply = caller.post(&format!("/api/tasks/{other}/{route}"), &json!({})).await;
            assert_eq!((reply.status, reply.code()), (404, "task_not_found"), "{other}");
        }
        assert_eq!(caller.delete(&format!("/api/tasks/{other}")).await.status, 404);
        let download = name.replacen(&id.to_string(), &other, 1);
        let reply = caller.get(&format!("/api/video/download/{date}/{download}")).await;
        assert_eq!((reply.status, reply.code()), (404, "file_not_found"), "{download}");
        let reply = caller.get(&format!("/api/tasks?cursor={other}")).await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "query_invalid"),
            "{other}: {reply:?}"
        );
    }
    assert_eq!(caller.get(&format!("/api/tasks/{id}")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_given_twice_is_named() {
    let app = limited().await;
    let caller = app.caller().await;
    for (path, body, field) in [
        (
            "/api/auth/login",
            r#"{"username":"a","password":"b","username":"c"}"#,
            "username",
        ),
        (
            "/api/auth/signup",
            r#"{"username":"a","email":"b","email":"b"}"#,
            "email",
        ),
        (
            "/api/presets",
            r#"{"name":"a","recipe":{"outputs":[{"kind":"mp4","kind":"gif"}]}}"#,
            "recipe.outputs[0].kind",
        ),
        (
            "/api/plan",
            r#"{"task":1,"recipe":{"outputs":[],"outputs":[]}}"#,
            "recipe.outputs",
        ),
    ] {
        let request = caller
            .request(Method::POST, path)
            .header("content-type", "application/json");
        let reply = Reply::read(request.body(body).send().await.unwrap()).await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "request_invalid"),
            "{path}: {reply:?}"
        );
        assert_eq!(reply.body["errors"][0]["field"], field, "{path}");
        assert_eq!(
            reply.body["errors"][0]["detail"], "given twice; accepted: once",
            "{path}"
        );
    }
    let recipe = r#"{"outputs":[{"kind":"mp4","name":"a","name":"b"}]}"#;
    let reply = caller.upload("clip.mp4", MP4.to_vec(), &[("recipe", recipe)]).await;
    assert_eq!((reply.status, reply.code()), (400, "recipe_invalid"), "{reply:?}");
    assert_eq!(reply.body["errors"][0]["field"], "outputs[0].name", "{reply:?}");
}
