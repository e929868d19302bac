//! The library: lists and searches of published videos and of one's own, and published videos with their files. All
//! answers come from the catalog of this process, also while the database is away.

mod files;
mod query;
mod view;

pub(crate) use files::*;
pub(crate) use view::{DEGRADED_HEADER, corrected_view, freshness_headers, freshness_view, hit_view};

use crate::AppState;
use crate::error::Error;
use crate::extract::{AsyncViewer, BaseUrl, LibraryId, Viewer};
use crate::openapi::problems;
use crate::routes::searches;
use api::library::{LibraryList, LibraryShow, SearchResult};
use api::searches::SearchTicket;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use domain::VideoId;
use domain::library::Scope;
use query::{ListParameters, SearchParameters, list_request, search_request};
use view::{Fresh, list_view, search_view, show_view};

problems!(ListProblems: QueryInvalid, CursorInvalid, CatalogFilling, Unavailable);
problems!(OwnListProblems: QueryInvalid, CursorInvalid, TokenMissing, TokenInvalid, TokenExpired, CatalogFilling, Unavailable);
problems!(OwnSearchProblems: QueryInvalid, CursorInvalid, TokenMissing, TokenInvalid, TokenExpired, RateLimited, CatalogFilling,
    Unavailable);
problems!(ShowProblems: VideoNotFound, CatalogFilling, Unavailable);

/// Lists public videos.
///
/// Newest first, unless `sort` says otherwise. Send `next_cursor` of a page as `cursor` to get the next one. Answers
/// also while the database is away, see `freshness`.
#[utoipa::path(get, operation_id = "list_library", path = "/library", tag = "library", params(ListParameters),
    responses((status = 200, description = "A page of videos", body = LibraryList), ListProblems))]
pub(crate) async fn list(
    State(state): State<AppState>,
    base: BaseUrl,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Fresh<LibraryList>, Error> {
    list_in(&state, &base, &pairs, Scope::Public).await
}

/// Searches public videos.
///
/// In titles, tags and descriptions, without regard to case and accents. Words must all occur; `"…"` is a phrase, and
/// `-word` excludes. Words that occur nowhere are replaced by similar ones, see `corrected`.
///
/// With `Prefer: respond-async` and a token, the search runs in the background, and the reply is 202 with the address
/// of its result in `Location`: all hits at once, up to 10,000. `cursor`, `max` and `facets` do not matter to it.
#[utoipa::path(get, operation_id = "search_library", path = "/library/search", tag = "library", params(SearchParameters, ListParameters),
    responses((status = 200, description = "A page of videos", body = SearchResult),
        (status = 202, description = "The search runs in the background", body = SearchTicket), ListProblems))]
pub(crate) async fn search(
    State(state): State<AppState>,
    base: BaseUrl,
    later: AsyncViewer,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    search_in(&state, &base, &pairs, Scope::Public, later).await
}

/// Lists the account's videos.
///
/// As `GET /api/library`, with private and unlisted videos, and with the videos of this account only.
#[utoipa::path(get, operation_id = "list_videos", path = "/videos", tag = "videos", params(ListParameters), security(("bearer" = [])),
    responses((status = 200, description = "A page of videos", body = LibraryList), OwnListProblems))]
pub(crate) async fn list_own(
    State(state): State<AppState>,
    base: BaseUrl,
    Viewer(account): Viewer,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Fresh<LibraryList>, Error> {
    list_in(&state, &base, &pairs, Scope::Account(account)).await
}

/// Searches the account's videos.
///
/// As `GET /api/library/search`, with private and unlisted videos, and in the videos of this account only.
#[utoipa::path(get, operation_id = "search_videos", path = "/videos/search", tag = "videos", params(SearchParameters, ListParameters), security(("bearer" = [])),
    responses((status = 200, description = "A page of videos", body = SearchResult),
        (status = 202, description = "The search runs in the background", body = SearchTicket), OwnSearchProblems))]
pub(crate) async fn search_own(
    State(state): State<AppState>,
    base: BaseUrl,
    Viewer(account): Viewer,
    later: AsyncViewer,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    search_in(&state, &base, &pairs, Scope::Account(account), later).await
}

/// Shows a published video.
///
/// A public video by its id, or a public or unlisted one by the last part of its public address.
#[utoipa::path(get, operation_id = "show_library_video", path = "/library/{id}", tag = "library",
    params(("id" = String, Path, description = "The id of a public video, or the last part of a public address")),
    responses((status = 200, description = "The video", body = LibraryShow), ShowProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    base: BaseUrl,
    id: LibraryId,
) -> Result<Fresh<LibraryShow>, Error> {
    let library = &state.app.library;
    let (video, freshness) = match &id {
        LibraryId::Number(VideoId(id)) => library.public_video(*id).await?,
        LibraryId::PublicId(id) => library.video_of_link(id).await?,
    };
    Ok(Fresh::new(freshness, |fresh| show_view(video, &base, fresh)))
}

async fn list_in(
    state: &AppState,
    base: &BaseUrl,
    pairs: &[(String, String)],
    scope: Scope,
) -> Result<Fresh<LibraryList>, Error> {
    let (query, cursor) = list_request(pairs, scope)?;
    let page = state.app.library.list(&query, cursor).await?;
    Ok(Fresh::new(page.freshness, |fresh| list_view(page, base, fresh)))
}

/// Answers a search, or accepts it for later.
async fn search_in(
    state: &AppState,
    base: &BaseUrl,
    pairs: &[(String, String)],
    scope: Scope,
    AsyncViewer(later): AsyncViewer,
) -> Result<Response, Error> {
    let request = search_request(pairs, scope)?;
    if let Some(account) = later {
        return searches::accept(state, base, account, request).await;
    }
    let page = state.app.library.search(&request).await?;
    Ok(Fresh::new(page.freshness, |fresh| search_view(page, base, fresh)).into_response())
}
