//! Searches in the background: a ticket at once, all hits later, as JSON and as CSV.

use chrono::Utc;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{Caller, MP4, Reply, SECRET, TestApp};
use uuid::Uuid;

/// Time for a result, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Asks for a search in the background.
pub(crate) async fn ask(caller: &Caller, path: &str) -> Reply {
    let request = caller.request(Method::GET, path).header("prefer", "respond-async");
    Reply::read(request.send().await.unwrap()).await
}

/// Fetches a result until it is there.
pub(crate) async fn result(caller: &Caller, location: &str) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = caller.get(location).await;
        match reply.status {
            200 => return reply,
            202 => assert_eq!(reply.header("retry-after"), "1"),
            _ => panic!("{location}: {reply:?}"),
        }
        assert!(begun.elapsed() < LIMIT, "{location} is not finished");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Begins a search in the background, waits for its result and returns its id.
pub(crate) async fn finished(caller: &Caller, path: &str) -> String {
    let ticket = ask(caller, path).await;
    assert_eq!(ticket.status, 202, "{ticket:?}");
    result(caller, ticket.header("location")).await;
    ticket.body["id"].as_str().unwrap().to_owned()
}

/// Creates private videos with these titles.
async fn videos(app: &TestApp, caller: &Caller, titles: &[&str]) {
    for title in titles {
        let task = caller.upload("clip.mp4", MP4.to_vec(), &[]).await;
        assert_eq!(task.status, 201, "{task:?}");
        let task = entity::task::by_id(&app.db, domain::TaskId(task.body["id"].as_i64().unwrap())).await;
        let source = task.unwrap().unwrap().source_id;
        let video = entity::video::of_source(&app.db, source).await.unwrap().unwrap();
        let patch = json!({ "title": title, "description": "one, \"two\"\nthree", "tags": ["sol", "día"] });
        let path = format!("/api/videos/{}", video.id);
        let patched = caller.request(Method::PATCH, &path).json(&patch).send().await.unwrap();
        assert_eq!(patched.status(), 200, "{title}");
    }
}

/// All hits of a search, page by page.
async fn paged(caller: &Caller, path: &str) -> Vec<Value> {
    let (mut hits, mut next) = (Vec::new(), path.to_owned());
    loop {
        let page = caller.get(&next).await;
        assert_eq!(page.status, 200, "{page:?}");
        hits.extend(page.body["data"].as_array().unwrap().iter().cloned());
        match page.body["next_cursor"].as_str() {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return hits,
        }
    }
}

async fn csv(caller: &Caller, location: &str) -> (String, String, Vec<Vec<String>>) {
    let request = caller.request(Method::GET, location).header("accept", "text/csv");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let (kind, disposition) = (header("content-type"), header("content-disposition"));
    let bytes = response.bytes().await.unwrap();
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
    let rows = reader
        .records()
        .map(|row| row.unwrap().iter().map(str::to_owned).collect());
    (kind, disposition, rows.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_has_all_hits_of_its_search_as_json_and_as_csv_for_its_account_alone() {
    let app = TestApp::idle().await;
    let (ana, eva) = (app.caller().await, app.caller().await);
    let titles = [
        "sol, luna",
        "sol \"grande\"",
        "=1+1 sol",
        "@sol de Perú",
        "El sol",
        "-2 sol",
    ];
    videos(&app, &ana, &titles).await;
    let path = "/api/videos/search?q=sol&sort=newest&max=2";
    let ticket = ask(&ana, path).await;
    assert_eq!(ticket.status, 202, "{ticket:?}");
    let id = ticket.body["id"].as_str().unwrap();
    let location = format!("/api/searches/{id}");
    assert_eq!(ticket.header("location"), location);
    assert_eq!(ticket.header("preference-applied"), "respond-async");
    assert_eq!(ticket.header("retry-after"), "1");
    assert_eq!(ticket.body["url"], format!("{}{location}", app.url));

    let found = result(&ana, &location).await;
    let expected = paged(&ana, path).await;
    assert_eq!(expected.len(), titles.len());
    assert_eq!(found.body["data"], Value::Array(expected.clone()));
    assert_eq!(
        (&found.body["total"], &found.body["total_at_least"]),
        (&json!(6), &json!(false))
    );
    assert_eq!(found.body["corrected"], json!([]));
    assert_eq!(found.body["freshness"]["degraded"], false);
    let known = ana
        .request(Method::GET, &location)
        .header("if-none-match", found.header("etag"));
    assert_eq!(known.send().await.unwrap().status(), 304);

    let (kind, disposition, rows) = csv(&ana, &location).await;
    assert_eq!(kind, "text/csv; charset=utf-8; header=present");
    assert_eq!(disposition, format!("attachment; filename=\"search-{id}.csv\""));
    assert_eq!(rows.len(), titles.len() + 1);
    assert_eq!(rows[0][..5], ["id", "title", "description", "tags", "owner"]);
    for (row, hit) in rows[1..].iter().zip(&expected) {
        let title = hit["title"].as_str().unwrap();
        let is_formula = title.starts_with(['=', '@', '-']);
        let cell = if is_formula {
            format!("'{title}")
        } else {
            title.to_owned()
        };
        assert_eq!(row[0], hit["id"].to_string());
        assert_eq!(row[1..4], [cell.as_str(), "one, \"two\"\nthree", "sol,día"]);
        assert_eq!(row[4], ana.username);
    }

    // Many fetches at once get the same.
    let fetches = futures::future::join_all((0..20).map(|_| ana.get(&location))).await;
    assert!(
        fetches
            .iter()
            .all(|fetch| fetch.status == 200 && fetch.body == found.body)
    );

    let foreign = eva.get(&location).await;
    assert_eq!((foreign.status, foreign.code()), (404, "search_not_found"));
    assert_eq!(app.anonymous().get(&location).await.code(), "token_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_search_in_the_background_needs_a_token_and_corrects_typing_errors() {
    let app = TestApp::idle().await;
    let (ana, eva) = (app.caller().await, app.caller().await);
    videos(&app, &ana, &["montaña", "secret"]).await;
    let list = ana.get("/api/videos").await;
    for video in list.body["data"].as_array().unwrap() {
        // A video is published with a processed task.
        let shown = ana.get(&format!("/api/videos/{}", video["id"])).await;
        let task = shown.body["tasks"][0]["id"].as_i64().unwrap();
        if video["title"] == "montaña" {
            app.finish(task, &[("video.mp4", "mp4", "video/mp4", b"x")]).await;
            let published = ana.post(&format!("/api/tasks/{task}/publish"), &json!({})).await;
            assert_eq!(published.status, 200, "{published:?}");
        }
    }
    let path = "/api/library/search?q=montanna";
    let refused = ask(&app.anonymous(), path).await;
    assert_eq!((refused.status, refused.code()), (401, "token_missing"));
    let ticket = ask(&eva, path).await;
    let found = result(&eva, ticket.header("location")).await;
    assert_eq!(found.body["data"], Value::Array(paged(&eva, path).await));
    assert_eq!(found.body["data"][0]["title"], "montaña");
    assert_eq!(
        found.body["corrected"],
        json!([{ "word": "montanna", "replacements": ["montana"] }])
    );
    let none = result(&eva, ask(&eva, "/api/library/search?q=secret").await.header("location")).await;
    assert_eq!((&none.body["data"], &none.body["total"]), (&json!([]), &json!(0)));
    let invalid = ask(&eva, "/api/library/search").await;
    assert_eq!((invalid.status, invalid.code()), (400, "query_invalid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_expires_after_a_day_and_an_unknown_one_is_not_found() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let aged = |hours: i64| {
        let time = Utc::now() - chrono::Duration::hours(hours);
        let time = uuid::Timestamp::from_unix(uuid::NoContext, time.timestamp().try_into().unwrap(), 0);
        Uuid::new_v7(time).to_string()
    };
    for (id, expected) in [
        (aged(25), (410, "search_expired")),
        (aged(23), (404, "search_not_found")),
        (aged(-23), (404, "search_not_found")),
        (Uuid::new_v4().to_string(), (404, "search_not_found")),
        ("1".to_owned(), (404, "search_not_found")),
        ("..%2f1".to_owned(), (404, "search_not_found")),
    ] {
        let reply = caller.get(&format!("/api/searches/{id}")).await;
        assert_eq!((reply.status, reply.code()), expected, "{id}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_without_its_result_is_computed_by_any_server_that_is_asked_for_it() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    videos(&app, &caller, &["sol", "otro sol"]).await;
    let id = finished(&caller, "/api/videos/search?q=sol").await;
    let location = format!("/api/searches/{id}");
    let before = caller.get(&location).await;
    let remove_result = || {
        let files = app.stored_files().into_iter();
        let results: Vec<_> = files.filter(|file| file.ends_with("result.jsonl")).collect();
        assert_eq!(results.len(), 1, "{results:?}");
        std::fs::remove_file(&results[0]).unwrap();
    };
    // As after a restart between the request and its result.
    remove_result();
    let again = result(&caller, &location).await;
    assert_eq!(again.body["data"], before.body["data"]);

    remove_result();
    let mut environment = app.environment.clone();
    environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    let catalog = app.directory.path().join("other").display().to_string();
    environment.push(("RUSHES_CATALOG_DIR", catalog));
    let mut backend = Server::start_in("backend", app.directory.path(), &environment);
    backend.ready().await;
    let mut elsewhere = caller.clone();
    elsewhere.url.clone_from(&backend.url);
    // Its catalog is filled after it is ready.
    let begun = Instant::now();
    while elsewhere.get("/api/videos").await.code() == "catalog_filling" {
        assert!(begun.elapsed() < LIMIT, "the catalog is not filled");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let there = result(&elsewhere, &location).await;
    assert_eq!(there.body["data"], before.body["data"]);
    assert_eq!(caller.get(&location).await.body["data"], before.body["data"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_may_begin_a_bounded_number_of_searches_per_day() {
    let app = TestApp::idle().await;
    let (ana, eva) = (app.caller().await, app.caller().await);
    let path = "/api/videos/search?q=sol";
    finished(&ana, path).await;
    let account = entity::user::find_by_username(&app.db, &ana.username).await;
    let account = account.unwrap().unwrap().user_id();
    // The day may end during the test, so there are tickets of both days.
    for start in [Utc::now(), Utc::now() + chrono::Duration::days(1)] {
        for _ in 0..200 {
            let time = uuid::Timestamp::from_unix(uuid::NoContext, start.timestamp().try_into().unwrap(), 0);
            let id = Uuid::new_v7(time).to_string().parse().unwrap();
            store(&app, &storage::Key::search_request(account, id)).await;
        }
    }
    let refused = ask(&ana, path).await;
    assert_eq!((refused.status, refused.code()), (429, "rate_limited"), "{refused:?}");
    assert_eq!(refused.header("retry-after"), "3600");
    finished(&eva, path).await;
}

async fn store(app: &TestApp, key: &storage::Key) {
    let text = futures::stream::iter([Ok::<_, std::convert::Infallible>(bytes::Bytes::from_static(b"{}"))]);
    app.storage.put_stream(key, text, None, 10).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_removes_the_tickets_of_past_days() {
    let day = Utc::now().timestamp() / 86_400;
    let app = TestApp::idle().await;
    let stored = async |age: i64| {
        // The day of a key is that of the id of its search.
        let time = u64::try_from((day - age) * 86_400).unwrap();
        let id = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, time, 0)).to_string();
        let key = storage::Key::search_request(domain::UserId(1), id.parse().unwrap());
        store(&app, &key).await;
        key
    };
    let (today, yesterday, old, older) = (stored(0).await, stored(1).await, stored(2).await, stored(8).await);
    let _worker = Server::start_in("worker", app.directory.path(), &app.environment);
    let begun = Instant::now();
    for key in [old, older] {
        while app.storage.head(&key).await.unwrap().is_some() {
            assert!(begun.elapsed() < LIMIT, "{key} is still there");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    for key in [today, yesterday] {
        assert!(app.storage.head(&key).await.unwrap().is_some(), "{key} is gone");
    }
}
