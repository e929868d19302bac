//! Imports of manifests: begun, listed, canceled and retried; their rows.

mod events;
mod result;

pub(crate) use events::{__path_events, events};
pub(crate) use result::__path_show as __path_result;
pub(crate) use result::show as result;

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{Owned, Principal};
use crate::idempotency::{Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::{Count, problems};
use crate::routes::parameters::{invalid_parameter, parameter};
use crate::upload::ManifestForm;
use api::imports::{ImportError, ImportList, ImportRowError, ImportRowList, ImportRowView, ImportView};
use api::imports::{LookupCounts, RowCounts};
use app::idempotency::Outcome;
use app::imports::{self, Begun};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::manifest::{Kind, RowStatus};
use entity::import_row::{Filter, Lookup};
use entity::{import, import_row};
use utoipa::ToSchema;

type Pairs = Query<Vec<(String, String)>>;

/// Maximum and default number of imports and of rows on a page.
const PAGE_MAX: u64 = 1_000;

/// The form of an import. The parts may come in any order.
#[derive(ToSchema)]
#[allow(
    dead_code,
    reason = "describes the form in the OpenAPI document; `ManifestForm` reads it"
)]
pub(crate) struct ImportForm {
    /// The manifest: CSV with a header, or JSON Lines; plain, gzip or zstd.
    #[schema(required = false, value_type = String, format = Binary)]
    file: Option<Vec<u8>>,
    /// The id of a complete upload with the purpose `manifest`, instead of a file.
    #[schema(nullable = false, example = "")]
    upload_id: Option<String>,
    /// The kind of its rows: `videos` or `metadata`.
    #[schema(value_type = String, pattern = "^(videos|metadata)$")]
    kind: Kind,
    /// Check the rows without an effect.
    #[schema(nullable = false)]
    dry_run: Option<bool>,
    /// Begin also if the same file was imported before.
    #[schema(nullable = false)]
    again: Option<bool>,
    /// Look up the points of rows (`lat` and `lon`) at the service of the installation: by default if it has one.
    #[schema(nullable = false)]
    lookup: Option<bool>,
    /// The end of a row whose lookup fails: an error with `fail`, or the usual one without the answer with `continue`,
    /// which is the default.
    #[schema(nullable = false, pattern = "^(continue|fail)$")]
    on_lookup_failure: Option<String>,
}

problems!(NewProblems: FileMissing, FileEmpty, MultipartInvalid, RequestInvalid, PartUnknown, KindUnknown, IdempotencyKeyInvalid, TokenMissing, TokenInvalid,
    TokenExpired, RequestTimeout, IdempotencyKeyInUse, ImportsTooMany, LookupUnavailable, UploadNotFound, UploadUnfinished, UploadUsed, UploadPurposeWrong, UploadInterrupted, UploadTooLarge, ContentTypeUnsupported, IdempotencyKeyReused, Unavailable, StorageFull);
problems!(ListProblems: QueryInvalid, TokenMissing, TokenInvalid, TokenExpired, Unavailable);
problems!(ShowProblems: TokenMissing, TokenInvalid, TokenExpired, ImportNotFound, Unavailable);
problems!(RowsProblems: QueryInvalid, TokenMissing, TokenInvalid, TokenExpired, ImportNotFound, ImportRowsExpired, Unavailable);
problems!(RemoveProblems: TokenMissing, TokenInvalid, TokenExpired, ImportNotFound, ImportUnfinished, Unavailable);
problems!(CancelProblems: TokenMissing, TokenInvalid, TokenExpired, ImportNotFound, ImportFinished, Unavailable);
problems!(RetryProblems: TokenMissing, TokenInvalid, TokenExpired, ImportNotFound, ImportUnfinished, NothingToRetry, Unavailable);

/// An import as clients see it.
pub(super) fn view(import: &import::Model) -> ImportView {
    let error = import.error_code.clone().map(|code| ImportError {
        code,
        detail: import.error_detail.clone().unwrap_or_default(),
    });
    ImportView {
        id: import.id,
        // Only words of the type are stored.
        kind: import.kind.parse().unwrap_or(Kind::Videos),
        status: import.status.into(),
        dry_run: import.is_dry_run,
        file_name: import.file_name.clone(),
        sha256: import.sha256.clone(),
        bytes: import.bytes,
        bytes_read: import.byte,
        rows: RowCounts {
            total: import.rows_read,
            pending: import.pending,
            working: import.working,
            created: import.created,
            updated: import.updated,
            duplicate: import.duplicate,
            error: import.error,
        },
        lookup: LookupCounts {
            found: import.lookup_found,
            no_data: import.lookup_no_data,
            failed: import.lookup_failed,
        },
        waiting_for_lookup: import.is_waiting_for_lookup(),
        error,
        created_at: import.created_at,
        finished_at: import.finished_at,
    }
}

fn row_view(row: import_row::Model) -> ImportRowView {
    let (field, detail) = (row.field, row.detail);
    ImportRowView {
        row: row.row,
        line: row.line,
        byte: row.byte,
        status: row.status.into(),
        error: row.code.map(|code| ImportRowError { field, code, detail }),
        task_id: row.task_id,
        video_id: row.video_id,
        duplicate_of: row.duplicate_of,
        lookup: Lookup::status(row.lookup),
        lookup_result: row.lookup_result,
        lookup_error: row.lookup_error,
        fields: row.fields,
    }
}

/// Begins an import of many videos, or of changes of many videos.
///
/// The manifest is a table, CSV or JSON Lines, with one video a row. It is in the form, or in a complete upload. A
/// worker reads it: poll `GET /api/imports/{id}` until the `status` is final. Each row ends in one state, and a row
/// with an error does not stop the others. The same file is imported once: sent again, the reply is the first import.
/// Rows of `kind=videos` have a `source_url`, or the `upload_id` of a complete upload, and what they tell about the
/// video: `title`, `description`, `tags`, `external_id`, `region`, `lat` and `lon`, `preset` or `recipe`, and `meta.*`.
/// Rows of `kind=metadata` have a `video_id` or an `external_id`, and what changes. Where the installation has a lookup
/// service, the points of rows are looked up first: with `dry_run` and the columns `lat` and `lon` alone, an import
/// only does that.
#[utoipa::path(post, operation_id = "create_import", path = "/imports", tag = "imports", params(IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = ImportForm, content_type = "multipart/form-data", description = "The manifest, its kind and options"),
    responses((status = 201, description = "A worker will read the manifest", body = ImportView),
        (status = 200, description = "The first import of the same manifest", body = ImportView), NewProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    principal: Principal,
    key: IdempotencyKey,
    form: ManifestForm,
) -> Result<Response, Error> {
    let account = principal.account;
    let work = async |form: ManifestForm, guard| {
        let new = form.receive(&state, None).await?;
        Ok::<_, Error>(imports::create(&state.app, account, new, guard, view).await?)
    };
    let request = key.of(principal);
    let outcome = request.once(&state.app, form, ManifestForm::fingerprint, work).await?;
    Ok(begun(outcome))
}

/// The reply to a request that begins an import: 200 with the import that was begun before, otherwise like [`Created`].
pub(super) fn begun(outcome: Outcome<Begun<ImportView>>) -> Response {
    match outcome {
        Outcome::Executed(Begun { reply, is_new: false }) => Json(reply).into_response(),
        Outcome::Executed(Begun { reply, .. }) => Created(Outcome::Executed(reply)).into_response(),
        Outcome::Replayed(reply) => Created(Outcome::<ImportView>::Replayed(reply)).into_response(),
    }
}

/// Lists the imports of the account.
///
/// The newest first. Send `next_cursor` as `cursor` to get the next page.
#[utoipa::path(get, operation_id = "list_imports", path = "/imports", tag = "imports", params(
        ("max" = inline(Option<Count>), Query, description = "Maximum number of imports on the page; values above 1000 count as 1000, which is also the default"),
        ("cursor" = Option<i64>, Query, minimum = 1, description = "The `next_cursor` of the previous page")),
    security(("bearer" = [])), responses((status = 200, description = "A page of imports", body = ImportList), ListProblems))]
pub(crate) async fn list(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Pairs,
) -> Result<Json<ImportList>, Error> {
    let (before, max) = (cursor(&query)?, page_size(&query)?);
    let page = import::list(&state.app.db, principal.account, before, max + 1);
    let mut page = state.app.with_timeout(page).await?;
    let has_more = page.len() as u64 > max;
    page.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    Ok(Json(ImportList {
        next_cursor: page.last().filter(|_| has_more).map(|last| last.id.to_string()),
        data: page.iter().map(view).collect(),
    }))
}

/// Shows an import.
///
/// With the number of its rows in each state.
#[utoipa::path(get, operation_id = "show_import", path = "/imports/{id}", tag = "imports", params(("id" = i64, Path, description = "The id of the import")),
    security(("bearer" = [])), responses((status = 200, description = "The import", body = ImportView), ShowProblems))]
pub(crate) async fn show(Owned(import): Owned<import::Model>) -> Json<ImportView> {
    Json(view(&import))
}

/// Lists the rows of an import.
///
/// In the order of the manifest. Send `next_cursor` as `cursor` to get the next page.
#[utoipa::path(get, operation_id = "list_import_rows", path = "/imports/{id}/rows", tag = "imports", params(("id" = i64, Path, description = "The id of the import"),
        ("status" = Option<RowStatus>, Query, description = "Only rows with this status"),
        ("code" = Option<String>, Query, description = "Only rows with this error"),
        ("max" = inline(Option<Count>), Query, description = "Maximum number of rows on the page; values above 1000 count as 1000, which is also the default"),
        ("cursor" = Option<i64>, Query, minimum = 1, description = "The `next_cursor` of the previous page")),
    security(("bearer" = [])), responses((status = 200, description = "A page of rows", body = ImportRowList), RowsProblems))]
pub(crate) async fn rows(
    State(state): State<AppState>,
    Owned(import): Owned<import::Model>,
    Query(query): Pairs,
) -> Result<Json<ImportRowList>, Error> {
    let (after, max) = (cursor(&query)?.unwrap_or_default(), page_size(&query)?);
    let mut page = imports::rows(&state.app, &import, &filter(&query)?, after, max + 1).await?;
    let has_more = page.len() as u64 > max;
    page.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    Ok(Json(ImportRowList {
        next_cursor: page.last().filter(|_| has_more).map(|last| last.row.to_string()),
        data: page.into_iter().map(row_view).collect(),
    }))
}

/// Removes an import.
///
/// With its rows and its file, when it has ended. What its rows have created stays. The same file can be imported again
/// then. The rows and the file of an import are removed 30 days after its end anyway.
#[utoipa::path(delete, operation_id = "remove_import", path = "/imports/{id}", tag = "imports", params(("id" = i64, Path, description = "The id of the import")),
    security(("bearer" = [])), responses((status = 204, description = "It is removed"), RemoveProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    Owned(import): Owned<import::Model>,
) -> Result<StatusCode, Error> {
    imports::remove(&state.app, import.owner(), import.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Cancels an import.
///
/// Rows whose files are on their way end by themselves; no other row begins.
#[utoipa::path(post, operation_id = "cancel_import", path = "/imports/{id}/cancel", tag = "imports", params(("id" = i64, Path, description = "The id of the import")),
    security(("bearer" = [])), responses((status = 200, description = "The import", body = ImportView), CancelProblems))]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    Owned(import): Owned<import::Model>,
) -> Result<Json<ImportView>, Error> {
    Ok(Json(view(&imports::cancel(&state.app, &import).await?)))
}

/// Tries rows again.
///
/// Those whose error may pass, such as a host that did not answer.
#[utoipa::path(post, operation_id = "retry_import", path = "/imports/{id}/retry", tag = "imports", params(("id" = i64, Path, description = "The id of the import")),
    security(("bearer" = [])), responses((status = 200, description = "The import", body = ImportView), RetryProblems))]
pub(crate) async fn retry(
    State(state): State<AppState>,
    Owned(import): Owned<import::Model>,
) -> Result<Json<ImportView>, Error> {
    Ok(Json(view(&imports::retry(&state.app, &import).await?)))
}

fn cursor(query: &[(String, String)]) -> Result<Option<i64>, Refusal> {
    let read = |text: &str| {
        let number: Option<i64> = text.parse().ok();
        let number = number.filter(|number| *number >= 1);
        number.ok_or_else(|| invalid_parameter("cursor", text, "the next_cursor of a page"))
    };
    parameter(query, "cursor")?.map(read).transpose()
}

fn page_size(query: &[(String, String)]) -> Result<u64, Refusal> {
    let Some(text) = parameter(query, "max")? else {
        return Ok(PAGE_MAX);
    };
    let size: Option<u64> = text.parse().ok();
    let size = size.filter(|size| *size >= 1).map(|size| size.min(PAGE_MAX));
    size.ok_or_else(|| invalid_parameter("max", text, "a whole number, 1 or more"))
}

fn filter(query: &[(String, String)]) -> Result<Filter, Refusal> {
    let status = parameter(query, "status")?.map(|text| {
        let accepted = RowStatus::ALL.map(RowStatus::as_str).join(", ");
        RowStatus::from_word(text).ok_or_else(|| invalid_parameter("status", text, &accepted))
    });
    // No row has an unknown code.
    let code = parameter(query, "code")?.map(|text| {
        let known = domain::Code::ALL.iter().find(|code| code.as_str() == text);
        known.map_or("", |code| code.as_str()).to_owned()
    });
    Ok(Filter {
        state: status.transpose()?.map(Into::into),
        code,
    })
}
