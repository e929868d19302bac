//! The gRPC API while the database is away: the same answers as before, which say so; health goes on; private videos
//! end after their bound.

use crate::degraded::{RECOVERY, publish};
use crate::grpc_message::{Refused, call};
use crate::outages::with_proxy;
use grpc::v1::{
    Freshness, GetVideoRequest, GetVideoResponse, ListVideosRequest, ListVideosResponse, SearchVideosRequest,
    SearchVideosResponse,
};
use reqwest::header::HeaderMap;
use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{MP4, SECRET};
use tokio::time::sleep;

const LIST: &str = "rushes.v1.LibraryService/ListVideos";
const SEARCH: &str = "rushes.v1.LibraryService/SearchVideos";
const GET: &str = "rushes.v1.LibraryService/GetVideo";

/// Numbers of statuses.
const NOT_FOUND: u32 = 5;
const UNIMPLEMENTED: u32 = 12;
const UNAVAILABLE: u32 = 14;
const UNAUTHENTICATED: u32 = 16;

struct Client {
    url: String,
    token: String,
    public_id: String,
}

type Answer = Result<(Vec<String>, Freshness, HeaderMap), Refused>;

impl Client {
    async fn list(&self, own: bool) -> Answer {
        let request = ListVideosRequest {
            own,
            ..ListVideosRequest::default()
        };
        let token = if own { &self.token } else { "" };
        let (page, metadata) = call::<ListVideosResponse>(&self.url, token, LIST, &request).await?;
        let titles = page.videos.into_iter().map(|video| video.title).collect();
        Ok((titles, page.freshness.unwrap(), metadata))
    }

    async fn search(&self, own: bool) -> Answer {
        let request = SearchVideosRequest {
            query: "talk".to_owned(),
            own,
            ..SearchVideosRequest::default()
        };
        let token = if own { &self.token } else { "" };
        let (page, metadata) = call::<SearchVideosResponse>(&self.url, token, SEARCH, &request).await?;
        let titles = page.hits.into_iter().map(|hit| hit.video.unwrap().title).collect();
        Ok((titles, page.freshness.unwrap(), metadata))
    }

    async fn get(&self) -> Answer {
        let request = GetVideoRequest {
            public_id: self.public_id.clone(),
            ..GetVideoRequest::default()
        };
        let (shown, metadata) = call::<GetVideoResponse>(&self.url, "", GET, &request).await?;
        assert_eq!(shown.outputs.len(), 1);
        Ok((vec![shown.video.unwrap().title], shown.freshness.unwrap(), metadata))
    }

    /// The status of the health of the library: 1 is `SERVING`. The messages of the service have one field each.
    async fn health(&self) -> i32 {
        let service = "rushes.v1.LibraryService".to_owned();
        let state = call::<i32>(&self.url, "", "grpc.health.v1.Health/Check", &service).await;
        state.unwrap().0
    }
}

/// The answer says that the database is away.
fn check_degraded(answer: Answer, titles: &[&str]) {
    let (found, freshness, metadata) = answer.unwrap();
    assert_eq!(found, titles);
    assert!(freshness.degraded && freshness.as_of.is_some(), "{freshness:?}");
    assert!(freshness.age_ms > 0, "{freshness:?}");
    assert_eq!(metadata["rushes-degraded"], "database");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_answers_without_its_database_says_so_and_private_videos_end_after_their_bound() {
    let Some((app, mut proxy, mut environment)) = with_proxy().await else {
        return;
    };
    environment.push(("RUSHES_DEGRADED_PRIVATE_S", "12".to_owned()));
    environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    let catalogs = app.directory.path().join("other").display().to_string();
    environment.push(("RUSHES_CATALOG_DIR", catalogs));
    let mut backend = Server::start_in("backend", app.directory.path(), &environment);
    backend.ready().await;
    let owner = app.caller().await;
    let public = publish(&app, &owner).await;
    owner.upload("private talk.mp4", MP4.to_vec(), &[]).await;
    let client = Client {
        url: backend.url.clone(),
        token: owner.token.clone(),
        public_id: public.rsplit('/').next().unwrap().to_owned(),
    };
    let begun = Instant::now();
    while client.list(true).await.is_ok_and(|(titles, ..)| titles.len() < 2) {
        assert!(begun.elapsed() < RECOVERY);
        sleep(Duration::from_millis(50)).await;
    }
    let (_, freshness, metadata) = client.list(false).await.unwrap();
    assert!(!freshness.degraded && !metadata.contains_key("rushes-degraded"));

    proxy.go_away();
    let away = Instant::now();
    // Until the outage is noticed, answers are those of before.
    while !client.list(false).await.unwrap().1.degraded {
        assert!(away.elapsed() < RECOVERY);
        sleep(Duration::from_millis(50)).await;
    }
    check_degraded(client.list(false).await, &["talk"]);
    check_degraded(client.search(false).await, &["talk"]);
    check_degraded(client.get().await, &["talk"]);
    check_degraded(client.list(true).await, &["private talk", "talk"]);
    let (mut own, freshness, _) = client.search(true).await.unwrap();
    own.sort();
    assert!(freshness.degraded && own == ["private talk", "talk"], "{own:?}");
    assert_eq!(client.health().await, 1);
    check_refusals(&client).await;

    while client.list(true).await.is_ok() {
        assert!(away.elapsed() < RECOVERY);
        sleep(Duration::from_millis(100)).await;
    }
    assert!(away.elapsed() >= Duration::from_secs(11), "{:?}", away.elapsed());
    for refused in [client.list(true).await, client.search(true).await] {
        let refused = refused.unwrap_err();
        assert!(refused.is(UNAVAILABLE, "unavailable"), "{refused:?}");
    }
    check_degraded(client.list(false).await, &["talk"]);
    check_degraded(client.get().await, &["talk"]);
    assert_eq!(client.health().await, 1);

    proxy.come_back().await;
    let back = Instant::now();
    while client.list(true).await.is_err() || client.list(false).await.unwrap().1.degraded {
        assert!(back.elapsed() < RECOVERY);
        sleep(Duration::from_millis(100)).await;
    }
}

/// Calls that were refused before are refused in the same way.
async fn check_refusals(client: &Client) {
    let unknown = GetVideoRequest {
        id: 1_000_000,
        ..GetVideoRequest::default()
    };
    let own = ListVideosRequest {
        own: true,
        ..ListVideosRequest::default()
    };
    let url = &client.url;
    let refused = call::<GetVideoResponse>(url, "", GET, &unknown).await.unwrap_err();
    assert!(refused.is(NOT_FOUND, "video_not_found"), "{refused:?}");
    for (token, reason) in [("", "token_missing"), ("a.b.c", "token_invalid")] {
        let refused = call::<ListVideosResponse>(url, token, LIST, &own).await.unwrap_err();
        assert!(refused.is(UNAUTHENTICATED, reason), "{refused:?}");
    }
    for method in ["rushes.v1.LibraryService/NoMethod", "rushes.v1.NoService/Call"] {
        let refused = call::<ListVideosResponse>(url, "", method, &own).await.unwrap_err();
        assert_eq!(refused.status, UNIMPLEMENTED, "{method}");
    }
}
