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
        r#"{"trim":{"ranges":[]},"outputs":[{"kind":"mp4"}]}"#,
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
        ("{", "", "not JSON: line 1, column 1"),
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
            "300; accepted: a whole number from 0 to 51",
        ),
        (
            r#"{"outputs":[{"kind":"mp4","video":{"codec":"theora"}}]}"#,
            "outputs[0].video.codec",
            r#""theora"; accepted: h264, h265, vp9, av1"#,
        ),
        (
            r#"{"outputs":[{"kind":"mp4"}],"frame":{"upscale":"yes"}}"#,
            "frame.upscale",
            r#""yes"; accepted: true or false"#,
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

/// A recipe, the path of the rejected field, and the detail: the value as it was sent, and the range of the field.
const RANGES: &[(&str, &str, &str)] = &[
    (
        r#"{"outputs":[{"kind":"mp4","video":{"crf":-1}}]}"#,
        "outputs[0].video.crf",
        "-1; accepted: a whole number from 0 to 51",
    ),
    (
        r#"{"outputs":[{"kind":"mp4","video":{"crf":23.5}}]}"#,
        "outputs[0].video.crf",
        "23.5; accepted: a whole number from 0 to 51",
    ),
    (
        r#"{"outputs":[{"kind":"mp4","video":{"crf":2e24}}]}"#,
        "outputs[0].video.crf",
        "2e+24; accepted: a whole number from 0 to 51",
    ),
    (
        r#"{"outputs":[{"kind":"mp4","video":{"crf":"23"}}]}"#,
        "outputs[0].video.crf",
        r#""23"; accepted: a whole number from 0 to 51"#,
    ),
    (
        r#"{"outputs":[{"kind":"mp4","video":{"crf":[23]}}]}"#,
        "outputs[0].video.crf",
        "a list; accepted: a whole number from 0 to 51",
    ),
    (
        r#"{"outputs":[{"kind":"mp4","video":{"crf":52}}]}"#,
        "outputs[0].video.crf",
        "52; accepted: 0 to 51",
    ),
    (
        r#"{"outputs":[{"kind":"webm","video":{"crf":-1}}]}"#,
        "outputs[0].video.crf",
        "-1; accepted: a whole number from 0 to 63",
    ),
    (
        r#"{"outputs":[{"kind":"mp4","max_width_px":100000000000}]}"#,
        "outputs[0].max_width_px",
        "100000000000; accepted: a whole number from 16 to 8192",
    ),
    (
        r#"{"outputs":[{"kind":"mp4","audio":{"bitrate_bps":"128k"}}]}"#,
        "outputs[0].audio.bitrate_bps",
        r#""128k"; accepted: a whole number from 32000 to 512000"#,
    ),
    (
        r#"{"outputs":[{"kind":"hls","ladder":[720,-1]}]}"#,
        "outputs[0].ladder[1]",
        "-1; accepted: a whole number from 16 to 8192",
    ),
    (
        r#"{"outputs":[{"kind":"gif","start_ms":5,"end_ms":-1}]}"#,
        "outputs[0].end_ms",
        "-1; accepted: a whole number from 6 to 60005",
    ),
    (
        r#"{"outputs":[{"kind":"gif","fps":0}]}"#,
        "outputs[0].fps",
        "0; accepted: keep, a number (12) or a fraction (25/2) from 1 to 50",
    ),
    (
        r#"{"watermark":{"margin_px":-5},"outputs":[{"kind":"mp4"}]}"#,
        "watermark.margin_px",
        "-5; accepted: a whole number from 0 to 1000",
    ),
    (
        r#"{"frame":{"fps":0},"outputs":[{"kind":"mp4"}]}"#,
        "frame.fps",
        "0; accepted: keep, a number (24) or a fraction (30000/1001) from 1 to 240",
    ),
    (
        r#"{"audio":{"stream":-1},"outputs":[{"kind":"mp4"}]}"#,
        "audio.stream",
        "-1; accepted: a whole number from 0 to 255",
    ),
    (
        r#"{"trim":{"start":-2},"outputs":[{"kind":"mp4"}]}"#,
        "trim.start",
        "-2; accepted: seconds (25.5), M:SS or HH:MM:SS.mmm, up to 1000 hours",
    ),
    (
        r#"{"trim":{"start":"5","end":4},"outputs":[{"kind":"mp4"}]}"#,
        "trim.end",
        "4; accepted: after 00:00:05.000",
    ),
    (
        r#"{"outputs":[{"kind":"mp4","name":"-x"}]}"#,
        "outputs[0].name",
        r#""-x"; accepted: 1 to 40 of a-z, 0-9 and -, not a - first"#,
    ),
    (
        r#"{"outputs":[{"kind":"mp4","video":{"crf":-1}},{"kind":"mp4","video":{"crf":-2}}]}"#,
        "outputs[0].video.crf",
        "-1; accepted: a whole number from 0 to 51",
    ),
];

#[test]
fn an_error_shows_the_value_as_sent_and_the_range_of_its_field() {
    for (json, field, detail) in RANGES {
        let error = Recipe::parse(json).expect_err(json);
        assert_eq!(
            (error.field.as_str(), error.problem.detail().as_deref()),
            (*field, Some(*detail)),
            "{json}"
        );
    }
    let long = format!(r#"{{"outputs":[{{"kind":"mp4","name":"{}"}}]}}"#, "x".repeat(100));
    let detail = Recipe::parse(&long).unwrap_err().problem.detail().unwrap();
    assert!(
        detail.starts_with(r#""xxx"#) && detail.contains("…; accepted: 1 to 40"),
        "{detail}"
    );
}
