//! `Idempotency-Key`: a create request that is sent again creates nothing and gets the first reply.

mod concurrent;

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::json;
use tests::{Caller, MP4, PNG, Reply, TestApp, image_form};

/// The operations that create a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Create {
    Task,
    Retry,
    Image,
    Preset,
}

const ALL: [Create; 4] = [Create::Task, Create::Retry, Create::Image, Create::Preset];

impl Create {
    /// Creates the canceled task that a retry needs and returns its id; 0 for the other operations.
    async fn prepare(self, caller: &Caller) -> i64 {
        if self != Self::Retry {
            return 0;
        }
        let task = upload(caller, "old.mp4", &[]).send().await.unwrap();
        let id = Reply::read(task).await.body["id"].as_i64().unwrap();
        let canceled = caller.post(&format!("/api/tasks/{id}/cancel"), &json!({})).await;
        assert_eq!(canceled.status, 200, "{canceled:?}");
        id
    }

    /// Builds a request. Requests with different variants have different content.
    fn request(self, caller: &Caller, canceled: i64, variant: &'static str) -> RequestBuilder {
        match self {
            Self::Task => upload(caller, "clip.mp4", &[("preset", variant)]),
            Self::Retry => caller.request(Method::POST, &format!("/api/tasks/{canceled}/retry")),
            Self::Image => caller
                .request(Method::POST, "/api/images")
                .multipart(image_form(variant, PNG.to_vec())),
            Self::Preset => caller
                .request(Method::POST, "/api/presets")
                .json(&json!({ "name": "mine", "summary": variant, "recipe": { "outputs": [{ "kind": "mp4" }] } })),
        }
    }
}

/// An upload with these text parts and a file with this name.
fn upload(caller: &Caller, name: &'static str, parts: &[(&'static str, &'static str)]) -> RequestBuilder {
    let texts = parts
        .iter()
        .fold(Form::new(), |form, (name, text)| form.text(*name, *text));
    let form = texts.part("file", Part::bytes(MP4).file_name(name));
    caller.request(Method::POST, "/api/tasks").multipart(form)
}

/// An upload with only a file.
fn plain_upload(caller: &Caller) -> RequestBuilder {
    upload(caller, "x.mp4", &[])
}

async fn send(request: RequestBuilder, key: &str) -> Reply {
    Reply::read(request.header("idempotency-key", key).send().await.unwrap()).await
}

/// Sets the expiry of every lease and every stored reply to the past.
async fn expire(app: &TestApp) {
    let past = "UPDATE idempotency_keys SET until_ms = 1";
    app.db.execute_unprepared(past).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_creates_nothing_and_gets_the_first_reply() {
    let app = TestApp::idle().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    for operation in ALL {
        let canceled = operation.prepare(&caller).await;
        let key = &format!("key-{operation:?}");
        let first = send(operation.request(&caller, canceled, "web"), key).await;
        assert_eq!(
            (first.status, first.header("idempotent-replayed")),
            (201, ""),
            "{first:?}"
        );
        let before = app.snapshot().await;

        for key in [key.clone(), format!("\"{key}\"")] {
            let again = send(operation.request(&caller, canceled, "web"), &key).await;
            assert_eq!((again.status, &again.body), (201, &first.body), "{operation:?}");
            assert_eq!(again.header("idempotent-replayed"), "true");
            assert_eq!(again.header("content-type"), first.header("content-type"));
        }
        if operation != Create::Retry {
            let changed = send(operation.request(&caller, canceled, "idrl"), key).await;
            assert_eq!(
                (changed.status, changed.code()),
                (422, "idempotency_key_reused"),
                "{operation:?}"
            );
        }
        for elsewhere in ALL.into_iter().filter(|elsewhere| *elsewhere != operation) {
            let reply = send(elsewhere.request(&caller, canceled, "web"), key).await;
            assert_eq!(
                (reply.status, reply.code()),
                (422, "idempotency_key_reused"),
                "{elsewhere:?}"
            );
        }
        assert_eq!(app.snapshot().await, before, "{operation:?}");

        let other_task = operation.prepare(&other).await;
        let reply = send(operation.request(&other, other_task, "web"), key).await;
        assert_eq!(
            reply.header("idempotent-replayed"),
            "",
            "keys are unique per account: {reply:?}"
        );
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    expire(&app).await;
    let late = send(Create::Task.request(&caller, 0, "idrl"), "key-Task").await;
    assert_eq!(
        (late.status, late.header("idempotent-replayed")),
        (201, ""),
        "a day later"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stored_reply_is_returned_after_the_resource_was_removed() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let canceled = Create::Retry.prepare(&caller).await;
    let recipe = json!({ "outputs": [{ "kind": "mp4" }] });
    let preset = json!({ "name": "mine", "recipe": recipe });
    assert_eq!(caller.post("/api/presets", &preset).await.status, 201);
    let upload = || upload(&caller, "clip.mp4", &[("preset", "mine")]);
    let (created, again) = (
        send(upload(), "created").await,
        send(Create::Retry.request(&caller, canceled, ""), "again").await,
    );
    assert_eq!((created.status, again.status), (201, 201), "{created:?} {again:?}");
    for removed in [
        "/api/presets/mine".to_owned(),
        format!("/api/tasks/{canceled}"),
        format!("/api/tasks/{}", created.body["id"]),
        format!("/api/tasks/{}", again.body["id"]),
    ] {
        assert_eq!(caller.delete(&removed).await.status, 200, "{removed}");
    }
    let before = app.snapshot().await;
    let replays = [
        send(upload(), "created").await,
        send(Create::Retry.request(&caller, canceled, ""), "again").await,
    ];
    assert_eq!(replays.map(|reply| reply.body), [created.body, again.body]);
    assert_eq!(app.snapshot().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_difference_in_a_form_makes_it_another_request() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let form = |name: &'static str, file: Part| Form::new().text("preset", "web").part(name, file);
    let file = || Part::bytes(MP4).file_name("clip.mp4");
    let send = async |form: Form, key: &str| {
        let request = caller.request(Method::POST, "/api/tasks").multipart(form);
        send(request, key).await.status
    };
    assert_eq!(send(form("file", file()), "k").await, 201);
    let before = app.snapshot().await;
    for (difference, other) in [
        (
            "the name of the file",
            form("file", Part::bytes(MP4).file_name("clip.mov")),
        ),
        (
            "one byte more",
            form("file", Part::bytes([MP4, b"\0"].concat()).file_name("clip.mp4")),
        ),
        ("the name of a part", form("video", file())),
        ("the order", Form::new().part("file", file()).text("preset", "web")),
        ("one part less", Form::new().part("file", file())),
        (
            "the boundary of the parts",
            Form::new().text("pres", "etweb").part("file", file()),
        ),
        ("no file", Form::new().text("preset", "web")),
    ] {
        assert_eq!(send(other, "k").await, 422, "{difference}");
    }
    assert_eq!(
        send(form("file", file().mime_str("video/mp4").unwrap()), "k").await,
        201,
        "the media type of the part is ignored"
    );
    assert_eq!(app.snapshot().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_releases_its_key() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let refused = [
        (upload(&caller, "x.mp4", &[("preset", "nope")]), "preset_unknown"),
        (upload(&caller, "x.mp4", &[("colour", "blue")]), "part_unknown"),
        (Create::Image.request(&caller, 0, "no name"), "name_invalid"),
        (
            caller
                .request(Method::POST, "/api/presets")
                .json(&json!({ "name": "mine" })),
            "fields_missing",
        ),
        (Create::Retry.request(&caller, 77, ""), "task_not_found"),
    ];
    for (request, code) in refused {
        assert_eq!(send(request, "k").await.code(), code);
        assert!(
            !app.snapshot()
                .await
                .iter()
                .any(|line| line.starts_with("idempotency_keys: ")),
            "{code}"
        );
    }
    assert_eq!(send(plain_upload(&caller), "k").await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_key_is_refused_before_anything_is_created() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let canceled = Create::Retry.prepare(&caller).await;
    let before = app.snapshot().await;
    for operation in ALL {
        for key in ["", "two words", &"x".repeat(256), "\"\""] {
            let reply = send(operation.request(&caller, canceled, "web"), key).await;
            assert_eq!(
                (reply.status, reply.code()),
                (400, "idempotency_key_invalid"),
                "{operation:?} {key:?}"
            );
            assert!(
                reply.body["detail"]
                    .as_str()
                    .unwrap()
                    .contains("accepted: one of 1 to 255"),
                "{reply:?}"
            );
        }
        let two = operation
            .request(&caller, canceled, "web")
            .header("idempotency-key", "a");
        assert_eq!(send(two, "b").await.code(), "idempotency_key_invalid", "{operation:?}");
    }
    assert_eq!(app.snapshot().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_upload_that_is_too_large_is_refused() {
    let app = TestApp::idle_with(|config| config.app.limits.max_upload_bytes = 1_000_000).await;
    let caller = app.caller().await;
    assert_eq!(send(plain_upload(&caller), "k").await.status, 201);
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 65_536]));
    let file = Part::stream(reqwest::Body::wrap_stream(endless)).file_name("x.mp4");
    let request = caller
        .request(Method::POST, "/api/tasks")
        .multipart(Form::new().part("file", file));
    let reply = send(request, "k").await;
    assert_eq!((reply.status, reply.code()), (413, "upload_too_large"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_the_method_and_the_whole_path_of_its_operation() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    assert_eq!(send(plain_upload(&caller), "k").await.status, 201);
    // Rows outlive an upgrade of the service, so their form is fixed.
    let stored = entity::idempotency::Entity::find().one(&app.db).await.unwrap().unwrap();
    let operation = stored.request.unwrap();
    assert!(operation.starts_with("POST /api/tasks "), "{operation}");
    let form = Form::new().part("file", Part::bytes(MP4).file_name("x.mp4"));
    let with_slash = caller.request(Method::POST, "/api/tasks/").multipart(form);
    let again = send(with_slash, "k").await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"));
}
