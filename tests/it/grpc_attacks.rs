//! Hostile calls of the library: each is answered or refused as a fault of the client.

use crate::grpc_message::{Refused, call};
use grpc::v1::{
    Filter, GetVideoRequest, GetVideoResponse, ListVideosRequest, ListVideosResponse, SearchVideosRequest,
    SearchVideosResponse,
};
use prost_types::Timestamp;
use serde_json::json;
use tests::{Caller, MP4, TestApp};

const INVALID_ARGUMENT: u32 = 3;
const NOT_FOUND: u32 = 5;
const RESOURCE_EXHAUSTED: u32 = 8;

async fn list(caller: &Caller, request: ListVideosRequest) -> Result<ListVideosResponse, Refused> {
    let method = "rushes.v1.LibraryService/ListVideos";
    call(&caller.url, &caller.token, method, &request)
        .await
        .map(|answer| answer.0)
}

async fn search(caller: &Caller, request: SearchVideosRequest) -> Result<SearchVideosResponse, Refused> {
    let method = "rushes.v1.LibraryService/SearchVideos";
    call(&caller.url, &caller.token, method, &request)
        .await
        .map(|answer| answer.0)
}

async fn get(caller: &Caller, id: i64, public_id: &str) -> Result<GetVideoResponse, Refused> {
    let request = GetVideoRequest {
        id,
        public_id: public_id.to_owned(),
    };
    let method = "rushes.v1.LibraryService/GetVideo";
    call(&caller.url, "", method, &request).await.map(|answer| answer.0)
}

fn with(change: impl FnOnce(&mut Filter)) -> ListVideosRequest {
    let mut filter = Filter::default();
    change(&mut filter);
    ListVideosRequest {
        filter: Some(filter),
        ..ListVideosRequest::default()
    }
}

const fn time(seconds: i64, nanos: i32) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos })
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_filters_and_queries_are_refused_with_their_field() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    for (request, field) in [
        (with(|filter| filter.tags = vec!["a\0".to_owned()]), "filter.tags"),
        (with(|filter| filter.tags = vec![String::new()]), "filter.tags"),
        (with(|filter| filter.tags = vec!["a".to_owned(); 1_000]), "filter.tags"),
        (with(|filter| filter.min_duration_ms = -1), "filter.max_duration_ms"),
        (
            with(|filter| filter.max_duration_ms = i64::MIN),
            "filter.max_duration_ms",
        ),
        (
            with(|filter| filter.published_after = time(i64::MAX, 0)),
            "filter.published_after",
        ),
        (
            with(|filter| filter.published_before = time(0, -1)),
            "filter.published_before",
        ),
        (
            with(|filter| filter.published_before = time(0, 1_000_000_000)),
            "filter.published_before",
        ),
        (
            with(|filter| (filter.published_after, filter.published_before) = (time(2, 0), time(1, 0))),
            "filter.published_before",
        ),
    ] {
        let refused = list(&caller, request.clone()).await.unwrap_err();
        assert!(
            refused.is(INVALID_ARGUMENT, "query_invalid"),
            "{request:?}: {refused:?}"
        );
        assert!(refused.is(INVALID_ARGUMENT, field), "{request:?}: {refused:?}");
    }
    for size in [-1, 101, i32::MIN, i32::MAX] {
        let request = ListVideosRequest {
            page_size: size,
            ..ListVideosRequest::default()
        };
        assert!(
            list(&caller, request)
                .await
                .unwrap_err()
                .is(INVALID_ARGUMENT, "page_size"),
            "{size}"
        );
    }
    for query in ["", " ", "-talk", "\"", "a\0b", &"ñ".repeat(201), &"x".repeat(10_000)] {
        let request = SearchVideosRequest {
            query: query.to_owned(),
            ..SearchVideosRequest::default()
        };
        assert!(
            search(&caller, request)
                .await
                .unwrap_err()
                .is(INVALID_ARGUMENT, "query_invalid"),
            "{query}"
        );
    }
    for query in ["title:(a OR *)", "😀", "\u{202e}مرحبا", "%", "NEAR(a b)"] {
        let request = SearchVideosRequest {
            query: query.to_owned(),
            facets: vec!["tags".to_owned(); 1_000],
            typing: true,
            own: true,
            ..SearchVideosRequest::default()
        };
        assert_eq!(search(&caller, request).await.unwrap().facets.len(), 1, "{query}");
    }
    for (id, public_id) in [
        (0, ""),
        (-1, ""),
        (i64::MAX, ""),
        (1, "%"),
        (1, "\0"),
        (1, &"a".repeat(10_000)),
    ] {
        let refused = get(&caller, id, public_id).await.unwrap_err();
        assert!(
            refused.is(NOT_FOUND, "video_not_found"),
            "{id} {public_id}: {refused:?}"
        );
    }
    let refused = get(&caller, 1, &"a".repeat(70_000)).await.unwrap_err();
    assert!(refused.is(RESOURCE_EXHAUSTED, "body_too_large"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_belongs_to_its_query_in_both_apis_and_hidden_videos_are_in_no_public_answer() {
    let app = TestApp::idle().await;
    let (ana, eva) = (app.caller().await, app.caller().await);
    let mut hidden = Vec::new();
    for (owner, visibility) in [
        (&ana, "public"),
        (&ana, "public"),
        (&eva, "public"),
        (&ana, "unlisted"),
        (&ana, "private"),
    ] {
        let upload = owner.upload("talk.mp4", MP4.to_vec(), &[]).await;
        let (task, video) = (
            upload.body["id"].as_i64().unwrap(),
            upload.body["video_id"].as_i64().unwrap(),
        );
        app.finish(task, &[("video.mp4", "mp4", "video/mp4", b"x")]).await;
        if visibility != "private" {
            let body = json!({ "visibility": visibility });
            assert_eq!(
                owner.post(&format!("/api/videos/{video}/publish"), &body).await.status,
                200
            );
        }
        if visibility != "public" {
            hidden.push(video);
        }
    }
    let page = |own, page_token: &str| ListVideosRequest {
        page_size: 1,
        page_token: page_token.to_owned(),
        own,
        ..ListVideosRequest::default()
    };
    let first = list(&ana, page(false, "")).await.unwrap();
    let token = first.next_page_token;
    let second = list(&ana, page(false, &token)).await.unwrap();
    assert_ne!(second.videos[0].id, first.videos[0].id);
    // Both APIs read the cursors of each other.
    let by_http = eva.get(&format!("/api/library?max=1&cursor={token}")).await;
    assert_eq!(by_http.body["data"][0]["id"], second.videos[0].id);
    let of_ana = list(&ana, page(true, "")).await.unwrap().next_page_token;
    for (caller, request) in [
        (&ana, page(true, &token)),
        (&eva, page(true, &token)),
        (&eva, page(true, &of_ana)),
        (&eva, page(false, &of_ana)),
        (&ana, page(false, &token[1..])),
        (&ana, page(false, &"A".repeat(9_000))),
    ] {
        let refused = list(caller, request).await.unwrap_err();
        assert!(refused.is(INVALID_ARGUMENT, "cursor_invalid"), "{refused:?}");
    }
    let all = list(&eva, ListVideosRequest::default()).await.unwrap().videos;
    let request = SearchVideosRequest {
        query: "talk".to_owned(),
        ..SearchVideosRequest::default()
    };
    let found = search(&eva, request).await.unwrap();
    assert_eq!((all.len(), found.total), (3, 3));
    let hits = found.hits.into_iter().map(|hit| hit.video.unwrap().id);
    let mut shown = all.iter().map(|video| video.id).chain(hits);
    assert!(shown.all(|id| !hidden.contains(&id)));
    for id in hidden {
        assert!(get(&eva, id, "").await.unwrap_err().is(NOT_FOUND, "video_not_found"));
    }
}
