//! A Postgres whose connections are all taken by other clients: requests are refused with 503, and succeed again soon
//! after connections are free.

use entity::DatabaseConnection;
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{Caller, Postgres, skip};
use tokio::task::JoinSet;

const CONNECTIONS: usize = 30;
/// The time for which the service gets no connection.
const EXHAUSTED_FOR: Duration = Duration::from_secs(15);
/// The documented limit. It takes less than 1 s, because the pool tries to connect again while requests wait.
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn all_requests_are_answered_again_soon_after_database_connections_are_free() {
    if std::env::var("TEST_DATABASE_URL").is_err() {
        return skip::other_setup("limits the connections of Postgres");
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let tables = home.path().join("tables");
    std::fs::create_dir(&tables).unwrap();
    let limit = format!("max_connections={CONNECTIONS}");
    let Some(postgres) = Postgres::start(&tables, home.path(), &[&limit]) else {
        return;
    };
    let environment = [
        ("RUSHES_DATA_DIR", home.path().join("data").display().to_string()),
        ("DATABASE_URL", postgres.url.clone()),
    ];
    let mut server = Server::start("up", &home.path().join("log.txt"), &environment);
    server.ready().await;
    let caller = Caller::sign_up(&server.url).await;

    let connections = take_all_connections(&postgres.url, &caller).await;
    let begun = Instant::now();
    while begun.elapsed() < EXHAUSTED_FOR {
        let requests = (0..20).map(|_| caller.get("/api/presets"));
        for reply in futures::future::join_all(requests).await {
            assert_eq!((reply.status, reply.code()), (503, "unavailable"), "{reply:?}");
        }
    }
    drop(connections);
    let freed = Instant::now();
    let preset = json!({ "name": "again", "recipe": { "outputs": [{ "kind": "mp4" }] } });
    let (read, write, ready, health) = tokio::join!(
        time_to_success(freed, || caller.request(Method::GET, "/api/presets")),
        time_to_success(freed, || caller.request(Method::POST, "/api/presets").json(&preset)),
        time_to_success(freed, || caller.request(Method::GET, "/readyz")),
        time_to_success(freed, || caller.request(Method::GET, "/api/health")),
    );
    println!("after the connections were free: read {read:?}, write {write:?}, ready {ready:?}, health {health:?}");
    assert!(
        read.max(write).max(ready).max(health) < RECOVERED_WITHIN,
        "{}",
        server.log()
    );
    assert!(server.stop().await.success());
}

/// Takes all connections of the server, also those that the service had. They are free again when the set is dropped.
async fn take_all_connections(url: &str, caller: &Caller) -> JoinSet<()> {
    let url = format!("{url}?application_name=blocker");
    let admin = entity::connect(&url, 1).await.unwrap();
    let mut holders = JoinSet::new();
    for _ in 0..CONNECTIONS {
        holders.spawn(hold_connection(url.clone()));
    }
    let begun = Instant::now();
    loop {
        end_other_connections(&admin).await;
        if caller.get("/api/presets").await.status == 503 && is_exhausted(&admin).await {
            holders.spawn(async move {
                let _admin = admin;
                std::future::pending::<()>().await;
            });
            return holders;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "some connections are always free"
        );
    }
}

/// Connects, again and again until it succeeds, and holds the connection.
async fn hold_connection(url: String) {
    loop {
        if let Ok(db) = entity::connect(&url, 1).await {
            let _db = db;
            std::future::pending::<()>().await;
        }
    }
}

async fn end_other_connections(admin: &DatabaseConnection) {
    let query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND application_name <> 'blocker'";
    admin.execute_unprepared(query).await.unwrap();
}

/// Returns true if this test holds every connection.
async fn is_exhausted(admin: &DatabaseConnection) -> bool {
    let query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'blocker'";
    let found = admin.execute_unprepared(query).await.unwrap();
    usize::try_from(found.rows_affected()).unwrap() == CONNECTIONS
}

/// Repeats a request until it succeeds; returns the time since `since`.
async fn time_to_success(since: Instant, request: impl Fn() -> reqwest::RequestBuilder) -> Duration {
    loop {
        let reply = request().send().await.unwrap();
        if reply.status().is_success() {
            return since.elapsed();
        }
        assert_eq!(reply.status(), 503);
        assert!(since.elapsed() < Duration::from_secs(90), "no success");
    }
}
