//! The service of the library.

use crate::call::{Call, Environment};
use crate::convert::{correction, facet, freshness, list_query, outputs, search_request, token, video};
use crate::status::status;
use crate::v1::library_service_server::LibraryService;
use crate::v1::{
    GetVideoRequest, GetVideoResponse, Hit, ListVideosRequest, ListVideosResponse, Range, SearchVideosRequest,
    SearchVideosResponse,
};
use app::Error;
use app::library::Freshness;
use domain::library::Scope;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

/// The service of the library.
pub(crate) struct Library {
    environment: Environment,
}

impl Library {
    pub(crate) const fn new(environment: Environment) -> Self {
        Self { environment }
    }

    /// Public videos, or those of the account of the call.
    async fn scope(&self, call: &Call, own: bool) -> Result<Scope, Error> {
        if !own {
            return Ok(Scope::Public);
        }
        Ok(Scope::Account(call.account(&self.environment).await?))
    }

    async fn list(&self, call: &Call, message: ListVideosRequest) -> Result<Response<ListVideosResponse>, Error> {
        let scope = self.scope(call, message.own).await?;
        let query = list_query(&message, scope)?;
        let cursor = token(message.page_token);
        let page = self.environment.app.library.list(&query, cursor.as_deref()).await?;
        let base_url = call.base_url();
        let message = ListVideosResponse {
            videos: page.videos.into_iter().map(|entry| video(entry, base_url)).collect(),
            next_page_token: page.next_cursor.unwrap_or_default(),
            freshness: Some(freshness(page.freshness)),
        };
        Ok(response(message, page.freshness))
    }

    async fn search(&self, call: &Call, message: SearchVideosRequest) -> Result<Response<SearchVideosResponse>, Error> {
        let scope = self.scope(call, message.own).await?;
        let request = search_request(message, scope)?;
        let page = self.environment.app.library.search(&request).await?;
        let base_url = call.base_url();
        let position = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
        let hits = page.hits.into_iter().map(|hit| Hit {
            video: Some(video(hit.video, base_url)),
            highlights: hit
                .highlight
                .iter()
                .map(|range| Range {
                    start: position(range.start),
                    end: position(range.end),
                })
                .collect(),
        });
        let message = SearchVideosResponse {
            hits: hits.collect(),
            next_page_token: page.next_cursor.unwrap_or_default(),
            total: page.total.into(),
            total_at_least: page.total_at_least,
            facets: page.facets.into_iter().map(facet).collect(),
            corrected: page.corrections.into_iter().map(correction).collect(),
            freshness: Some(freshness(page.freshness)),
        };
        Ok(response(message, page.freshness))
    }

    async fn get(&self, call: &Call, message: GetVideoRequest) -> Result<Response<GetVideoResponse>, Error> {
        let library = &self.environment.app.library;
        let (entry, fresh) = match message.public_id.as_str() {
            "" => library.public_video(message.id).await?,
            public_id => library.video_of_link(public_id).await?,
        };
        let base_url = call.base_url();
        let message = GetVideoResponse {
            outputs: outputs(&entry, base_url),
            video: Some(video(entry, base_url)),
            freshness: Some(freshness(fresh)),
        };
        Ok(response(message, fresh))
    }
}

/// A response. While the database is away, its metadata say so, too.
fn response<T>(message: T, freshness: Freshness) -> Response<T> {
    let mut response = Response::new(message);
    if freshness.is_degraded {
        let value = MetadataValue::from_static("database");
        response.metadata_mut().insert("rushes-degraded", value);
    }
    response
}

#[tonic::async_trait]
impl LibraryService for Library {
    async fn list_videos(&self, request: Request<ListVideosRequest>) -> Result<Response<ListVideosResponse>, Status> {
        let (call, message) = Call::of(request);
        self.list(&call, message).await.map_err(status)
    }

    async fn search_videos(
        &self,
        request: Request<SearchVideosRequest>,
    ) -> Result<Response<SearchVideosResponse>, Status> {
        let (call, message) = Call::of(request);
        self.search(&call, message).await.map_err(status)
    }

    async fn get_video(&self, request: Request<GetVideoRequest>) -> Result<Response<GetVideoResponse>, Status> {
        let (call, message) = Call::of(request);
        self.get(&call, message).await.map_err(status)
    }
}
