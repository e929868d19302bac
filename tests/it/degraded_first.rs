//! The first requests after the database stops, many at once: all are answered in the documented time.

use crate::degraded::{RECOVERY, is_degraded, publish, until};
use crate::grpc_message::call;
use crate::outages::{proxy::Proxy, with_proxy};
use futures::future::join_all;
use grpc::v1::{ListVideosRequest, ListVideosResponse};
use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{Caller, SECRET};
use tokio::time::sleep;

/// The documented time from the end of the database to the first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

/// The time of a later answer. It is some milliseconds, or those in which the database must know an account, with a
/// reserve for a busy machine.
const LATER_ANSWER: Duration = Duration::from_millis(1_400);

/// Requests of each kind that are sent at once.
const AT_ONCE: usize = 10;

/// A kind of outage.
#[derive(Clone, Copy, Debug)]
enum Outage {
    /// Packets are lost, or the server is stopped.
    Silent,
    /// The server has ended.
    Refusing,
}

async fn begin(outage: Outage, proxy: &mut Proxy) {
    match outage {
        Outage::Silent => proxy.go_away(),
        Outage::Refusing => proxy.refuse().await,
    }
}

/// Sends a request and returns the time that it took.
async fn answered(caller: &Caller, path: &str) -> Duration {
    let begun = Instant::now();
    let reply = caller.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    begun.elapsed()
}

/// Lists videos by gRPC and returns the time that it took.
async fn called(caller: &Caller, own: bool) -> Duration {
    let begun = Instant::now();
    let request = ListVideosRequest {
        own,
        ..ListVideosRequest::default()
    };
    let token = if own { &caller.token } else { "" };
    let listed = call::<ListVideosResponse>(&caller.url, token, "rushes.v1.LibraryService/ListVideos", &request);
    assert_eq!(listed.await.unwrap().0.videos.len(), 1);
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_first_requests_at_once_are_answered_in_time_by_a_silent_and_by_a_refusing_database() {
    let Some((app, mut proxy, mut environment)) = with_proxy().await else {
        return;
    };
    environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    let catalogs = app.directory.path().join("other").display().to_string();
    environment.push(("RUSHES_CATALOG_DIR", catalogs));
    let mut backend = Server::start_in("backend", app.directory.path(), &environment);
    backend.ready().await;
    let mut caller = app.caller().await;
    let video = publish(&app, &caller).await;
    caller.url.clone_from(&backend.url);
    let file = format!("{video}/files/video.mp4");
    let paths = [
        "/api/library",
        "/api/library/search?q=talk",
        &video,
        &file,
        "/api/videos",
        "/api/videos/search?q=talk",
    ];
    for outage in [Outage::Silent, Outage::Refusing] {
        for path in paths {
            until(&caller, path, RECOVERY, |reply| {
                reply.status == 200 && !is_degraded(reply)
            })
            .await;
        }
        begin(outage, &mut proxy).await;
        let away = Instant::now();
        let by_http = paths
            .iter()
            .flat_map(|path| (0..AT_ONCE).map(|_| answered(&caller, path)));
        let by_grpc = (0..AT_ONCE).map(|number| called(&caller, number % 2 == 0));
        let (http, grpc) = tokio::join!(join_all(by_http), join_all(by_grpc));
        let slowest = http.into_iter().chain(grpc).max().unwrap();
        println!("{outage:?}: the slowest first answer took {slowest:?}");
        assert!(slowest < FIRST_ANSWER, "{outage:?}: {slowest:?}");
        // No request fails or waits for long until the outage is noticed, and after that.
        let mut slowest = Duration::ZERO;
        while away.elapsed() < FIRST_ANSWER * 2 {
            for path in paths {
                slowest = slowest.max(answered(&caller, path).await);
            }
            slowest = slowest.max(called(&caller, true).await);
            sleep(Duration::from_millis(50)).await;
        }
        println!("{outage:?}: the slowest answer after it took {slowest:?}");
        assert!(slowest < LATER_ANSWER, "{outage:?}: {slowest:?}");
        assert!(is_degraded(&caller.get("/api/library").await), "{outage:?}");
        proxy.come_back().await;
    }
}
