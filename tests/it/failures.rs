//! Files that cannot be processed: each task fails with a code and a message in the language of the caller.

use domain::{Code, Failure};
use entity::trace::AttemptRecord;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tests::clip::{self, Clip};
use tests::{Caller, Options, TestApp};

/// Uploads a file, asserts that its task fails without outputs, and returns the error.
async fn failed(caller: &Caller, file: &Path, parts: &[(&'static str, &str)]) -> Value {
    let task = caller.ended(caller.task(file, parts).await).await;
    assert_eq!(task["status"], "failed", "{task}");
    assert_eq!((&task["download"], &task["outputs"]), (&json!([]), &json!([])));
    assert!(task["finished_at"].is_string());
    task["error"].clone()
}

/// Writes the first `keep` thousandths of a file into a new one.
fn cut(file: &Path, keep: usize) -> PathBuf {
    let bytes = std::fs::read(file).unwrap();
    let path = file.with_extension(format!("{keep}.mp4"));
    std::fs::write(&path, &bytes[..bytes.len() * keep / 1_000]).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_the_stream_that_an_output_needs_fails_with_a_code() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let directory = app.directory.path();
    let audio_file = directory.join("audio.m4a");
    clip::ffmpeg(&["-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac"], &audio_file);
    let error = failed(&caller, &audio_file, &[]).await;
    assert_eq!(
        (&error["code"], &error["message"]),
        (&"no_video_stream".into(), &"El archivo no tiene video".into())
    );
    let row = caller.get("/api/tasks").await.body["data"][0].clone();
    assert_eq!(
        (&row["task_id"], &row["error"]),
        (&row["id"], &json!({ "code": "no_video_stream" })),
        "{row}"
    );
    // The report of a failed attempt has what is known until it failed, here before it was planned.
    let report = &caller.get(&format!("/api/tasks/{}", row["id"])).await.body["report"];
    let fields: Vec<_> = report.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["sandbox", "timings"], "{report}");
    let phases: Vec<_> = report["timings"].as_object().unwrap().keys().collect();
    assert_eq!(phases, ["fetch_ms", "probe_ms"], "{report}");

    let silent = Clip {
        sound: false,
        ..Clip::default()
    }
    .make(directory);
    let audio = json!({ "outputs": [{ "kind": "audio" }] }).to_string();
    let error = failed(&caller, &silent, &[("recipe", &audio)]).await;
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&"no_audio_stream".into(), &false.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_file_fails_or_is_processed_with_a_warning() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let whole = Clip {
        seconds: 4.0,
        ..Clip::default()
    }
    .make(app.directory.path());
    // The index (moov) is at the end of this file and has been cut off.
    assert_eq!(failed(&caller, &cut(&whole, 900), &[]).await["code"], "source_damaged");

    let first = app.directory.path().join("index-first.mp4");
    clip::ffmpeg(
        &["-i", whole.to_str().unwrap(), "-c", "copy", "-movflags", "+faststart"],
        &first,
    );
    let task = caller.processed(&cut(&first, 600), &[]).await;
    let warnings = task["report"]["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().any(|warning| warning["code"] == "source_damaged"),
        "a short output without a warning: {task}"
    );
    assert!(task["outputs"][0]["duration_ms"].as_u64() < Some(3_500));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_stream_cut_anywhere_is_processed_with_a_warning_that_names_the_place() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let clip = Clip {
        seconds: 6.0,
        ..Clip::default()
    };
    let (source, path) = (clip.make(app.directory.path()), app.directory.path().join("whole.ts"));
    let encoding = ["-c:v", "libx264", "-g", "25", "-c:a", "aac"];
    clip::ffmpeg(&[&["-i", source.to_str().unwrap()][..], &encoding].concat(), &path);
    let whole = std::fs::read(&path).unwrap();
    let at = |thousandth: usize| whole.len() * thousandth / 1_000 / 188 * 188;
    // The first begins inside a packet and before a keyframe; the other two lack a part and an end inside a packet.
    let begins_late = &whole[at(210) + 77..];
    let gap = [&whole[..at(400) + 30], &whole[at(600) + 99..]].concat();
    let ends_early = &whole[..at(700) + 50];
    for (name, bytes, place) in [
        ("begins-late.ts", begins_late, "first at source time"),
        ("gap.ts", &gap[..], "first at source time"),
        ("ends-early.ts", ends_early, ""),
    ] {
        let path = app.directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let task = caller.processed(&path, &[]).await;
        let warnings = task["report"]["warnings"].as_array().unwrap();
        println!("{name}: {warnings:?}");
        let damage = warnings.iter().find(|warning| warning["code"] == "source_damaged");
        let detail = damage
            .and_then(|warning| warning["detail"].as_str())
            .unwrap_or_default();
        assert!(detail.contains(place), "{name}: {warnings:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_file_of_sixteen_channels_fails_as_unsupported() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let path = app.directory.path().join("stems.wav");
    let sound = ["-f", "lavfi", "-i", "sine=duration=1", "-ac", "16", "-c:a", "pcm_s16le"];
    clip::ffmpeg(&sound, &path);
    for preset in ["audio", "web"] {
        let error = failed(&caller, &path, &[("preset", preset)]).await;
        println!("{preset}: {error}");
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&"codec_unsupported".into(), &false.into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_packets_that_were_copied_lead_to_a_second_run_without_copies() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let whole = Clip::default().make(app.directory.path());
    let mut bytes = std::fs::read(&whole).unwrap();
    let media = bytes.windows(4).position(|four| four == b"mdat").unwrap();
    // The index at the end is intact, so the damage shows only when the packets are decoded.
    let middle = (media + bytes.len()) / 2;
    bytes[middle..middle + 400].fill(0x5a);
    let damaged = whole.with_extension("damaged.mp4");
    std::fs::write(&damaged, bytes).unwrap();

    let recipe = json!({ "outputs": [{ "kind": "mp4" }] }).to_string();
    let intact = caller.processed(&whole, &[("recipe", &recipe)]).await;
    let steps = |task: &Value| task["report"]["outputs"][0]["steps"].clone();
    assert_eq!(steps(&intact)[0]["done"], "copy", "{intact}");
    let task = caller.processed(&damaged, &[("recipe", &recipe)]).await;
    for step in steps(&task).as_array().unwrap() {
        let reason = "the first attempt to copy it found damaged packets or changing headers";
        assert_eq!((&step["done"], &step["reason"]), (&"transcode".into(), &reason.into()));
    }
    let warnings = task["report"]["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().any(|warning| warning["code"] == "source_damaged"),
        "{task}"
    );
    let probe = clip::ffprobe(task["download"][0].as_str().unwrap());
    assert_eq!(probe["streams"][0]["nb_read_packets"], "50");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_over_the_limits_is_refused_with_both_values() {
    let config = |config: &mut backend::Config| config.app.limits.max_duration_us = 1_000_000;
    let app = TestApp::with(Options {
        config,
        ..Options::default()
    })
    .await;
    let caller = app.caller().await;
    let error = failed(&caller, &Clip::default().make(app.directory.path()), &[]).await;
    assert_eq!(error["code"], "duration_too_long");
    let english = caller
        .request(reqwest::Method::GET, "/api/tasks/1")
        .header("accept-language", "en-GB");
    let task: Value = english.send().await.unwrap().json().await.unwrap();
    assert_eq!(task["error"]["message"], "The video is too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_valid_first_bytes_and_damaged_content_fails_with_a_code() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let mut bytes = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    for byte in bytes.iter_mut().skip(64).step_by(3) {
        *byte = 0x5a;
    }
    let path = app.directory.path().join("garbage.mp4");
    std::fs::write(&path, bytes).unwrap();
    let code = failed(&caller, &path, &[]).await["code"].clone();
    assert!(
        ["source_damaged", "not_media"].contains(&code.as_str().unwrap()),
        "{code}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_retryable_unless_the_file_or_the_recipe_is_its_cause() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    for (code, expected) in [
        (Code::SourceDamaged, false),
        (Code::CodecUnsupported, false),
        (Code::TaskTooLarge, false),
        // The status of this code is 422, but the machine may be the cause.
        (Code::OutputTooLarge, true),
        (Code::MediaTimeout, true),
        (Code::StorageFull, true),
        (Code::WorkerCrash, true),
    ] {
        let id = caller.upload("clip.mp4", tests::MP4.to_vec(), &[]).await.body["id"].as_i64();
        let claim = app.claim(id.unwrap()).await.claim();
        let (failure, record) = (Failure::new(code, ""), AttemptRecord::default());
        let failed = entity::write(&app.db, async |db| claim.fail(db, &failure, None, &record).await);
        assert!(failed.await.unwrap());
        let error = caller.get(&format!("/api/tasks/{}", id.unwrap())).await.body["error"].clone();
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&code.as_str().into(), &expected.into())
        );
    }
}
