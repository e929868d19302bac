//! Imports as they change: server-sent events, and the gRPC service.

use crate::imports::{ended, form};
use ::grpc::v1;
use ::grpc::v1::import_service_client::ImportServiceClient;
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;
use tests::{Caller, Reply, TestApp};
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use tonic_types::StatusExt;

/// A dry run of so many points.
async fn begin(caller: &Caller, rows: usize) -> i64 {
    let mut csv = String::from("lat,lon\n");
    for row in 0..rows {
        writeln!(csv, "{}.5,{}", row % 80, row % 170).unwrap();
    }
    let form = form("videos", "points.csv", csv).text("dry_run", "true");
    let request = caller.request(Method::POST, "/api/imports").multipart(form);
    let reply = Reply::read(request.send().await.unwrap()).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.body["id"].as_i64().unwrap()
}

fn assert_adds_up(import: &Value) {
    let rows = import["rows"].as_object().unwrap();
    let count = |status: &str| rows[status].as_i64().unwrap();
    let parts = rows.keys().filter(|status| *status != "total");
    assert_eq!(
        count("total"),
        parts.map(|status| count(status)).sum::<i64>(),
        "{import}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_shows_an_import_until_it_has_ended() {
    let mut app = TestApp::start().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let id = begin(&caller, 20_000).await;
    let path = format!("/api/imports/{id}/events");

    let stream = caller.request(Method::GET, &path).send().await.unwrap();

    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let text = stream.text().await.unwrap();
    let messages: Vec<Value> = text
        .lines()
        .filter_map(|line| Some(serde_json::from_str(line.strip_prefix("data: ")?).unwrap()))
        .collect();
    messages.iter().for_each(assert_adds_up);
    let last = messages.last().unwrap();
    assert_eq!(
        (&last["status"], &last["rows"]["created"]),
        (&"done".into(), &1_360.into()),
        "{last}"
    );
    assert_eq!(last, &caller.get(&format!("/api/imports/{id}")).await.body);
    // A client that connects again gets the whole import.
    let ticket = caller.post("/api/events/tickets", &Value::Null).await.body["ticket"].clone();
    let path_again = format!("{path}?ticket={}", ticket.as_str().unwrap());
    let again = app.anonymous().request(Method::GET, &path_again).send().await.unwrap();
    let again = again.text().await.unwrap();
    let again: Value = serde_json::from_str(again.trim().strip_prefix("id: ended\ndata: ").unwrap()).unwrap();
    assert_eq!(&again, last);

    let known = caller.request(Method::GET, &path).header("last-event-id", "ended");
    assert_eq!(known.send().await.unwrap().status(), 204);

    for (caller, path, status) in [
        (&other, path.as_str(), 404),
        (&caller, "/api/imports/none/events", 404),
        (&app.anonymous(), path.as_str(), 401),
    ] {
        assert_eq!(caller.get(path).await.status, status, "{path}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_shows_and_watches_an_import_as_http_does() {
    let mut app = TestApp::start().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let id = begin(&caller, 5_000).await;
    let channel = Endpoint::from_shared(app.url.clone()).unwrap().connect().await.unwrap();
    let mut client = ImportServiceClient::new(channel);
    let of = |caller: &Caller, message| {
        let mut request = Request::new(message);
        let token = format!("Bearer {}", caller.token).parse().unwrap();
        request.metadata_mut().insert("authorization", token);
        request
    };

    let watched = client
        .watch_import(of(&caller, v1::WatchImportRequest { id }))
        .await
        .unwrap();

    let mut watched = watched.into_inner();
    let mut last = None;
    while let Some(message) = watched.message().await.unwrap() {
        last = Some(message);
    }
    let last = last.unwrap();
    let http = ended(&caller, id).await;
    let rows = last.rows.unwrap();
    let counts = json!({"total": rows.total, "pending": rows.pending, "working": rows.working, "created": rows.created,
        "updated": rows.updated, "duplicate": rows.duplicate, "error": rows.error});
    assert_eq!(counts, http["rows"]);
    let fields = json!({"id": last.id, "status": last.status, "kind": last.kind, "bytes": last.bytes,
        "bytes_read": last.bytes_read, "dry_run": last.dry_run, "sha256": last.sha256, "file_name": last.file_name});
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(value, &http[name], "{name}");
    }
    let mut request = Request::new(v1::GetImportRequest { id });
    let token = format!("Bearer {}", caller.token).parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    assert_eq!(client.get_import(request).await.unwrap().into_inner(), last);

    let refused = client
        .watch_import(of(&other, v1::WatchImportRequest { id }))
        .await
        .unwrap_err();
    let reason = refused.get_details_error_info().map(|info| info.reason);
    assert_eq!(
        (refused.code(), reason.as_deref()),
        (Code::NotFound, Some("import_not_found"))
    );
    let anonymous = client.watch_import(v1::WatchImportRequest { id }).await.unwrap_err();
    assert_eq!(anonymous.code(), Code::Unauthenticated);
    app.stop().await;
}
