//! `docs/RECIPES.md` and `README.md` agree with the code: all fields and values of recipes are documented, and the
//! examples are valid.

use domain::Recipe;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use tests::TestApp;

fn page(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words of a page that are marked as code.
fn code_words(page: &str) -> BTreeSet<&str> {
    let code = page.split('`').skip(1).step_by(2);
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    code.flat_map(|text| text.split(move |c| !is_word(c))).collect()
}

/// Collects names of fields and enum values of a component of the OpenAPI document and of the components that it refers
/// to.
fn words_of(components: &Value, name: &str, seen: &mut BTreeSet<String>, words: &mut BTreeSet<String>) {
    if seen.insert(name.to_owned()) {
        let schema = &components[name];
        assert!(schema.is_object(), "{name} is not described");
        collect(components, schema, seen, words);
    }
}

fn collect(components: &Value, schema: &Value, seen: &mut BTreeSet<String>, words: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("$ref", Value::String(target)) => {
                        words_of(components, target.rsplit('/').next().unwrap(), seen, words);
                    }
                    ("properties", Value::Object(properties)) => words.extend(properties.keys().cloned()),
                    ("enum", Value::Array(values)) => {
                        words.extend(values.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    _ => {}
                }
                collect(components, value, seen, words);
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| collect(components, part, seen, words)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_and_value_of_a_recipe_is_documented() {
    let app = TestApp::start().await;
    let document = app.anonymous().get("/api/openapi.json").await.body;
    let (mut seen, mut words) = (BTreeSet::new(), BTreeSet::new());
    for name in ["Recipe", "WarningCode"] {
        words_of(&document["components"]["schemas"], name, &mut seen, &mut words);
    }
    for expected in ["intro_task", "top-left", "sprite", "single_file", "trim_exact"] {
        assert!(
            words.contains(expected),
            "the check itself works: {expected} in {words:?}"
        );
    }
    let page = page("docs/RECIPES.md");
    let written = code_words(&page);
    let presets = domain::preset::built_in();
    let wanted = words
        .iter()
        .map(String::as_str)
        .chain(presets.iter().map(|preset| preset.name));
    let missing: Vec<_> = wanted.filter(|word| !written.contains(word)).collect();
    assert!(missing.is_empty(), "docs/RECIPES.md does not document {missing:?}");
}

/// The example recipes of `docs/RECIPES.md` and `README.md`.
pub(crate) fn examples() -> Vec<String> {
    let mut examples = Vec::new();
    for page in [page("docs/RECIPES.md"), page("README.md")] {
        let fenced = page
            .split("```json\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap());
        let given = page
            .split("'recipe=")
            .skip(1)
            .map(|rest| rest.split('\'').next().unwrap());
        examples.extend(fenced.chain(given).map(str::to_owned));
    }
    assert!(examples.len() > 10, "the check itself works");
    examples
}

#[test]
fn every_example_is_a_valid_recipe() {
    for example in examples() {
        if let Err(error) = Recipe::parse(&example) {
            panic!("{error:?} in {example}");
        }
    }
}

#[test]
fn every_preset_has_an_example_in_the_readme() {
    let page = page("README.md");
    for preset in domain::preset::built_in() {
        let example = format!("--preset {}`", preset.name);
        assert!(page.contains(&example), "README.md shows no {example:?}");
    }
}
