//! `Idempotency-Key`: what makes something makes it once, however often the request is sent, and whatever happens to it.

mod turns;

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use sea_orm::ConnectionTrait;
use serde_json::json;
use tests::{Caller, MP4, PNG, Reply, TestApp, image_form};

/// Every operation that makes something for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Making {
    Task,
    Retry,
    Image,
    Preset,
}

const ALL: [Making; 4] = [Making::Task, Making::Retry, Making::Image, Making::Preset];

impl Making {
    /// What it is about: the id of a canceled task where it needs one.
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

    /// The request, and with another `variant` another one of its kind.
    fn request(self, caller: &Caller, about: i64, variant: &'static str) -> RequestBuilder {
        match self {
            Self::Task => upload(caller, "clip.mp4", &[("preset", variant)]),
            Self::Retry => caller.request(Method::POST, &format!("/api/tasks/{about}/retry")),
            Self::Image => caller
                .request(Method::POST, "/api/images")
                .multipart(image_form(variant, PNG.to_vec())),
            Self::Preset => caller
                .request(Method::POST, "/api/presets")
                .json(&json!({ "name": "mine", "summary": variant, "recipe": { "outputs": [{ "kind": "mp4" }] } })),
        }
    }
}

/// An upload whose parts are these texts and a file of this name.
fn upload(caller: &Caller, name: &'static str, parts: &[(&'static str, &'static str)]) -> RequestBuilder {
    let texts = parts
        .iter()
        .fold(Form::new(), |form, (name, text)| form.text(*name, *text));
    let form = texts.part("file", Part::bytes(MP4).file_name(name));
    caller.request(Method::POST, "/api/tasks").multipart(form)
}

/// An upload of nothing but a file.
fn whole(caller: &Caller) -> RequestBuilder {
    upload(caller, "x.mp4", &[])
}

async fn send(request: RequestBuilder, key: &str) -> Reply {
    Reply::read(request.header("idempotency-key", key).send().await.unwrap()).await
}

/// Time passes: every lease is over, and so is the time for which replies are kept.
async fn wait(app: &TestApp) {
    let past = "UPDATE idempotency_keys SET until_ms = 1";
    app.db.execute_unprepared(past).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sent_again_makes_nothing_and_gets_its_first_reply() {
    let app = TestApp::idle().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    for making in ALL {
        let about = making.prepare(&caller).await;
        let key = &format!("key-{making:?}");
        let first = send(making.request(&caller, about, "web"), key).await;
        assert_eq!(
            (first.status, first.header("idempotent-replayed")),
            (201, ""),
            "{first:?}"
        );
        let before = app.everything().await;

        for key in [key.clone(), format!("\"{key}\"")] {
            let again = send(making.request(&caller, about, "web"), &key).await;
            assert_eq!((again.status, &again.body), (201, &first.body), "{making:?}");
            assert_eq!(again.header("idempotent-replayed"), "true");
            assert_eq!(again.header("content-type"), first.header("content-type"));
        }
        if making != Making::Retry {
            let changed = send(making.request(&caller, about, "idrl"), key).await;
            assert_eq!(
                (changed.status, changed.code()),
                (422, "idempotency_key_reused"),
                "{making:?}"
            );
        }
        for elsewhere in ALL.into_iter().filter(|elsewhere| *elsewhere != making) {
            let reply = send(elsewhere.request(&caller, about, "web"), key).await;
            assert_eq!(
                (reply.status, reply.code()),
                (422, "idempotency_key_reused"),
                "{elsewhere:?}"
            );
        }
        assert_eq!(app.everything().await, before, "{making:?}");

        let theirs = making.prepare(&other).await;
        let reply = send(making.request(&other, theirs, "web"), key).await;
        assert_eq!(
            reply.header("idempotent-replayed"),
            "",
            "keys are each account's own: {reply:?}"
        );
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    wait(&app).await;
    let late = send(Making::Task.request(&caller, 0, "idrl"), "key-Task").await;
    assert_eq!(
        (late.status, late.header("idempotent-replayed")),
        (201, ""),
        "a day later"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_reply_outlives_what_it_was_about() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let canceled = Making::Retry.prepare(&caller).await;
    let recipe = json!({ "outputs": [{ "kind": "mp4" }] });
    let preset = json!({ "name": "mine", "recipe": recipe });
    assert_eq!(caller.post("/api/presets", &preset).await.status, 201);
    let upload = || upload(&caller, "clip.mp4", &[("preset", "mine")]);
    let (made, again) = (
        send(upload(), "made").await,
        send(Making::Retry.request(&caller, canceled, ""), "again").await,
    );
    assert_eq!((made.status, again.status), (201, 201), "{made:?} {again:?}");
    for gone in [
        "/api/presets/mine".to_owned(),
        format!("/api/tasks/{canceled}"),
        format!("/api/tasks/{}", made.body["id"]),
        format!("/api/tasks/{}", again.body["id"]),
    ] {
        assert_eq!(caller.delete(&gone).await.status, 200, "{gone}");
    }
    let before = app.everything().await;
    let replays = [
        send(upload(), "made").await,
        send(Making::Retry.request(&caller, canceled, ""), "again").await,
    ];
    assert_eq!(replays.map(|reply| reply.body), [made.body, again.body]);
    assert_eq!(app.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_differs_in_a_form_makes_it_another_request() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let form = |name: &'static str, file: Part| Form::new().text("preset", "web").part(name, file);
    let file = || Part::bytes(MP4).file_name("clip.mp4");
    let send = async |form: Form, key: &str| {
        let request = caller.request(Method::POST, "/api/tasks").multipart(form);
        send(request, key).await.status
    };
    assert_eq!(send(form("file", file()), "k").await, 201);
    let before = app.everything().await;
    for (what, other) in [
        (
            "the name of the file",
            form("file", Part::bytes(MP4).file_name("clip.mov")),
        ),
        (
            "a byte more",
            form("file", Part::bytes([MP4, b"\0"].concat()).file_name("clip.mp4")),
        ),
        ("the name of a part", form("video", file())),
        ("the order", Form::new().part("file", file()).text("preset", "web")),
        ("a part less", Form::new().part("file", file())),
        (
            "where one part ends",
            Form::new().text("pres", "etweb").part("file", file()),
        ),
        ("no file", Form::new().text("preset", "web")),
    ] {
        assert_eq!(send(other, "k").await, 422, "{what}");
    }
    assert_eq!(
        send(form("file", file().mime_str("video/mp4").unwrap()), "k").await,
        201,
        "its media type says nothing"
    );
    assert_eq!(app.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_leaves_its_key_free() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let refused = [
        (upload(&caller, "x.mp4", &[("preset", "nope")]), "preset_unknown"),
        (upload(&caller, "x.mp4", &[("colour", "blue")]), "part_unknown"),
        (Making::Image.request(&caller, 0, "no name"), "name_invalid"),
        (
            caller
                .request(Method::POST, "/api/presets")
                .json(&json!({ "name": "mine" })),
            "fields_missing",
        ),
        (Making::Retry.request(&caller, 77, ""), "task_not_found"),
    ];
    for (request, code) in refused {
        assert_eq!(send(request, "k").await.code(), code);
        assert!(
            !app.everything()
                .await
                .iter()
                .any(|line| line.starts_with("idempotency_keys: ")),
            "{code}"
        );
    }
    assert_eq!(send(whole(&caller), "k").await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_none_is_refused_before_anything_is_made() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let about = Making::Retry.prepare(&caller).await;
    let before = app.everything().await;
    for making in ALL {
        for key in ["", "two words", &"x".repeat(256), "\"\""] {
            let reply = send(making.request(&caller, about, "web"), key).await;
            assert_eq!(
                (reply.status, reply.code()),
                (400, "idempotency_key_invalid"),
                "{making:?} {key:?}"
            );
            assert!(
                reply.body["detail"]
                    .as_str()
                    .unwrap()
                    .contains("accepted: one of 1 to 255"),
                "{reply:?}"
            );
        }
        let two = making.request(&caller, about, "web").header("idempotency-key", "a");
        assert_eq!(send(two, "b").await.code(), "idempotency_key_invalid", "{making:?}");
    }
    assert_eq!(app.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_too_large_is_refused_again() {
    let app = TestApp::idle_with(|config| config.limits.max_upload_bytes = 1_000_000).await;
    let caller = app.caller().await;
    assert_eq!(send(whole(&caller), "k").await.status, 201);
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 65_536]));
    let file = Part::stream(reqwest::Body::wrap_stream(endless)).file_name("x.mp4");
    let request = caller
        .request(Method::POST, "/api/tasks")
        .multipart(Form::new().part("file", file));
    let reply = send(request, "k").await;
    assert_eq!((reply.status, reply.code()), (413, "upload_too_large"), "{reply:?}");
}
