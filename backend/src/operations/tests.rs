//! Checks of the OpenAPI document as a whole.

use super::*;
use serde_json::Value;

#[test]
#[allow(clippy::too_many_lines, reason = "the list of all operations")]
fn every_operation_documents_its_errors_and_its_security() {
    let document = serde_json::to_value(document()).unwrap();
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let (mut operations, mut names) = (Vec::new(), std::collections::HashSet::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            assert!(
                names.insert(operation["operationId"].clone()),
                "{method} {path} has the name of another"
            );
            let schemes = operation["security"].as_array().unwrap();
            let guarded = !schemes.is_empty();
            assert_eq!(
                guarded,
                operation["responses"]["401"].is_object() && !path.ends_with("/login"),
                "{method} {path}"
            );
            operations.push(format!(
                "{} {path}{}",
                method.to_uppercase(),
                if guarded { " (bearer)" } else { "" }
            ));
        }
    }
    insta::assert_snapshot!(operations.join("\n"), @r"
    GET /api/analytics/{source}/by/{dimension} (bearer)
    GET /api/analytics/{source}/map (bearer)
    GET /api/analytics/{source}/series (bearer)
    GET /api/analytics/{source}/total (bearer)
    POST /api/auth/login
    GET /api/auth/login/ping
    POST /api/auth/signup
    GET /api/auth/signup/ping
    GET /api/credentials (bearer)
    POST /api/credentials (bearer)
    DELETE /api/credentials/{name} (bearer)
    GET /api/datasets (bearer)
    DELETE /api/datasets/{name} (bearer)
    GET /api/datasets/{name} (bearer)
    PUT /api/datasets/{name} (bearer)
    POST /api/datasets/{name}/versions (bearer)
    GET /api/events (bearer)
    GET /api/events/stream (bearer)
    POST /api/events/tickets (bearer)
    GET /api/guest-links (bearer)
    POST /api/guest-links (bearer)
    DELETE /api/guest-links/{id} (bearer)
    GET /api/guest-links/{id} (bearer)
    PATCH /api/guest-links/{id} (bearer)
    GET /api/guest/{token}
    POST /api/guest/{token}/session
    GET /api/health
    GET /api/images (bearer)
    POST /api/images (bearer)
    DELETE /api/images/{name} (bearer)
    GET /api/images/{name} (bearer)
    GET /api/imports (bearer)
    POST /api/imports (bearer)
    DELETE /api/imports/{id} (bearer)
    GET /api/imports/{id} (bearer)
    POST /api/imports/{id}/cancel (bearer)
    GET /api/imports/{id}/events (bearer)
    GET /api/imports/{id}/result (bearer)
    POST /api/imports/{id}/retry (bearer)
    GET /api/imports/{id}/rows (bearer)
    GET /api/library
    GET /api/library/search
    GET /api/library/{id}
    GET /api/library/{id}/files/{output}
    GET /api/library/{id}/files/{output}/{file}
    POST /api/plan (bearer)
    GET /api/presets (bearer)
    POST /api/presets (bearer)
    DELETE /api/presets/{name} (bearer)
    GET /api/presets/{name} (bearer)
    PUT /api/presets/{name} (bearer)
    GET /api/regions/{dataset}/{code} (bearer)
    GET /api/searches/{id} (bearer)
    GET /api/tasks (bearer)
    POST /api/tasks (bearer)
    DELETE /api/tasks/{id} (bearer)
    GET /api/tasks/{id} (bearer)
    POST /api/tasks/{id}/cancel (bearer)
    POST /api/tasks/{id}/publish (bearer)
    GET /api/tasks/{id}/report (bearer)
    POST /api/tasks/{id}/retry (bearer)
    OPTIONS /api/uploads
    POST /api/uploads (bearer)
    PUT /api/uploads/file (bearer)
    POST /api/uploads/presigned (bearer)
    DELETE /api/uploads/{id} (bearer)
    GET /api/uploads/{id} (bearer)
    HEAD /api/uploads/{id} (bearer)
    PATCH /api/uploads/{id} (bearer)
    POST /api/uploads/{id}/complete (bearer)
    POST /api/uploads/{id}/parts (bearer)
    GET /api/video/download/{year}/{month}/{day}/{name} (bearer)
    GET /api/video/play/{token}/{year}/{month}/{day}/{name}/{output}/{file} (bearer)
    GET /api/videos (bearer)
    GET /api/videos/search (bearer)
    DELETE /api/videos/{id} (bearer)
    GET /api/videos/{id} (bearer)
    PATCH /api/videos/{id} (bearer)
    POST /api/videos/{id}/publish (bearer)
    POST /api/videos/{id}/unpublish (bearer)
    GET /api/webhooks (bearer)
    POST /api/webhooks (bearer)
    GET /api/webhooks/deliveries (bearer)
    POST /api/webhooks/deliveries/{id}/resend (bearer)
    GET /api/webhooks/secret (bearer)
    POST /api/webhooks/secret/rotate (bearer)
    DELETE /api/webhooks/{id} (bearer)
    GET /api/webhooks/{id} (bearer)
    PATCH /api/webhooks/{id} (bearer)
    POST /api/webhooks/{id}/secret/rotate (bearer)
    POST /api/webhooks/{id}/test (bearer)
    GET /livez
    GET /metrics
    GET /ping
    GET /readyz
    ");
}

#[test]
fn create_operations_of_accounts_and_no_others_accept_an_idempotency_key() {
    let document = serde_json::to_value(document()).unwrap();
    let items = document["paths"].as_object().unwrap().values();
    for operation in items.flat_map(|item| item.as_object().unwrap().values()) {
        let guarded = operation["security"]
            .as_array()
            .is_some_and(|schemes| !schemes.is_empty());
        let makes = guarded && operation["responses"]["201"].is_object();
        let mut parameters = operation["parameters"].as_array().into_iter().flatten();
        let takes = parameters.any(|one| one["name"] == "Idempotency-Key" && one["in"] == "header");
        assert_eq!(makes, takes, "{}", operation["operationId"]);
    }
}

/// The names of the parts of a schema that have no description.
fn undescribed(name: &str, schema: &Value, found: &mut Vec<String>) {
    let has_description = |part: &Value| part["description"].is_string();
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (field, value) in properties {
        let mut variants = value["oneOf"].as_array().into_iter().flatten();
        if !has_description(value) && !variants.any(has_description) {
            found.push(format!("{name}.{field}"));
        }
    }
}

#[test]
fn every_operation_parameter_and_schema_has_a_description() {
    let document = serde_json::to_value(document()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let body = operation.get("requestBody").into_iter();
            let parts = std::iter::once(operation).chain(parameters).chain(body);
            let silent = parts.filter(|part| !part["description"].is_string());
            found.extend(silent.map(|part| format!("{method} {path} {}", part["name"])));
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if !schema["description"].is_string() {
            found.push(name.clone());
        }
        undescribed(name, schema, &mut found);
    }
    assert!(found.is_empty(), "without a description: {found:#?}");
}

#[test]
fn files_are_binary_strings_and_idempotency_keys_have_no_example() {
    let document = serde_json::to_value(document()).unwrap();
    let text = document.to_string();
    assert!(
        !text.contains(r#""format":"int32","minimum":0},"type":"array""#),
        "bytes as numbers"
    );
    let items = document["paths"].as_object().unwrap().values();
    for operation in items.flat_map(|item| item.as_object().unwrap().values()) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            // Clients that send the example key twice would get the first reply again.
            assert!(parameter.get("example").is_none(), "{parameter}");
        }
    }
    let binary = serde_json::json!({ "type": "string", "format": "binary" });
    let files = |path: &str| document["paths"][path]["get"]["responses"]["200"]["content"].clone();
    let image = files("/api/images/{name}");
    for kind in ["image/png", "image/jpeg"] {
        assert_eq!(image[kind]["schema"], binary, "{kind}");
    }
    let video = files("/api/video/download/{year}/{month}/{day}/{name}");
    for kind in [
        "video/mp4",
        "video/webm",
        "audio/mp4",
        "audio/mpeg",
        "audio/ogg",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
    ] {
        assert_eq!(video[kind]["schema"], binary, "{kind}");
    }
}

#[test]
fn the_schema_of_outputs_is_discriminated_by_kind() {
    let document = serde_json::to_value(document()).unwrap();
    let output = &document["components"]["schemas"]["Output"];
    assert_eq!(output["discriminator"]["propertyName"], "kind");
    let variants = output["oneOf"].as_array().unwrap().iter();
    let variants: Vec<_> = variants.map(|variant| variant["$ref"].as_str().unwrap()).collect();
    let kinds = output["discriminator"]["mapping"].as_object().unwrap();
    assert_eq!(kinds.len(), 7);
    for (kind, reference) in kinds {
        let reference = reference.as_str().unwrap();
        assert!(variants.contains(&reference), "{reference}");
        let schema = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        let values = &schema["properties"]["kind"];
        let values = values.get("const").unwrap_or(&values["enum"][0]);
        assert_eq!(values, kind, "{schema}");
    }
}

#[test]
fn every_reference_can_be_resolved() {
    let document = serde_json::to_value(document()).unwrap();
    let mut wanted = vec![&document];
    while let Some(value) = wanted.pop() {
        if let Some(reference) = value.get("$ref").and_then(serde_json::Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        match value {
            serde_json::Value::Array(items) => wanted.extend(items),
            serde_json::Value::Object(fields) => wanted.extend(fields.values()),
            _ => {}
        }
    }
}
