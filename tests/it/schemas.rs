//! JSON schemas of the OpenAPI document: accepted requests, examples and replies validate, and refused recipes do not.
//! Replies are also read into the types of the crate `api`, as a client does.

use crate::recipes_page;
use api::auth::{CreatedAccount, Token};
use api::health::{Health, Readiness};
use api::images::{ImageList, ImageView};
use api::plan::{PlanBody, PlanView};
use api::presets::{PresetList, PresetView};
use api::problem::Problem;
use api::reply::Message;
use api::report::Bundle;
use api::tasks::{Removed, TaskList, TaskView};
use api::uploads::Uploaded;
use domain::Status;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tests::clip::Clip;
use tests::{MP4, TestApp};

/// The OpenAPI document as a validator.
struct Document(Value);

impl Document {
    async fn of(app: &TestApp) -> Self {
        Self(app.anonymous().get("/api/openapi.json").await.body)
    }

    /// The validation errors of a value; `None` if it is valid.
    fn errors(&self, schema: &str, value: &Value) -> Option<String> {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": format!("#/components/schemas/{schema}"),
            "components": self.0["components"],
        });
        let validator = jsonschema::validator_for(&whole).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        (!errors.is_empty()).then(|| errors.join("\n"))
    }

    /// Asserts that a value is valid.
    fn check(&self, schema: &str, value: &Value) {
        if let Some(errors) = self.errors(schema, value) {
            panic!("not a valid {schema}: {errors}\n{value}");
        }
    }

    /// Asserts that a reply is valid, reads it, and asserts that the type has all of its fields.
    fn read<T: Serialize + DeserializeOwned>(&self, schema: &str, value: &Value) -> T {
        self.check(schema, value);
        let reply: T =
            serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{schema}: {error}\n{value}"));
        // As text, because a value would show the digits of an `f32` as those of an `f64`.
        let text = serde_json::to_string(&reply).unwrap();
        assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), value, "{schema}");
        reply
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recipes_of_the_docs_validate_and_invalid_recipes_do_not() {
    let app = TestApp::idle().await;
    let document = Document::of(&app).await;
    for example in recipes_page::examples() {
        document.check("Recipe", &serde_json::from_str(&example).unwrap());
    }
    for wrong in [
        json!({}),
        json!({"outputs": []}),
        json!({"outputs": [{}]}),
        json!({"outputs": [{"kind": "avi"}]}),
        json!({"outputs": [{"kind": "mp4", "colour": 1}]}),
        json!({"outputs": [{"kind": "poster", "video": {}}]}),
        json!({"outputs": [{"kind": "mp4", "video": {"crf": 64}}]}),
        json!({"outputs": [{"kind": "hls", "ladder": "all"}]}),
        json!({"outputs": [{"kind": "mp4"}], "crop": {}}),
    ] {
        assert!(document.errors("Recipe", &wrong).is_some(), "{wrong}");
        assert!(domain::Recipe::parse(&wrong.to_string()).is_err(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_validate() {
    let app = TestApp::idle().await;
    let document = Document::of(&app).await;
    let mut checked = 0;
    for (name, schema) in document.0["components"]["schemas"].as_object().unwrap() {
        if let Some(example) = schema.get("example") {
            document.check(name, example);
            checked += 1;
        }
    }
    assert!(checked >= 6, "the check itself works");
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_about_accounts_presets_and_health_validate_and_can_be_read() {
    let app = TestApp::start().await;
    let document = Document::of(&app).await;
    let account =
        json!({ "username": "ana2", "password1": "123abc456", "password2": "123abc456", "email": "ana2@example.com" });
    let created = app.anonymous().post("/api/auth/signup", &account).await.body;
    let created: CreatedAccount = document.read("Created", &created);
    assert_eq!(created.username, "ana2");
    let login = json!({ "username": "ana2", "password": "123abc456" });
    let token = app.anonymous().post("/api/auth/login", &login).await.body;
    document.read::<Token>("Token", &token);

    let caller = app.caller().await;
    document.read::<PresetList>("PresetList", &caller.get("/api/presets").await.body);
    for preset in domain::preset::built_in() {
        let shown = caller.get(&format!("/api/presets/{}", preset.name)).await.body;
        let shown: PresetView = document.read("PresetView", &shown);
        assert_eq!(shown.recipe, preset.recipe);
    }
    document.read::<Message>("Message", &caller.get("/ping").await.body);
    document.read::<Health>("Health", &caller.get("/api/health").await.body);
    document.read::<Readiness>("Readiness", &caller.get("/readyz").await.body);
    let absent: Problem = document.read("Problem", &caller.get("/api/tasks/0").await.body);
    assert_eq!(
        (absent.code.as_str(), absent.status, absent.errors.len()),
        ("task_not_found", 404, 0)
    );
    let wrong = json!({ "preset": "web", "recipe": {} });
    document.read::<Problem>("Problem", &caller.post("/api/plan", &wrong).await.body);
    let wrong = json!({ "recipe": { "outputs": [{ "kind": "avi" }] } });
    let wrong: Problem = document.read("Problem", &caller.post("/api/plan", &wrong).await.body);
    assert_eq!(wrong.errors[0].field, "outputs[0].kind");
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_about_tasks_validate_and_can_be_read() {
    let app = TestApp::start().await;
    let document = Document::of(&app).await;
    let caller = app.caller().await;
    let image = caller.image("mark", tests::PNG.to_vec()).await;
    document.read::<ImageView>("ImageView", &image.body);
    document.read::<ImageList>("ImageList", &caller.get("/api/images").await.body);
    let recipe =
        r#"{"outputs": [{"kind": "mp4"}, {"kind": "hls", "ladder": [90]}, {"kind": "poster"}, {"kind": "audio"}]}"#;
    let clip = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    let uploaded = caller.upload("clip.mp4", clip, &[("recipe", recipe)]).await;
    let id = document.read::<Uploaded>("Uploaded", &uploaded.body).id;
    document.read::<TaskView>("TaskView", &caller.get(&format!("/api/tasks/{id}")).await.body);
    let processed: TaskView = document.read("TaskView", &caller.ended(id).await);
    assert_eq!(processed.status, Status::Processed, "{processed:?}");
    let bundle = caller.get(&format!("/api/tasks/{id}/report")).await.body;
    let bundle: Bundle = document.read("Bundle", &bundle);
    let report = bundle.report.read().unwrap();
    assert_eq!(report.outputs.unwrap().len(), processed.outputs.len());
    assert_eq!(
        serde_json::to_value(processed.report).unwrap(),
        serde_json::to_value(&bundle.report).unwrap()
    );
    let request = PlanBody {
        preset: Some("showcase".to_owned()),
        task: Some(id),
        ..PlanBody::default()
    };
    let plan = caller.post("/api/plan", &json!(request)).await.body;
    document.read::<PlanView>("PlanView", &plan);

    let failed = caller.upload("clip.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    let failed: TaskView = document.read("TaskView", &caller.ended(failed).await);
    assert_eq!(failed.status, Status::Failed, "{failed:?}");
    document.read::<TaskList>("TaskList", &caller.get("/api/tasks?max=1").await.body);
    let removed = caller.delete(&format!("/api/tasks/{id}")).await.body;
    assert_eq!(document.read::<Removed>("Removed", &removed).task, id);
}
