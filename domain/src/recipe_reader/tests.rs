//! The path, code and detail of the errors of a recipe.

use super::*;

fn rejection(json: &str) -> (String, &'static str) {
    let error = Recipe::parse(json).expect_err(json);
    (error.field, error.problem.code())
}

/// A recipe, the path of the rejected field, and its code.
const REJECTED: &[(&str, &str, &str)] = &[
    (r#"{"outputs":[{"kind":"mp4"}],"colour":1}"#, "colour", "unknown_field"),
    (
        r#"{"outputs":[{"kind":"mp4","video":{"crff":1}}]}"#,
        "outputs[0].video.crff",
        "unknown_field",
    ),
    (
        r#"{"outputs":[{"kind":"mp4"},{"kind":"poster","crf":1}]}"#,
        "outputs[1].crf",
        "unknown_field",
    ),
    (
        r#"{"outputs":[{"kind":"mp4","video":{"crf":52}}]}"#,
        "outputs[0].video.crf",
        "invalid_value",
    ),
    (
        r#"{"outputs":[{"kind":"mp4","video":{"crf":-1}}]}"#,
        "outputs[0].video.crf",
        "invalid_value",
    ),
    (
        r#"{"outputs":[{"kind":"hologram"}]}"#,
        "outputs[0].kind",
        "invalid_value",
    ),
    (r#"{"outputs":[{}]}"#, "outputs[0].kind", "missing_field"),
    (r#"{"outputs":[7]}"#, "outputs[0]", "invalid_value"),
    (r#"{"outputs":[]}"#, "outputs", "invalid_value"),
    (r#"{}"#, "outputs", "missing_field"),
    (r#"[]"#, "", "invalid_value"),
    (r#"{"#, "", "invalid_value"),
    (
        r#"{"trim":{"start":"5","end":4},"outputs":[{"kind":"mp4"}]}"#,
        "trim.end",
        "invalid_value",
    ),
    (
        r#"{"trim":{"begin":1},"outputs":[{"kind":"mp4"}]}"#,
        "trim.begin",
        "unknown_field",
    ),
    (
        r#"{"trim":{"start":"x"},"outputs":[{"kind":"mp4"}]}"#,
        "trim.start",
        "invalid_value",
    ),
    (
        r#"{"frame":{"aspect":"16x9"},"outputs":[{"kind":"mp4"}]}"#,
        "frame.aspect",
        "invalid_value",
    ),
    (
        r#"{"frame":{"fps":0},"outputs":[{"kind":"mp4"}]}"#,
        "frame.fps",
        "invalid_value",
    ),
    (
        r#"{"frame":{"upscale":true},"outputs":[{"kind":"mp4"}]}"#,
        "frame.upscale",
        "invalid_value",
    ),
    (
        r#"{"bumper":{"image":"../x"},"outputs":[{"kind":"mp4"}]}"#,
        "bumper.image",
        "invalid_value",
    ),
    (
        r#"{"watermark":{"image":"Cat"},"outputs":[{"kind":"mp4"}]}"#,
        "watermark.image",
        "invalid_value",
    ),
    (
        r#"{"trim":{"start":1,"ranges":[{"end":2}]},"outputs":[{"kind":"mp4"}]}"#,
        "trim.ranges",
        "invalid_value",
    ),
    (
        r#"{"trim":{"ranges":[{"end":2},{"start":3,"end":3}]},"outputs":[{"kind":"mp4"}]}"#,
        "trim.ranges[1].end",
        "invalid_value",
    ),
    (
        r#"{"trim":{"mode":"fast","ranges":[{"end":2},{"start":3}]},"outputs":[{"kind":"mp4"}]}"#,
        "trim.mode",
        "invalid_value",
    ),
    (
        r#"{"bumper":{"intro_ms":5,"intro_task":7},"outputs":[{"kind":"mp4"}]}"#,
        "bumper.intro_task",
        "invalid_value",
    ),
    (
        r#"{"outputs":[{"kind":"mp4","video":{"codec":"vp9"}}]}"#,
        "outputs[0].video.codec",
        "invalid_value",
    ),
    (
        r#"{"outputs":[{"kind":"webm","audio":{"codec":"aac"}}]}"#,
        "outputs[0].audio.codec",
        "invalid_value",
    ),
    (
        r#"{"outputs":[{"kind":"hls","ladder":"steep"}]}"#,
        "outputs[0].ladder",
        "invalid_value",
    ),
    (
        r#"{"outputs":[{"kind":"hls","ladder":[720,8]}]}"#,
        "outputs[0].ladder[1]",
        "invalid_value",
    ),
    (
        r#"{"outputs":[{"kind":"hls","segment_ms":999}]}"#,
        "outputs[0].segment_ms",
        "invalid_value",
    ),
    (
        r#"{"outputs":[{"kind":"gif","start_ms":5,"end_ms":60006}]}"#,
        "outputs[0].end_ms",
        "invalid_value",
    ),
    (
        r#"{"outputs":[{"kind":"gif","start_ms":3600000001}]}"#,
        "outputs[0].start_ms",
        "invalid_value",
    ),
    (
        r#"{"outputs":[{"kind":"poster","at_ms":18446744073709551615}]}"#,
        "outputs[0].at_ms",
        "invalid_value",
    ),
    (
        r#"{"watermark":{"end_ms":3600000001},"outputs":[{"kind":"mp4"}]}"#,
        "watermark.end_ms",
        "invalid_value",
    ),
    (
        r#"{"outputs":[{"kind":"sprite","every_ms":1}]}"#,
        "outputs[0].every_ms",
        "invalid_value",
    ),
    (
        r#"{"audio":{"stream":0,"language":"eng"},"outputs":[{"kind":"mp4"}]}"#,
        "audio.language",
        "invalid_value",
    ),
    (
        r#"{"outputs":[{"kind":"mp4","name":"a"},{"kind":"mp4","name":"a"}]}"#,
        "outputs[1].name",
        "invalid_value",
    ),
];

#[test]
fn an_error_names_the_rejected_field_by_its_path() {
    for (json, field, code) in REJECTED {
        assert_eq!(rejection(json), ((*field).to_owned(), *code), "{json}");
    }
}

#[test]
fn a_recipe_is_unchanged_after_serialization() {
    for preset in crate::preset::built_in() {
        let json = serde_json::to_string(&preset.recipe).unwrap();
        assert_eq!(Recipe::parse(&json).unwrap(), preset.recipe, "{}", preset.name);
        assert_eq!(stored(serde_json::from_str(&json).unwrap()).unwrap(), preset.recipe);
    }
}

#[test]
fn the_detail_of_an_error_uses_json_terms() {
    for (json, field, detail) in [
        ("null", "", "null; accepted: an object"),
        ("[]", "", "a list; accepted: an object"),
        ("{", "", "no JSON from line 1, column 1 on"),
        (
            r#"{"trim":[0.1,0.5],"outputs":[{"kind":"mp4"}]}"#,
            "trim",
            "a list; accepted: an object",
        ),
        (
            r#"{"outputs":[{"kind":"mp4","video":["h264",23]}]}"#,
            "outputs[0].video",
            "a list; accepted: an object",
        ),
        (
            r#"{"outputs":[{"kind":"mp4","video":{"crf":300}}]}"#,
            "outputs[0].video.crf",
            "300; accepted: a whole number from 0 to 255",
        ),
        (
            r#"{"outputs":[{"kind":"mp4","video":{"codec":"theora"}}]}"#,
            "outputs[0].video.codec",
            "theora; accepted: h264, h265, vp9, av1",
        ),
        (
            r#"{"outputs":[{"kind":"mp4"}],"frame":{"upscale":"yes"}}"#,
            "frame.upscale",
            "yes; accepted: true or false",
        ),
        (
            r#"{"outputs":{"kind":"mp4"}}"#,
            "outputs",
            "an object; accepted: a list",
        ),
    ] {
        let error = Recipe::parse(json).expect_err(json);
        assert_eq!(
            (error.field.as_str(), error.problem.detail().as_deref()),
            (field, Some(detail)),
            "{json}"
        );
    }
}
