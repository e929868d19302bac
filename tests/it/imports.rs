//! Imports of manifests: `POST /api/imports`, the states of rows, and what becomes of them.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};
use tests::clip::Clip;
use tests::file_host::{Answer, FileHost};
use tests::server::Server;
use tests::{Caller, Options, Reply, TestApp};
use tokio::time::sleep;

const PERMITTED: &str = "127.0.0.2";
const RECIPE: &str = r#"{""outputs"":[{""kind"":""poster""}]}"#;

async fn service() -> TestApp {
    TestApp::with(Options {
        config: |config| config.app.outbound = "127.0.0.2/32".parse().unwrap(),
        ..Options::default()
    })
    .await
}

fn clip(app: &TestApp) -> Vec<u8> {
    std::fs::read(Clip::default().make(app.directory.path())).unwrap()
}

pub(crate) fn form(kind: &str, name: &str, manifest: impl Into<Vec<u8>>) -> Form {
    let file = Part::bytes(manifest.into()).file_name(name.to_owned());
    Form::new().text("kind", kind.to_owned()).part("file", file)
}

pub(crate) async fn send(caller: &Caller, form: Form) -> Reply {
    let request = caller.request(Method::POST, "/api/imports").multipart(form);
    Reply::read(request.send().await.unwrap()).await
}

/// Begins an import and waits for its end.
pub(crate) async fn import(caller: &Caller, form: Form) -> Value {
    let reply = send(caller, form).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    ended(caller, reply.body["id"].as_i64().unwrap()).await
}

pub(crate) async fn ended(caller: &Caller, id: i64) -> Value {
    let begun = Instant::now();
    loop {
        let import = caller.get(&format!("/api/imports/{id}")).await.body;
        let rows = &import["rows"];
        let count = |status: &str| rows[status].as_i64().unwrap();
        let statuses = ["pending", "working", "created", "updated", "duplicate", "error"];
        assert_eq!(count("total"), statuses.into_iter().map(count).sum::<i64>(), "{import}");
        if !import["finished_at"].is_null() {
            return import;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "still {import}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn rows(caller: &Caller, import: &Value, query: &str) -> Vec<Value> {
    let path = format!("/api/imports/{}/rows{query}", import["id"]);
    let reply = caller.get(&path).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().unwrap().clone()
}

pub(crate) fn counts(import: &Value) -> [i64; 7] {
    let statuses = [
        "total",
        "pending",
        "working",
        "created",
        "updated",
        "duplicate",
        "error",
    ];
    statuses.map(|status| import["rows"][status].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_of_a_manifest_becomes_a_video_or_has_an_error() {
    let app = service().await;
    let caller = app.caller().await;
    let file = clip(&app);
    let host = FileHost::start(PERMITTED, file, &[Answer::File]).await;
    let url = &host.url;
    let mut csv = String::from("source_url,title,tags,external_id,lat,lon,meta.camera,recipe\n");
    writeln!(csv, "{url},First,a;b,x-1,52.5,13.4,GoPro,\"{RECIPE}\"").unwrap();
    writeln!(csv, "{url}?2,\"Second, again\",,x-2,95.2,0,\"two\nlines\",\"{RECIPE}\"").unwrap();
    writeln!(csv, "{url}?3,Third,,x-1,,,,\"{RECIPE}\"").unwrap();
    writeln!(csv, "http://127.0.0.1/private.mp4,Fourth,,x-4,,,,\"{RECIPE}\"").unwrap();
    writeln!(csv, "{url}?5,Fifth,,x-5,,,,\"{RECIPE}\"").unwrap();

    let done = import(&caller, form("videos", "videos.csv", csv.clone())).await;

    assert_eq!(done["status"], "done_with_errors", "{done}");
    assert_eq!(counts(&done), [5, 0, 0, 2, 0, 1, 2], "{done}");
    let all = rows(&caller, &done, "").await;
    let lines: Vec<i64> = all.iter().map(|row| row["line"].as_i64().unwrap()).collect();
    assert_eq!(lines, [2, 3, 5, 6, 7]);
    for row in &all {
        let byte = usize::try_from(row["byte"].as_i64().unwrap()).unwrap();
        let first = row["fields"]["source_url"].as_str().unwrap();
        assert!(csv[byte..].starts_with(first), "{row}");
    }
    let errors: Vec<[&str; 2]> = [&all[1], &all[3]]
        .map(|row| [&row["error"]["field"], &row["error"]["code"]].map(|text| text.as_str().unwrap()))
        .to_vec();
    assert_eq!(errors[0], ["lat", "latitude_invalid"]);
    assert_eq!(all[1]["error"]["detail"], "\"95.2\"; accepted: -90 to 90");
    assert_eq!(errors[1][1], "source_url_forbidden");
    assert_eq!(
        (&all[2]["status"], &all[2]["duplicate_of"]),
        (&"duplicate".into(), &1.into())
    );

    let video = caller.get(&format!("/api/videos/{}", all[0]["video_id"])).await.body;
    assert_eq!(
        (
            &video["title"],
            &video["tags"],
            &video["external_id"],
            &video["metadata"]["camera"]
        ),
        (&"First".into(), &json!(["a", "b"]), &"x-1".into(), &"GoPro".into()),
        "{video}"
    );
    let task = caller.ended(all[4]["task_id"].as_i64().unwrap()).await;
    assert_eq!(task["status"], "processed", "{task}");

    // The same file again is the same import, and another file with the same external ids makes nothing.
    let again = send(&caller, form("videos", "renamed.csv", csv.clone())).await;
    assert_eq!((again.status, &again.body["id"]), (200, &done["id"]), "{again:?}");
    let other = import(&caller, form("videos", "videos.csv", csv + "\n")).await;
    assert_eq!(counts(&other), [5, 0, 0, 0, 0, 3, 2], "{other}");
    let repeated = rows(&caller, &other, "?status=duplicate").await;
    assert_eq!(repeated[0]["video_id"], all[0]["video_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_changes_changes_videos_and_a_dry_run_changes_nothing() {
    let app = service().await;
    let caller = app.caller().await;
    let task = caller
        .task(&Clip::default().make(app.directory.path()), &[("preset", "web")])
        .await;
    let video = caller.get(&format!("/api/tasks/{task}")).await.body["video_id"].clone();
    let path = format!("/api/videos/{video}");
    let jsonl = format!(
        "{}\n\n{}\n{}\n{}\n",
        json!({ "video_id": video, "title": "Renamed", "external_id": "y", "meta": { "n": 1 } }),
        json!({ "external_id": "y", "region": "BE" }),
        json!({ "video_id": 999_999, "title": "Absent" }),
        "{\"video_id\": 1,",
    );
    let dry = form("metadata", "changes.jsonl", jsonl.clone()).text("dry_run", "true");

    let checked = import(&caller, dry).await;
    let before = caller.get(&path).await.body;
    assert_eq!(before["external_id"], Value::Null, "{before}");
    // The second row refers to an external id that only the first one would set.
    assert_eq!(counts(&checked), [4, 0, 0, 0, 1, 0, 3], "{checked}");

    let done = import(&caller, form("metadata", "changes.jsonl", jsonl)).await;
    assert_eq!(counts(&done), [4, 0, 0, 0, 2, 0, 2], "{done}");
    let after = caller.get(&path).await.body;
    assert_eq!(
        (
            &after["title"],
            &after["external_id"],
            &after["region"],
            &after["metadata"]
        ),
        (&"Renamed".into(), &"y".into(), &"BE".into(), &json!({ "n": 1 })),
        "{after}"
    );
    let errors = rows(&caller, &done, "?status=error").await;
    let codes: Vec<&str> = errors
        .iter()
        .map(|row| row["error"]["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["video_not_found", "row_invalid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_with_errors_are_a_new_manifest() {
    let app = service().await;
    let caller = app.caller().await;
    let csv = "lat,lon,meta.note\n1,2,\"a, b\"\n91,0,north\n0,181,\"east \"\"x\"\"\"\n";
    let dry = form("videos", "points.csv", csv).text("dry_run", "true");
    let done = import(&caller, dry).await;
    assert_eq!(counts(&done), [3, 0, 0, 1, 0, 0, 2], "{done}");
    let result = |accept: &'static str, query: &'static str| {
        let path = format!("/api/imports/{}/result{query}", done["id"]);
        let request = caller.request(Method::GET, &path).header("accept", accept);
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    let errors = result("text/csv", "?only=errors").await;
    assert_eq!(
        errors,
        "lat,lon,meta.note\r\n91,0,north\r\n0,181,\"east \"\"x\"\"\"\r\n"
    );
    let whole = result("text/csv", "").await;
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(
        lines[0],
        "lat,lon,meta.note,row,line,byte,status,field,code,detail,task_id,video_id,duplicate_of,lookup,lookup_result,lookup_error"
    );
    assert_eq!(lines[1], "1,2,\"a, b\",1,2,18,created,,,,,,,off,,");
    let jsonl = result("application/x-ndjson", "").await;
    let parsed: Vec<Value> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (parsed.len(), &parsed[1]["error"]["code"]),
        (3, &"latitude_invalid".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_manifest_fails_with_its_reason() {
    let app = service().await;
    let caller = app.caller().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for row in 0..200 {
        writeln!(gzip, "{{\"lat\":1,\"lon\":{row}}}").unwrap();
    }
    let mut cut = gzip.finish().unwrap();
    cut.truncate(cut.len() - 9);
    for (manifest, code) in [
        (b"source_url,titel\nhttp://a.example/,x\n".to_vec(), "column_unknown"),
        (b"title\nx\n".to_vec(), "columns_missing"),
        (b"lat,lat,lon\n1,1,1\n".to_vec(), "column_repeated"),
        (b"lat,lon\n".to_vec(), "manifest_empty"),
        (b"\xff\xfel\0a\0t\0".to_vec(), "manifest_unreadable"),
        (b"lat,lon\n1,\"2\n3,4\n".to_vec(), "quote_unclosed"),
        (cut, "archive_damaged"),
    ] {
        let failed = import(&caller, form("videos", "points", manifest).text("dry_run", "true")).await;
        assert_eq!(
            (&failed["status"], &failed["error"]["code"]),
            (&"failed".into(), &code.into()),
            "{failed}"
        );
    }
    let refused = [
        (Form::new().text("kind", "videos"), "file_missing"),
        (form("films", "a.csv", "lat,lon\n1,2\n"), "kind_unknown"),
        (
            form("videos", "a.csv", "lat,lon\n1,2\n").text("dry_run", "yes"),
            "request_invalid",
        ),
        (form("videos", "a.csv", ""), "file_empty"),
        (
            form("videos", "a.csv", "lat,lon\n1,2\n").text("colour", "red"),
            "part_unknown",
        ),
    ];
    for (form, code) in refused {
        let reply = send(&caller, form).await;
        assert_eq!(reply.code(), code, "{reply:?}");
    }
    let other = app.caller().await;
    let hidden = other.get("/api/imports/1").await;
    assert_eq!((hidden.status, hidden.code()), (404, "import_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_failed_for_a_reason_that_may_pass_is_tried_again_and_a_canceled_import_begins_no_row() {
    let app = service().await;
    let caller = app.caller().await;
    let file = clip(&app);
    let host = FileHost::start(PERMITTED, file, &[Answer::Head("404 Not Found"), Answer::File]).await;
    let csv = format!("source_url,recipe\n{},\"{RECIPE}\"\n", host.url);
    let failed = import(&caller, form("videos", "one.csv", csv)).await;
    let row = &rows(&caller, &failed, "").await[0];
    assert_eq!(row["error"]["code"], "source_url_status", "{row}");
    let path = format!("/api/imports/{}", failed["id"]);
    let retried = caller.post(&format!("{path}/retry"), &json!({})).await;
    assert_eq!(
        (retried.status, &retried.body["status"]),
        (200, &"running".into()),
        "{retried:?}"
    );
    let done = ended(&caller, failed["id"].as_i64().unwrap()).await;
    assert_eq!(
        (&done["status"], counts(&done)),
        (&"done".into(), [1, 0, 0, 1, 0, 0, 0])
    );
    let nothing = caller.post(&format!("{path}/retry"), &json!({})).await;
    assert_eq!(nothing.code(), "nothing_to_retry");
    let late = caller.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(late.code(), "import_finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_lose_no_row_and_apply_none_twice() {
    const ROWS: i64 = 30_000;
    const KILLS: u64 = 10;
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let task = caller.upload("clip.mp4", tests::MP4.to_vec(), &[]).await.body;
    let video = &task["video_id"];
    let mut jsonl = String::new();
    for row in 0..ROWS {
        // Every third row repeats the one before it, and every seventh names no video.
        let number = if row % 3 == 2 { row - 1 } else { row };
        let id = if number % 7 == 6 {
            json!(9_999_999)
        } else {
            video.clone()
        };
        writeln!(jsonl, "{}", json!({ "video_id": id, "meta": { "n": number } })).unwrap();
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(jsonl.as_bytes()).unwrap();
    let sent = send(&caller, form("metadata", "changes.gz", gzip.finish().unwrap())).await;
    let id = sent.body["id"].as_i64().unwrap();
    let repeated = ROWS / 3;
    let unknown = (0..ROWS).filter(|row| row % 3 != 2 && row % 7 == 6).count();
    let unknown = i64::try_from(unknown).unwrap();

    let worker = app.directory.path().join("worker");
    std::fs::create_dir_all(&worker).unwrap();
    for kill in 0..KILLS {
        let mut process = Server::start_in("worker", &worker, &app.environment);
        process.ready().await;
        sleep(Duration::from_millis(200 + 150 * kill)).await;
        process.signal("-KILL");
        process.ended().await;
        // The lease of the killed worker ends in 30 s; the next one need not wait for it here.
        app.db
            .execute_unprepared("UPDATE imports SET until_ms = 0")
            .await
            .unwrap();
        let import = caller.get(&format!("/api/imports/{id}")).await.body;
        let counts = counts(&import);
        assert_eq!(counts[0], counts[1..].iter().sum::<i64>(), "{import}");
    }
    let _process = Server::start_in("worker", &worker, &app.environment);
    let done = ended(&caller, id).await;

    assert_eq!(
        counts(&done),
        [ROWS, 0, 0, 0, ROWS - repeated - unknown, repeated, unknown],
        "{done}"
    );
    let rows = app.db.query_one_raw(sea_orm::Statement::from_string(
        app.db.get_database_backend(),
        format!("SELECT count(*), max(\"row\"), min(\"row\") FROM import_rows WHERE import_id = {id}"),
    ));
    let rows = rows.await.unwrap().unwrap();
    let number = |index| rows.try_get_by_index::<i64>(index).unwrap();
    assert_eq!((number(0), number(1), number(2)), (ROWS, ROWS, 1));
}
