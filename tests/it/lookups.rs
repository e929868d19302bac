//! Lookups of the points of manifests at a service, which fails at times and gives hostile answers.

use crate::imports::{counts, ended, form, import, send};
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tests::clip::Clip;
use tests::file_host::FileHost;
use tests::receiver::{Received, Receiver};
use tests::server::Server;
use tests::{Caller, Options, Reply, TestApp};
use tokio::time::sleep;

/// The settings of a service at an address of loopback. Each test has an address of its own.
fn at(address: &str) -> Option<app::lookups::Settings> {
    let rate = 1_000.try_into().unwrap();
    let url = format!("http://{address}/lookup");
    Some(app::lookups::Settings::new(&url, domain::lookup::Dialect::Rushes, rate).unwrap())
}

/// A manifest of points. Each is another one.
fn points(rows: u32) -> String {
    (0..rows).fold("lat,lon\n".to_owned(), |mut text, row| {
        writeln!(text, "{}.{:04},{}.5", row / 1_000, row % 1_000, row % 180).unwrap();
        text
    })
}

/// The points of a request.
fn asked(request: &Received) -> Vec<(f64, f64)> {
    let body = request.json();
    let each = |point: &Value| (point["lat"].as_f64().unwrap(), point["lon"].as_f64().unwrap());
    body["points"].as_array().unwrap().iter().map(each).collect()
}

/// The valid answer: the code of a point is its latitude, and points at 7.5 degrees east are unknown.
fn answer(request: &Received) -> String {
    let result = |(lat, lon): (f64, f64)| match lon {
        7.5 => Value::Null,
        _ => json!({ "code": format!("N{lat}"), "name": "Nowhere", "region": "North" }),
    };
    let results: Vec<Value> = asked(request).into_iter().map(result).collect();
    format!("200 OK\r\n\r\n{}", json!({ "results": results }))
}

async fn dry_run(caller: &Caller, manifest: impl Into<Vec<u8>>) -> Value {
    import(caller, form("videos", "points.csv", manifest).text("dry_run", "true")).await
}

async fn rows(caller: &Caller, import: &Value) -> Vec<Value> {
    let reply = caller.get(&format!("/api/imports/{}/rows", import["id"])).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().unwrap().clone()
}

fn lookups(import: &Value) -> [i64; 3] {
    ["found", "no_data", "failed"].map(|status| import["lookup"][status].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_ten_rows_yields_ten_and_row_eleven_and_the_last_batch_are_not_lost() {
    let address = "127.0.31.1:4180";
    let service = Receiver::at(address, answer).await;
    let app = TestApp::with(Options {
        config: |config| config.app.lookups = at("127.0.31.1:4180"),
        ..Options::default()
    })
    .await;
    let caller = app.caller().await;
    let mut calls = 0;
    for (count, more_calls) in [(1, 1), (10, 1), (11, 1), (100, 1), (101, 1), (499, 4)] {
        let import = dry_run(&caller, points(count)).await;
        let rows = rows(&caller, &import).await;
        assert_eq!(rows.len(), count as usize);
        let unknown = rows.iter().filter(|row| row["fields"]["lon"] == "7.5").count();
        let (count, unknown) = (i64::from(count), i64::try_from(unknown).unwrap());
        assert_eq!(counts(&import), [count, 0, 0, count, 0, 0, 0], "{import}");
        assert_eq!(lookups(&import), [count - unknown, unknown, 0], "{import}");
        for row in &rows {
            let lat: f64 = row["fields"]["lat"].as_str().unwrap().parse().unwrap();
            let (lookup, code) = match row["fields"]["lon"].as_str() {
                Some("7.5") => ("no_data", Value::Null),
                _ => ("found", json!(format!("N{lat}"))),
            };
            assert_eq!(
                (&row["lookup"], &row["lookup_result"]["code"]),
                (&json!(lookup), &code),
                "{row}"
            );
        }
        // The points of the smaller files are known.
        calls += more_calls;
        assert_eq!(service.received().len(), calls);
    }

    let lines = "lat,lon\n51.5,-0.1\n95.2,0\n51.5,-0.1\n,\n51.6,-0.1\n51.500001,-0.100001\n";
    let import = dry_run(&caller, lines).await;
    assert_eq!(
        counts(&import),
        [6, 0, 0, 3, 0, 1, 2],
        "one bad row does not stop the others: {import}"
    );
    let states: Vec<_> = rows(&caller, &import)
        .await
        .into_iter()
        .map(|row| row["lookup"].clone())
        .collect();
    assert_eq!(states, ["found", "off", "off", "off", "found", "found"]);
    let all: Vec<_> = service.received().iter().flat_map(asked).collect();
    // Two points that are the same with four decimals are asked for once.
    assert_eq!(all.iter().filter(|point| point.0 == 51.5).count(), 1);

    let csv = caller
        .request(Method::GET, &format!("/api/imports/{}/result", import["id"]))
        .header("accept", "text/csv");
    let csv = csv.send().await.unwrap().text().await.unwrap();
    let line = csv.lines().nth(1).unwrap();
    assert!(line.contains(",found,\"{\"\"code\"\":\"\"N51.5\"\""), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_overload_lose_no_row_and_the_service_is_not_asked_before_it_wants() {
    let called = AtomicUsize::new(0);
    let service = Receiver::at("127.0.31.2:4180", move |request| {
        match called.fetch_add(1, Ordering::Relaxed) % 10 {
            3 => "500 Internal Server Error".to_owned(),
            7 => "429 Too Many Requests\r\nRetry-After: 1".to_owned(),
            _ => answer(request),
        }
    })
    .await;
    let app = TestApp::with(Options {
        config: |config| config.app.lookups = at("127.0.31.2:4180"),
        ..Options::default()
    })
    .await;
    let caller = app.caller().await;
    let import = dry_run(&caller, points(5_432)).await;
    assert_eq!(counts(&import), [5_432, 0, 0, 5_432, 0, 0, 0], "{import}");
    let [found, no_data, failed] = lookups(&import);
    assert_eq!((found + no_data, failed), (5_432, 0), "{import}");
    let mut asked_for: BTreeMap<String, u32> = BTreeMap::new();
    for point in service.received().iter().flat_map(asked) {
        *asked_for.entry(format!("{point:?}")).or_default() += 1;
    }
    assert_eq!(asked_for.len(), 5_432);

    let before = service.received().len();
    let again = form("videos", "points.csv", points(5_432));
    let again = import_again(&caller, again).await;
    assert_eq!(lookups(&again), [found, no_data, 0]);
    assert_eq!(service.received().len(), before, "a second file asks nothing twice");
}

async fn import_again(caller: &Caller, form: reqwest::multipart::Form) -> Value {
    import(caller, form.text("dry_run", "true").text("again", "true")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_answers_fail_the_lookups_and_rows_can_be_retried() {
    let number = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&number);
    let service = Receiver::at("127.0.31.3:4180", move |request| {
        let answers = [
            "200 OK\r\nContent-Type: text/html\r\n\r\n<html>Sign in</html>".to_owned(),
            "200 OK\r\n\r\n{\"results\":[]}".to_owned(),
            format!(
                "200 OK\r\n\r\n{{\"results\":[{{\"code\":\"{}\"}}]}}",
                "x".repeat(2 << 20)
            ),
            format!(
                "200 OK\r\n\r\n{{\"results\":[{{\"code\":\"{}\"}}]}}",
                "x".repeat(8 << 10)
            ),
            "302 Found\r\nLocation: http://127.0.0.1:1/".to_owned(),
            "404 Not Found".to_owned(),
            "200 OK\r\nContent-Encoding: gzip\r\n\r\nx".to_owned(),
            "200 OK\r\n\r\n{\"results\":[{\"code\":\"\\u0000\"}]}".to_owned(),
        ];
        let number = shared.load(Ordering::Relaxed);
        answers.get(number).cloned().unwrap_or_else(|| answer(request))
    })
    .await;
    let app = TestApp::with(Options {
        config: |config| config.app.lookups = at("127.0.31.3:4180"),
        ..Options::default()
    })
    .await;
    let caller = app.caller().await;
    for hostile in 0..8 {
        number.store(hostile, Ordering::Relaxed);
        let import = dry_run(&caller, format!("lat,lon\n{hostile}.5,1\n")).await;
        assert_eq!(
            (import["status"].as_str(), lookups(&import)),
            (Some("done"), [0, 0, 1]),
            "{import}"
        );
        let row = rows(&caller, &import).await.remove(0);
        assert_eq!(
            (&row["lookup"], &row["lookup_error"]),
            (&json!("failed"), &json!("lookup_invalid")),
            "{row}"
        );
        assert_eq!(
            service.received().len(),
            hostile + 1,
            "an invalid answer is not asked for again"
        );
    }

    number.store(1, Ordering::Relaxed);
    let required = || form("videos", "points.csv", "lat,lon\n60,1\n").text("on_lookup_failure", "fail");
    let failed = import(&caller, required().text("dry_run", "true")).await;
    assert_eq!(
        (failed["status"].as_str(), lookups(&failed)),
        (Some("done_with_errors"), [0, 0, 1])
    );
    let row = rows(&caller, &failed).await.remove(0);
    assert_eq!(row["error"]["code"], "lookup_invalid", "{row}");
    assert_eq!(row["error"]["detail"], "0 results; accepted: 1, one for each point");
    number.store(99, Ordering::Relaxed);
    let path = format!("/api/imports/{}/retry", failed["id"]);
    let retried = Reply::read(caller.request(Method::POST, &path).send().await.unwrap()).await;
    assert_eq!(retried.status, 200, "{retried:?}");
    let done = ended(&caller, failed["id"].as_i64().unwrap()).await;
    assert_eq!(
        (done["status"].as_str(), lookups(&done)),
        (Some("done"), [1, 0, 0]),
        "{done}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_waits_while_the_service_does_not_want_to_be_asked() {
    let called = AtomicUsize::new(0);
    let service = Receiver::at("127.0.31.4:4180", move |request| {
        match called.fetch_add(1, Ordering::Relaxed) {
            1 => "503 Service Unavailable\r\nRetry-After: 13".to_owned(),
            _ => answer(request),
        }
    })
    .await;
    let app = TestApp::with(Options {
        config: |config| config.app.lookups = at("127.0.31.4:4180"),
        ..Options::default()
    })
    .await;
    let caller = app.caller().await;
    dry_run(&caller, points(10)).await;
    let begun = Instant::now();
    let sent = send(
        &caller,
        form("videos", "points.csv", points(50)).text("dry_run", "true"),
    )
    .await;
    let path = format!("/api/imports/{}", sent.body["id"]);
    while caller.get(&path).await.body["waiting_for_lookup"] != true {
        assert!(
            begun.elapsed() < Duration::from_secs(12),
            "{:?}",
            caller.get(&path).await
        );
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(service.received().len(), 2);
    // Answers that are stored need no service.
    let known = import_again(&caller, form("videos", "points.csv", points(10))).await;
    assert_eq!(lookups(&known), [9, 1, 0], "{known}");
    assert!(begun.elapsed() < Duration::from_secs(12));
    let import = ended(&caller, sent.body["id"].as_i64().unwrap()).await;
    assert_eq!(
        (counts(&import), lookups(&import)),
        ([50, 0, 0, 50, 0, 0, 0], [49, 1, 0])
    );
    assert_eq!(
        (service.received().len(), &import["waiting_for_lookup"]),
        (3, &json!(false))
    );
    assert!(begun.elapsed() >= Duration::from_secs(13), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_has_the_region_and_the_name_of_its_point() {
    let _service = Receiver::at("127.0.31.5:4180", answer).await;
    let app = TestApp::with(Options {
        config: |config| {
            config.app.lookups = at("127.0.31.5:4180");
            config.app.outbound = "127.0.0.2/32".parse().unwrap();
        },
        ..Options::default()
    })
    .await;
    let caller = app.caller().await;
    let clip = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    let host = FileHost::start("127.0.0.2", clip, &[]).await;
    let url = &host.url;
    let manifest =
        format!("source_url,lat,lon,region\n{url}?1,10,20,\n{url}?2,11,20,South\n{url}?3,,,\n{url}?4,12,7.5,\n");
    let import = import(&caller, form("videos", "videos.csv", manifest)).await;
    assert_eq!(
        (counts(&import), lookups(&import)),
        ([4, 0, 0, 4, 0, 0, 0], [2, 1, 0]),
        "{import}"
    );
    let mut shown = Vec::new();
    for row in rows(&caller, &import).await {
        let video = caller.get(&format!("/api/videos/{}", row["video_id"])).await.body;
        shown.push((video["region"].clone(), video["metadata"]["location"].clone()));
    }
    let named = |lat: f64, code: &str| json!({ "lat": lat, "lon": 20.0, "code": code, "name": "Nowhere" });
    assert_eq!(
        shown,
        [
            (json!("North"), named(10.0, "N10")),
            (json!("South"), named(11.0, "N11")),
            (Value::Null, Value::Null),
            (Value::Null, json!({ "lat": 12.0, "lon": 7.5 })),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_ask_for_no_point_twice_but_those_on_their_way() {
    const ROWS: u32 = 12_000;
    const KILLS: u32 = 4;
    let service = Receiver::at("127.0.31.6:4180", answer).await;
    let app = TestApp::idle_with(|config| config.app.lookups = at("127.0.31.6:4180")).await;
    let caller = app.caller().await;
    let sent = send(
        &caller,
        form("videos", "points.csv", points(ROWS)).text("dry_run", "true"),
    )
    .await;
    let id = sent.body["id"].as_i64().unwrap();
    let worker = app.directory.path().join("worker");
    std::fs::create_dir_all(&worker).unwrap();
    let mut environment = app.environment.clone();
    environment.push(("RUSHES_LOOKUP_URL", "http://127.0.31.6:4180/lookup".to_owned()));
    environment.push(("RUSHES_LOOKUP_RATE", "50".to_owned()));
    for kill in 1..=KILLS {
        let mut process = Server::start_in("worker", &worker, &environment);
        // In the middle of the calls.
        service.until(kill as usize * 20).await;
        process.signal("-KILL");
        process.ended().await;
        app.db
            .execute_unprepared("UPDATE imports SET until_ms = 0")
            .await
            .unwrap();
    }
    let _process = Server::start_in("worker", &worker, &environment);
    let done = ended(&caller, id).await;
    let [found, no_data, failed] = lookups(&done);
    assert_eq!((found + no_data, failed), (i64::from(ROWS), 0), "{done}");
    assert_eq!(counts(&done)[3], i64::from(ROWS), "{done}");
    let mut asked_for: BTreeMap<String, u32> = BTreeMap::new();
    for point in service.received().iter().flat_map(asked) {
        *asked_for.entry(format!("{point:?}")).or_default() += 1;
    }
    assert_eq!(asked_for.len(), ROWS as usize);
    let twice: u32 = asked_for.values().map(|times| times - 1).sum();
    // Four calls of a hundred points were on their way, and as many answers not stored, at each kill.
    assert!(twice <= KILLS * 800, "{twice} points were asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_without_a_service_and_unknown_wishes_are_refused() {
    let app = TestApp::start().await;
    let caller = app.caller().await;
    let sent = |name: &'static str, value: &'static str| {
        let form = form("videos", "points.csv", points(1)).text("dry_run", "true");
        send(&caller, form.text(name, value))
    };
    let refused = sent("lookup", "true").await;
    assert_eq!((refused.status, refused.code()), (409, "lookup_unavailable"));
    for (name, value) in [("lookup", "maybe"), ("on_lookup_failure", "stop")] {
        let refused = sent(name, value).await;
        assert_eq!(
            (refused.status, refused.body["errors"][0]["field"].as_str()),
            (400, Some(name)),
            "{refused:?}"
        );
    }
    let import = dry_run(&caller, points(3)).await;
    assert_eq!((counts(&import)[3], lookups(&import)), (3, [0, 0, 0]), "{import}");
    assert_eq!(rows(&caller, &import).await[0]["lookup"], "off");
}
