//! Searches in the background: the reply that accepts one, and its result as JSON or CSV.

mod accept;
mod csv;

use crate::AppState;
use crate::error::Error;
use crate::etag::reply_unless_known;
use crate::extract::{BaseUrl, RESPOND_ASYNC, SearchPath, Viewer};
use crate::openapi::problems;
use crate::routes::library::{corrected_view, freshness_view, hit_view};
use accept::Format;
use api::searches::{SearchSummary, SearchTicket, SearchTicketResult};
use app::library::{Hit, SearchRequest};
use app::searches::{FoundHits, SearchId, Summary, Ticket, create, fetch};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, LOCATION, VARY};
use axum::http::header::{InvalidHeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::UserId;
use futures::stream::{Stream, StreamExt, once};
use futures::{TryStreamExt, future};

/// Header of RFC 7240 §3: the preference that was applied.
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Number of hits that are sent as one chunk, if they are read already.
const CHUNK_HITS: usize = 32;

problems!(SearchProblems: TokenMissing, TokenInvalid, TokenExpired, SearchNotFound, SearchExpired, CatalogFilling, Unavailable);

/// Stores a search and replies 202 with the address of its result.
pub(crate) async fn accept(
    state: &AppState,
    base: &BaseUrl,
    account: UserId,
    request: SearchRequest,
) -> Result<Response, Error> {
    let id = create(&state.app, account, request).await?;
    let path = format!("/api/searches/{id}");
    let location = HeaderValue::from_str(&path).map_err(header_invalid)?;
    let applied = HeaderValue::from_static(RESPOND_ASYNC);
    let headers = [(LOCATION, location), (PREFERENCE_APPLIED, applied)];
    Ok((headers, working(base, id)).into_response())
}

/// Shows the result of a search in the background.
///
/// Send `Prefer: respond-async` with a search to begin one. 202 with `Retry-After` until the result is there; then all
/// hits at once, up to 10,000, for 24 hours. With `Accept: text/csv` as a table. Texts of the table that a spreadsheet
/// would take for a formula have an apostrophe before them.
#[utoipa::path(get, operation_id = "show_search", path = "/searches/{id}", tag = "library", security(("bearer" = [])),
    params(("id" = String, Path, description = "The id of the search")),
    responses((status = 200, description = "The result", content(
            (SearchTicketResult = "application/json"), (String = "text/csv"))),
        (status = 202, description = "The search is not finished", body = SearchTicket), SearchProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    base: BaseUrl,
    Viewer(account): Viewer,
    SearchPath(id): SearchPath,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let found = match fetch(&state.app, account, id).await? {
        Ticket::Working => return Ok(working(&base, id)),
        Ticket::Found(found) => found,
    };
    let format = Format::accepted(&headers);
    // A result that another process computed again began at another time.
    let etag = format!("W/\"{id}.{}.{}\"", found.summary.freshness.as_of_ms, format.name());
    let mut response = reply_unless_known(&headers, &etag, || match format {
        Format::Json => json(found, base),
        Format::Csv => csv(found, base, id),
    });
    response.headers_mut().append(VARY, HeaderValue::from_name(ACCEPT));
    Ok(response)
}

/// The reply while the result is not there.
fn working(base: &BaseUrl, id: SearchId) -> Response {
    let ticket = SearchTicket {
        id: id.to_string(),
        url: format!("{}/api/searches/{id}", base.0),
    };
    let headers = [
        (RETRY_AFTER, HeaderValue::from_static("1")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::ACCEPTED, headers, Json(ticket)).into_response()
}

/// The result as one JSON object whose list is written while it is read.
fn json(found: FoundHits, base: BaseUrl) -> Response {
    let mut end = b"],".to_vec();
    let summary = serde_json::to_vec(&summary_view(found.summary)).unwrap_or_default();
    // The fields of the summary without the brace before them.
    end.extend_from_slice(summary.get(1..).unwrap_or_default());
    let mut separator: &[u8] = b"";
    let hits = found.hits.map(move |hit| {
        let mut text = std::mem::replace(&mut separator, b",").to_vec();
        serde_json::to_writer(&mut text, &hit_view(hit?, &base)).map_err(anyhow::Error::new)?;
        Ok(text)
    });
    let kind = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, kind)], body(br#"{"data":["#.to_vec(), hits, end)).into_response()
}

/// The result as a file of RFC 4180.
fn csv(found: FoundHits, base: BaseUrl, id: SearchId) -> Response {
    let rows = found.hits.map(move |hit: Result<Hit, app::Error>| {
        let row = csv::row(&hit_view(hit?, &base).video);
        Ok(row.map_err(anyhow::Error::new)?)
    });
    let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    let name = format!("attachment; filename=\"search-{id}.csv\"");
    let mut response = body(csv::header(), rows, Vec::new()).into_response();
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    response
}

/// A body of texts that are written while they are read. An error ends the connection, so that the client does not
/// take a part for the whole.
fn body(begin: Vec<u8>, texts: impl Stream<Item = Result<Vec<u8>, app::Error>> + Send + 'static, end: Vec<u8>) -> Body {
    let failed = |error: app::Error| {
        tracing::error!(?error, "a result of a search cannot be sent");
        std::io::Error::other("a result of a search cannot be sent")
    };
    let texts = texts.try_ready_chunks(CHUNK_HITS).map_err(|error| error.1);
    let chunks = once(future::ok(vec![begin]))
        .chain(texts)
        .chain(once(future::ok(vec![end])));
    Body::from_stream(chunks.map_ok(|texts| Bytes::from(texts.concat())).map_err(failed))
}

fn summary_view(summary: Summary) -> SearchSummary {
    SearchSummary {
        total: summary.total.into(),
        total_at_least: summary.total_at_least,
        corrected: summary.corrections.into_iter().map(corrected_view).collect(),
        freshness: freshness_view(summary.freshness),
    }
}

fn header_invalid(error: InvalidHeaderValue) -> app::Error {
    app::Error::Internal(error.into())
}
