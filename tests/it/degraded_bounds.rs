//! The times after which answers end while the database is away.

use crate::degraded::{RECOVERY, is_degraded, publish, until};
use crate::grpc_message::call;
use crate::outages::with_proxy;
use crate::searches::ask;
use grpc::v1::{ListVideosRequest, ListVideosResponse};
use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{Caller, Reply, SECRET, TestApp};

/// The status `UNAVAILABLE` of gRPC.
const UNAVAILABLE: u32 = 14;

/// A backend with these bounds in seconds, and its public video.
async fn start(
    app: &TestApp,
    environment: &[(&'static str, String)],
    private: u32,
    public: u32,
) -> (Server, Caller, String) {
    let catalogs = app.directory.path().join("other").display().to_string();
    let bounds = [
        ("RUSHES_DEGRADED_PRIVATE_S", private.to_string()),
        ("RUSHES_DEGRADED_PUBLIC_S", public.to_string()),
        ("RUSHES_JWT_SECRET", SECRET.to_owned()),
        ("RUSHES_CATALOG_DIR", catalogs),
    ];
    let environment = [environment, &bounds].concat();
    let mut backend = Server::start_in("backend", app.directory.path(), &environment);
    backend.ready().await;
    let mut caller = app.caller().await;
    let path = publish(app, &caller).await;
    caller.url.clone_from(&backend.url);
    until(&caller, &path, RECOVERY, |reply| reply.status == 200).await;
    (backend, caller, path)
}

fn is_ended(reply: &Reply) -> bool {
    reply.status == 503
}

/// Everything about public videos, by HTTP.
fn public_paths(video: &str) -> [String; 4] {
    [
        "/api/library".to_owned(),
        "/api/library/search?q=talk".to_owned(),
        video.to_owned(),
        format!("{video}/files/video.mp4"),
    ]
}

async fn check_ended(caller: &Caller, paths: &[String]) {
    for path in paths {
        let reply = caller.get(path).await;
        assert_eq!((reply.status, reply.code()), (503, "unavailable"), "{path}: {reply:?}");
        assert_eq!(reply.header("retry-after"), "2", "{path}");
    }
}

async fn check_answered(caller: &Caller, paths: &[String]) {
    for path in paths {
        let reply = caller.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert_eq!(reply.header("rushes-degraded"), "database", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_bound_of_0_ends_private_answers_at_once_and_public_ones_end_after_theirs() {
    let Some((app, mut proxy, environment)) = with_proxy().await else {
        return;
    };
    let (_backend, caller, video) = start(&app, &environment, 0, 10).await;
    let (public, own) = (
        public_paths(&video),
        ["/api/videos".to_owned(), "/api/videos/search?q=talk".to_owned()],
    );
    proxy.go_away();
    let away = Instant::now();
    until(&caller, "/api/library", RECOVERY, is_degraded).await;
    check_ended(&caller, &own).await;
    check_answered(&caller, &public).await;
    // A search in the background is private, and a public one ends with its bound.
    let ticket = ask(&caller, "/api/library/search?q=talk").await;
    assert_eq!((ticket.status, ticket.code()), (503, "unavailable"), "{ticket:?}");

    until(&caller, "/api/library", RECOVERY, is_ended).await;
    assert!(away.elapsed() >= Duration::from_secs(9), "{:?}", away.elapsed());
    check_ended(&caller, &public).await;
    let (method, request) = ("rushes.v1.LibraryService/ListVideos", ListVideosRequest::default());
    let refused = call::<ListVideosResponse>(&caller.url, "", method, &request)
        .await
        .unwrap_err();
    assert!(refused.is(UNAVAILABLE, "unavailable"), "{refused:?}");
    // A load balancer gets nothing from this process any more.
    assert_eq!(caller.get("/readyz").await.status, 503);
    assert_eq!(caller.get("/livez").await.status, 200);

    proxy.come_back().await;
    for path in public.iter().chain(&own) {
        until(&caller, path, RECOVERY, |reply| reply.status == 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_bound_of_0_ends_public_answers_at_once_and_private_ones_go_on() {
    let Some((app, mut proxy, environment)) = with_proxy().await else {
        return;
    };
    let (_backend, caller, video) = start(&app, &environment, 900, 0).await;
    proxy.go_away();
    until(&caller, "/api/library", RECOVERY, is_ended).await;
    check_ended(&caller, &public_paths(&video)).await;
    for path in ["/api/videos", "/api/videos/search?q=talk"] {
        let reply = caller.get(path).await;
        assert!(reply.status == 200 && is_degraded(&reply), "{path}: {reply:?}");
    }
}
