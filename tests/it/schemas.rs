//! JSON schemas of the OpenAPI document: accepted requests, examples and replies validate, and refused recipes do not.

use crate::recipes_page;
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
async fn replies_validate() {
    let app = TestApp::start().await;
    let document = Document::of(&app).await;
    let caller = app.caller().await;
    document.check("PresetList", &caller.get("/api/presets").await.body);
    for preset in domain::preset::built_in() {
        let shown = caller.get(&format!("/api/presets/{}", preset.name)).await.body;
        document.check("PresetView", &shown);
    }
    document.check("Health", &caller.get("/api/health").await.body);
    document.check("Readiness", &caller.get("/readyz").await.body);
    document.check("Problem", &caller.get("/api/tasks/0").await.body);
    let wrong = json!({ "preset": "web", "recipe": {} });
    document.check("Problem", &caller.post("/api/plan", &wrong).await.body);

    let image = caller.image("mark", tests::PNG.to_vec()).await;
    document.check("ImageView", &image.body);
    document.check("ImageList", &caller.get("/api/images").await.body);
    let recipe =
        r#"{"outputs": [{"kind": "mp4"}, {"kind": "hls", "ladder": [90]}, {"kind": "poster"}, {"kind": "audio"}]}"#;
    let clip = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    let uploaded = caller.upload("clip.mp4", clip, &[("recipe", recipe)]).await;
    document.check("Uploaded", &uploaded.body);
    let id = uploaded.body["id"].as_i64().unwrap();
    document.check("TaskView", &caller.get(&format!("/api/tasks/{id}")).await.body);
    let processed = caller.ended(id).await;
    assert_eq!(processed["status"], "processed", "{processed}");
    document.check("TaskView", &processed);
    let bundle = caller.get(&format!("/api/tasks/{id}/report")).await.body;
    document.check("Bundle", &bundle);
    let request = json!({ "task": id, "preset": "showcase" });
    document.check("PlanRequest", &request);
    document.check("PlanView", &caller.post("/api/plan", &request).await.body);

    let failed = caller.upload("clip.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    let failed = caller.ended(failed).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    document.check("TaskView", &failed);
    document.check("TaskList", &caller.get("/api/tasks?max=1").await.body);
    let removed = caller.delete(&format!("/api/tasks/{id}")).await.body;
    document.check("Removed", &removed);
}
