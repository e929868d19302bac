//! The schemas of the OpenAPI document are true: what the service takes and what it answers fits them, and what it refuses does not.

use crate::recipes_page;
use serde_json::{Value, json};
use tests::clip::Clip;
use tests::{MP4, TestApp};

/// The document, to check values by.
struct Document(Value);

impl Document {
    async fn of(app: &TestApp) -> Self {
        Self(app.anonymous().get("/api/openapi.json").await.body)
    }

    /// Why a value does not fit a schema; `None` when it does.
    fn fault(&self, schema: &str, value: &Value) -> Option<String> {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": format!("#/components/schemas/{schema}"),
            "components": self.0["components"],
        });
        let validator = jsonschema::validator_for(&whole).unwrap();
        let faults: Vec<_> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        (!faults.is_empty()).then(|| faults.join("\n"))
    }

    /// Insists that a value fits.
    fn fits(&self, schema: &str, value: &Value) {
        if let Some(fault) = self.fault(schema, value) {
            panic!("not a {schema}: {fault}\n{value}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recipe_of_the_docs_fits_and_what_is_no_recipe_does_not() {
    let app = TestApp::idle().await;
    let document = Document::of(&app).await;
    for example in recipes_page::examples() {
        document.fits("Recipe", &serde_json::from_str(&example).unwrap());
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
        assert!(document.fault("Recipe", &wrong).is_some(), "{wrong}");
        assert!(domain::Recipe::parse(&wrong.to_string()).is_err(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_fits_its_schema() {
    let app = TestApp::idle().await;
    let document = Document::of(&app).await;
    let mut checked = 0;
    for (name, schema) in document.0["components"]["schemas"].as_object().unwrap() {
        if let Some(example) = schema.get("example") {
            document.fits(name, example);
            checked += 1;
        }
    }
    assert!(checked >= 6, "the check itself works");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_answers_fits() {
    let app = TestApp::start().await;
    let document = Document::of(&app).await;
    let caller = app.caller().await;
    document.fits("PresetList", &caller.get("/api/presets").await.body);
    for preset in domain::preset::built_in() {
        let shown = caller.get(&format!("/api/presets/{}", preset.name)).await.body;
        document.fits("PresetView", &shown);
    }
    document.fits("Health", &caller.get("/api/health").await.body);
    document.fits("Readiness", &caller.get("/readyz").await.body);
    document.fits("Problem", &caller.get("/api/tasks/0").await.body);
    let wrong = json!({ "preset": "web", "recipe": {} });
    document.fits("Problem", &caller.post("/api/plan", &wrong).await.body);

    let image = caller.image("mark", tests::PNG.to_vec()).await;
    document.fits("ImageView", &image.body);
    document.fits("ImageList", &caller.get("/api/images").await.body);
    let recipe =
        r#"{"outputs": [{"kind": "mp4"}, {"kind": "hls", "ladder": [90]}, {"kind": "poster"}, {"kind": "audio"}]}"#;
    let clip = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    let uploaded = caller.upload("clip.mp4", clip, &[("recipe", recipe)]).await;
    document.fits("Uploaded", &uploaded.body);
    let id = uploaded.body["id"].as_i64().unwrap();
    document.fits("TaskView", &caller.get(&format!("/api/tasks/{id}")).await.body);
    let processed = caller.ended(id).await;
    assert_eq!(processed["status"], "processed", "{processed}");
    document.fits("TaskView", &processed);
    let bundle = caller.get(&format!("/api/tasks/{id}/report")).await.body;
    document.fits("Bundle", &bundle);
    let wish = json!({ "task": id, "preset": "showcase" });
    document.fits("PlanRequest", &wish);
    document.fits("PlanView", &caller.post("/api/plan", &wish).await.body);

    let failed = caller.upload("clip.mp4", MP4.to_vec(), &[]).await.body["id"]
        .as_i64()
        .unwrap();
    let failed = caller.ended(failed).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    document.fits("TaskView", &failed);
    document.fits("TaskList", &caller.get("/api/tasks?max=1").await.body);
    let removed = caller.delete(&format!("/api/tasks/{id}")).await.body;
    document.fits("Removed", &removed);
}
