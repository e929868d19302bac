//! The gRPC API with tonic, the client of Rust, directly and through nginx: the same answers, refusals and rules as the
//! HTTP API, health, and both versions of reflection.

use crate::grpc::published;
use crate::nginx::Nginx;
use ::grpc::v1;
use ::grpc::v1::library_service_client::LibraryServiceClient;
use serde_json::Value;
use tests::{Caller, MP4, TestApp};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

const SERVICE: &str = "rushes.v1.LibraryService";

/// A request with the token of an account.
fn of<T>(caller: &Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = format!("Bearer {}", caller.token).parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    request
}

/// Status and reason of a refusal.
fn refusal(status: &Status) -> (Code, String) {
    let reason = status.get_details_error_info().map(|info| info.reason);
    (status.code(), reason.unwrap_or_default())
}

fn ids(videos: &[v1::Video]) -> Vec<i64> {
    videos.iter().map(|video| video.id).collect()
}

/// The ids in the answer to the same question by HTTP.
async fn ids_by_http(caller: &Caller, path: &str) -> Vec<i64> {
    let reply = caller.get(path).await;
    let data = reply.body["data"].as_array().unwrap().iter();
    data.map(|video| video["id"].as_i64().unwrap()).collect()
}

/// All own videos page by page, and the first page again with another sort, which its token is not for.
async fn list(client: &mut LibraryServiceClient<Channel>, caller: &Caller) {
    let mut request = v1::ListVideosRequest {
        page_size: 2,
        own: true,
        ..v1::ListVideosRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let page = client
            .list_videos(of(caller, request.clone()))
            .await
            .unwrap()
            .into_inner();
        assert!(!page.freshness.unwrap().degraded);
        found.extend(ids(&page.videos));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(found, ids_by_http(caller, "/api/videos").await);
    assert_eq!(found.len(), 3);
    let anonymous = client.list_videos(request.clone()).await.unwrap_err();
    assert_eq!(refusal(&anonymous), (Code::Unauthenticated, "token_missing".to_owned()));
    request.sort = v1::Sort::Duration.into();
    let foreign = client.list_videos(of(caller, request)).await.unwrap_err();
    assert_eq!(refusal(&foreign), (Code::InvalidArgument, "cursor_invalid".to_owned()));
}

/// The published videos, and none of the private ones.
async fn search(client: &mut LibraryServiceClient<Channel>, caller: &Caller) {
    let query = |query: &str| v1::SearchVideosRequest {
        query: query.to_owned(),
        facets: vec!["tags".to_owned()],
        ..v1::SearchVideosRequest::default()
    };
    let found = client.search_videos(query("talc")).await.unwrap().into_inner();
    let videos: Vec<_> = found.hits.into_iter().map(|hit| hit.video.unwrap()).collect();
    assert_eq!(ids(&videos), ids_by_http(caller, "/api/library/search?q=talc").await);
    assert_eq!(videos.len(), 2);
    assert_eq!(found.corrected.len(), 1);
    assert_eq!(found.facets.len(), 1);
    let empty = client.search_videos(query(" ")).await.unwrap_err();
    assert_eq!(refusal(&empty), (Code::InvalidArgument, "query_invalid".to_owned()));
}

async fn get(client: &mut LibraryServiceClient<Channel>, caller: &Caller, public_id: &str) {
    let request = |public_id: &str| v1::GetVideoRequest {
        public_id: public_id.to_owned(),
        ..v1::GetVideoRequest::default()
    };
    let shown = client.get_video(request(public_id)).await.unwrap().into_inner();
    let reply = caller.get(&format!("/api/library/{public_id}")).await.body;
    let video = shown.video.unwrap();
    assert_eq!(
        (Value::from(video.id), Value::from(video.title)),
        (reply["id"].clone(), reply["title"].clone())
    );
    let absent = client.get_video(request("no-such-video")).await.unwrap_err();
    assert_eq!(refusal(&absent), (Code::NotFound, "video_not_found".to_owned()));
}

async fn health(channel: Channel) {
    let mut client = HealthClient::new(channel);
    let check = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    let state = client.check(check(SERVICE)).await.unwrap().into_inner();
    assert_eq!(state.status(), ServingStatus::Serving);
    let unknown = client.check(check("rushes.v1.NoSuchService")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

/// Asks for the names of the services. The clients of both versions have the same shape and different types.
macro_rules! services {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version as pb;
        let question = pb::server_reflection_request::MessageRequest::ListServices(String::new());
        let request = pb::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question),
        };
        let mut client = pb::server_reflection_client::ServerReflectionClient::new($channel);
        let questions = futures::stream::iter([request]);
        let mut answers = client.server_reflection_info(questions).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
        let pb::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
            panic!("{answer:?}")
        };
        list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn tonic_gets_the_answers_of_the_http_api_directly_and_through_nginx() {
    let app = TestApp::idle().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let [_, public_id] = published(&app, &caller, "talk one.mp4", "a").await;
    published(&app, &other, "talk two.mp4", "b").await;
    for owner in [&caller, &caller, &other] {
        owner.upload("talk private.mp4", MP4.to_vec(), &[]).await;
    }
    let nginx = Nginx::in_front_of(&app.url, app.directory.path());
    nginx.ready().await;
    for address in [app.url.clone(), format!("http://{}", nginx.grpc)] {
        let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
        let mut client = LibraryServiceClient::new(channel.clone());
        list(&mut client, &caller).await;
        search(&mut client, &caller).await;
        get(&mut client, &caller, &public_id).await;
        health(channel.clone()).await;
        assert!(services!(v1, channel.clone()).contains(&SERVICE.to_owned()));
        assert!(services!(v1alpha, channel).contains(&SERVICE.to_owned()));
    }
}
