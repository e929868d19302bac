//! Built-in presets and presets of an account.

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{Caller, MP4, Reply, TestApp};

async fn put(caller: &Caller, path: &str, body: &Value) -> Reply {
    let request = caller.request(reqwest::Method::PUT, path).json(body);
    Reply::read(request.send().await.unwrap()).await
}

fn names(list: &Reply) -> Vec<&str> {
    let data = list.body["data"].as_array().unwrap();
    data.iter().map(|preset| preset["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preset_is_stored_used_replaced_and_removed() {
    let app = TestApp::idle().await;
    let (owner, other, anonymous) = (app.caller().await, app.caller().await, app.anonymous());
    let small = json!({"name": "small", "summary": "Pequeño", "recipe": {"frame": {"max_width_px": 320}, "outputs": [{"kind": "mp4"}]}});
    let created = owner.post("/api/presets", &small).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(
        (&created.body["built_in"], &created.body["default"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(created.body["recipe"]["frame"]["max_width_px"], 320);
    let public = anonymous.get("/api/presets").await;
    assert_eq!(names(&public)[0], "web");
    assert!(
        public.body["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|preset| preset["built_in"] == true)
    );
    assert_eq!(
        names(&owner.get("/api/presets").await),
        [names(&public), vec!["small"]].concat()
    );
    assert_eq!(names(&other.get("/api/presets").await), names(&public));
    let mut invalid = owner.clone();
    invalid.token.push('x');
    assert_eq!(
        invalid.get("/api/presets").await.code(),
        "token_invalid",
        "an invalid token is refused, not ignored"
    );
    let typo = json!({"name": "typo", "sumary": "x", "recipe": {"outputs": [{"kind": "mp4"}]}});
    let typo = owner.post("/api/presets", &typo).await;
    assert_eq!(
        (typo.code(), &typo.body["errors"][0]["field"]),
        ("request_invalid", &json!("sumary"))
    );

    let task = owner.upload("a.mp4", MP4.to_vec(), &[("preset", "small")]).await;
    assert_eq!((task.status, &task.body["preset"]), (201, &json!("small")), "{task:?}");
    let path = format!("/api/tasks/{}", task.body["id"]);
    let larger = json!({"recipe": {"frame": {"max_width_px": 640}, "outputs": [{"kind": "mp4"}]}});
    let replaced = put(&owner, "/api/presets/small", &larger).await;
    assert_eq!(
        (replaced.status, &replaced.body["summary"]),
        (200, &Value::Null),
        "{replaced:?}"
    );
    assert_eq!(
        owner.get("/api/presets/small").await.body["recipe"]["frame"]["max_width_px"],
        640
    );
    assert_eq!(
        owner.get(&path).await.body["recipe"]["frame"]["max_width_px"],
        320,
        "a task keeps the recipe of its upload"
    );

    assert_eq!(other.get("/api/presets/small").await.code(), "preset_not_found");
    let refused = other.upload("a.mp4", MP4.to_vec(), &[("preset", "small")]).await;
    assert_eq!((refused.status, refused.code()), (400, "preset_unknown"));
    assert_eq!(owner.delete("/api/presets/small").await.status, 200);
    assert_eq!(owner.get("/api/presets/small").await.code(), "preset_not_found");
    assert_eq!(owner.get(&path).await.body["preset"], "small");
}

#[tokio::test(flavor = "multi_thread")]
async fn built_in_presets_can_be_read_but_not_changed() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let recipe = json!({"outputs": [{"kind": "poster"}]});
    let taken = caller
        .post("/api/presets", &json!({"name": "web", "recipe": recipe}))
        .await;
    assert_eq!((taken.status, taken.code()), (409, "preset_name_taken"));
    for reply in [
        put(&caller, "/api/presets/web", &json!({"recipe": recipe})).await,
        caller.delete("/api/presets/web").await,
    ] {
        assert_eq!((reply.status, reply.code()), (409, "preset_built_in"));
    }
    let shown = caller.get("/api/presets/web").await.body;
    assert_eq!((&shown["built_in"], &shown["default"]), (&json!(true), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_preset_is_refused_with_the_field() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let recipe = json!({"outputs": [{"kind": "mp4"}]});
    let before = app.snapshot().await;
    for (body, code, field) in [
        (json!({"recipe": recipe}), "fields_missing", "name"),
        (json!({"name": "mine"}), "fields_missing", "recipe"),
        (json!({"name": "Mine!", "recipe": recipe}), "name_invalid", "name"),
        (
            json!({"name": "x".repeat(41), "recipe": recipe}),
            "name_invalid",
            "name",
        ),
        (
            json!({"name": "mine", "recipe": {"outputs": []}}),
            "recipe_invalid",
            "outputs",
        ),
        (
            json!({"name": "mine", "recipe": {"outputs": [{"kind": "mp4", "video": {"crf": 99}}]}}),
            "recipe_invalid",
            "outputs[0].video.crf",
        ),
        (
            json!({"name": "mine", "summary": "a\u{0}b", "recipe": recipe}),
            "request_invalid",
            "summary",
        ),
        (
            json!({"name": "mine", "summary": "é".repeat(201), "recipe": recipe}),
            "request_invalid",
            "summary",
        ),
    ] {
        let reply = caller.post("/api/presets", &body).await;
        assert_eq!((reply.status, reply.code()), (400, code), "{body}");
        assert_eq!(reply.body["errors"][0]["field"], field, "{body}");
    }
    assert_eq!(app.snapshot().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_parallel_requests_with_one_name_one_succeeds() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let preset = json!({"name": "mine", "recipe": {"outputs": [{"kind": "mp4"}]}});
    let replies = join_all((0..8).map(|_| caller.post("/api/presets", &preset))).await;
    let created = replies.iter().filter(|reply| reply.status == 201).count();
    let taken = replies
        .iter()
        .filter(|reply| reply.code() == "preset_name_taken")
        .count();
    assert_eq!((created, taken), (1, 7), "{replies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn presets_are_listed_with_their_recipes() {
    let app = TestApp::idle_with(|config| config.app.default_preset = "idrl".to_owned()).await;
    let list = app.anonymous().get("/api/presets").await.body;
    let listed = list["data"].as_array().unwrap();
    let names: Vec<_> = listed.iter().map(|preset| preset["name"].as_str().unwrap()).collect();
    let known: Vec<_> = domain::preset::built_in().iter().map(|preset| preset.name).collect();
    assert_eq!(names, known);
    let defaults: Vec<_> = listed.iter().filter(|preset| preset["default"] == true).collect();
    assert_eq!(defaults.len(), 1);
    assert_eq!(
        (&defaults[0]["name"], &defaults[0]["recipe"]["trim"]["end"]),
        (&json!("idrl"), &json!(16))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_100_presets_holds_for_parallel_requests() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let preset = async |number: usize| {
        let body = json!({ "name": format!("mine-{number}"), "recipe": { "outputs": [{ "kind": "mp4" }] } });
        caller.post("/api/presets", &body).await
    };
    for number in 0..97 {
        let reply = preset(number).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    let replies = join_all((97..104).map(preset)).await;
    let refused = replies.iter().filter(|reply| reply.code() == "presets_too_many");
    assert_eq!(refused.count(), 4, "{replies:?}");
}
