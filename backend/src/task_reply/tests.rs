//! The tag of a task changes with everything that its view shows.

use super::*;
use crate::config::{Secret, Secrets};
use serde_json::json;
use std::time::Duration;

fn links(seed: &str) -> Links {
    let current = Secret::new(format!("{seed}-0123456789abcdef0123456789abcdef")).unwrap();
    let secrets = Secrets {
        current,
        previous: None,
    };
    Links::new(&secrets, Duration::from_secs(60))
}

fn raw(json: &serde_json::Value) -> RawJson {
    serde_json::from_str(&json.to_string()).unwrap()
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn context(language: Language, host: &str) -> ViewContext {
    ViewContext {
        language,
        base_url: BaseUrl(format!("https://{host}")),
    }
}

fn details(status: TaskStatus) -> TaskDetails {
    let task = task::Model {
        id: 7,
        user_id: 1,
        source_id: 3,
        file_path: "2026/01/31/7_clip.mp4".to_owned(),
        timestamp: at(-9),
        status,
        display_name: "clip.mp4".to_owned(),
        preset: Some("web".to_owned()),
        recipe: json!({ "outputs": [{ "kind": "mp4" }] }),
        attempt: 1,
        failures: 0,
        run_at_ms: 0,
        lease_until_ms: Some(1),
        worker_id: Some("a".to_owned()),
        progress: Some(
            json!({ "phase": "transcode", "percent": 10, "frames": 9, "fps": 30.0, "speed": 1.5, "eta_s": 5 }),
        ),
        error_code: Some("worker_crash".to_owned()),
        error_detail: Some("three times".to_owned()),
        report: Some(raw(&json!({ "warnings": [] }))),
        started_at: Some(at(-5)),
        finished_at: Some(at(-1)),
        fingerprint: Some("f".to_owned()),
        webhook_url: None,
    };
    let source = source::Model {
        id: 3,
        user_id: 1,
        key: "sources/a".to_owned(),
        bytes: 9,
        sha256: "ab".repeat(32),
        probe: None,
        created_at: at(-9),
    };
    let output = output::Model {
        id: 11,
        task_id: 7,
        position: 0,
        name: "video.mp4".to_owned(),
        kind: "mp4".to_owned(),
        media_type: "video/mp4".to_owned(),
        key: "outputs/7/1/video.mp4".to_owned(),
        bytes: 9,
        sha256: "cd".repeat(32),
        width_px: Some(640),
        height_px: Some(360),
        duration_ms: Some(1_000),
        entry: None,
    };
    let is_processed = status == TaskStatus::Processed;
    TaskDetails {
        task,
        source,
        video: None,
        outputs: is_processed.then_some(output).into_iter().collect(),
    }
}

/// View and tag for the same arguments.
fn reply(links: &Links, context: &ViewContext, details: &TaskDetails, second: i64) -> (String, String) {
    let view = view(links, context, details.clone(), at(second));
    let tag = tag(links, context, details, at(second));
    (serde_json::to_string(&view).unwrap(), tag)
}

type Change = (&'static str, fn(&mut TaskDetails));

/// A change of each column that changes while a task exists.
const CHANGES: [Change; 16] = [
    ("status", |one| one.task.status = TaskStatus::Canceled),
    ("attempt", |one| one.task.attempt += 1),
    ("failures", |one| one.task.failures += 1),
    ("percent", |one| {
        one.task.progress.as_mut().unwrap()["percent"] = 11.into();
    }),
    ("phase", |one| {
        one.task.progress.as_mut().unwrap()["phase"] = "verify".into();
    }),
    ("eta", |one| one.task.progress.as_mut().unwrap()["eta_s"] = 4.into()),
    ("speed", |one| one.task.progress.as_mut().unwrap()["speed"] = 2.0.into()),
    ("no progress", |one| one.task.progress = None),
    ("error", |one| one.task.error_code = Some("source_damaged".to_owned())),
    ("detail", |one| one.task.error_detail = None),
    ("report", |one| one.task.report = Some(raw(&json!({ "warnings": [1] })))),
    ("no report", |one| one.task.report = None),
    ("start", |one| one.task.started_at = Some(at(-4))),
    ("end", |one| one.task.finished_at = None),
    ("probe", |one| one.source.probe = Some(raw(&probe()))),
    ("video", |one| one.video = Some(VideoId(5))),
];

fn probe() -> serde_json::Value {
    json!({ "container": "mov,mp4", "bytes": 9, "duration_us": 2_000_000, "start_us": 0, "streams": [] })
}

#[test]
fn a_column_that_changes_the_reply_changes_the_tag() {
    let (links, context) = (links("a"), context(Language::En, "a.example"));
    let statuses = [
        TaskStatus::Uploaded,
        TaskStatus::Processing,
        TaskStatus::Processed,
        TaskStatus::Failed,
    ];
    let mut seen = std::collections::BTreeSet::new();
    for status in statuses {
        let before = reply(&links, &context, &details(status), 0);
        for (name, change) in CHANGES {
            let mut changed = details(status);
            change(&mut changed);
            let after = reply(&links, &context, &changed, 0);
            if after.0 != before.0 {
                assert_ne!(after.1, before.1, "{name} of {status:?}");
                seen.insert(name);
            }
        }
    }
    assert_eq!(
        seen.len(),
        CHANGES.len(),
        "each change is visible in some status: {seen:?}"
    );
}

#[test]
fn what_only_workers_use_does_not_change_the_tag() {
    let (links, context) = (links("a"), context(Language::En, "a.example"));
    let mut renewed = details(TaskStatus::Processing);
    renewed.task.lease_until_ms = Some(2);
    renewed.task.progress.as_mut().unwrap()["frames"] = 10.into();
    renewed.task.progress.as_mut().unwrap()["stalled_ms"] = 500.into();
    let before = reply(&links, &context, &details(TaskStatus::Processing), 0);
    assert_eq!(reply(&links, &context, &renewed, 30), before);
}

#[test]
fn a_change_of_links_or_language_changes_the_tag() {
    let (processed, english) = (details(TaskStatus::Processed), context(Language::En, "a.example"));
    let before = reply(&links("a"), &english, &processed, 0);
    assert_eq!(reply(&links("a"), &english, &processed, 1), before, "the same window");
    for (name, after) in [
        ("window", reply(&links("a"), &english, &processed, 60)),
        ("key", reply(&links("b"), &english, &processed, 0)),
        (
            "host",
            reply(&links("a"), &context(Language::En, "b.example"), &processed, 0),
        ),
    ] {
        assert_ne!(after.0, before.0, "{name}");
        assert_ne!(after.1, before.1, "{name}");
    }
    let failed = details(TaskStatus::Failed);
    let [english, spanish] =
        [Language::En, Language::Es].map(|language| reply(&links("a"), &context(language, "a"), &failed, 0));
    assert_ne!(english.0, spanish.0);
    assert_ne!(english.1, spanish.1);
}

#[test]
fn a_task_with_the_id_of_a_removed_one_has_another_tag() {
    let (links, context) = (links("a"), context(Language::En, "a.example"));
    let mut other = details(TaskStatus::Uploaded);
    other.task.timestamp = at(-8);
    let before = reply(&links, &context, &details(TaskStatus::Uploaded), 0);
    assert_ne!(reply(&links, &context, &other, 0).1, before.1);
}
