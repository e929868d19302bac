//! Resumable uploads by the tus protocol 1.0 (`tus.rs` has its headers).

use crate::AppState;
use crate::error::Error;
use crate::extract::{Sender, UploadPath};
use crate::idempotency::{IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::{Binary, problems};
use crate::tus::{self, CreationHeaders, PatchHeaders, Version};
use api::uploads::NewUpload;
use app::idempotency::Outcome;
use app::uploads::Algorithm;
use app::uploads::resumable::{self, Patch};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, HeaderName, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use entity::upload;
use utoipa::IntoParams;

/// The extensions of the protocol.
const EXTENSIONS: HeaderValue =
    HeaderValue::from_static("creation,creation-with-upload,creation-defer-length,termination,expiration,checksum");

/// The headers of a request that creates an upload.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes the headers in the OpenAPI document")]
pub(crate) struct CreationParameters {
    /// The version of the protocol: `1.0.0`.
    #[param(rename = "Tus-Resumable", pattern = "^1\\.0\\.0$")]
    tus_resumable: String,
    /// The length of the file in bytes. Absent with `Upload-Defer-Length`.
    #[param(rename = "Upload-Length", minimum = 1)]
    upload_length: Option<i64>,
    /// `1` if the length is not known yet. The request that ends the file has `Upload-Length` then.
    #[param(rename = "Upload-Defer-Length")]
    upload_defer_length: Option<i64>,
    /// Pairs of a key and a value as base64, separated by commas. `filename` is the name of the file; `filetype` is its
    /// media type; `purpose` is `manifest` for the file of an import.
    #[param(rename = "Upload-Metadata")]
    upload_metadata: Option<String>,
}

/// The headers of a request with bytes.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes the headers in the OpenAPI document")]
pub(crate) struct PatchParameters {
    /// The version of the protocol: `1.0.0`.
    #[param(rename = "Tus-Resumable", pattern = "^1\\.0\\.0$")]
    tus_resumable: String,
    /// The number of bytes that the upload has.
    #[param(rename = "Upload-Offset", minimum = 0)]
    upload_offset: i64,
    /// The length of the file, if the upload was created without one.
    #[param(rename = "Upload-Length", minimum = 1)]
    upload_length: Option<i64>,
    /// `sha1` or `sha256`, a space, and the checksum of the body as base64. If it does not match, the body does not
    /// count.
    #[param(rename = "Upload-Checksum")]
    upload_checksum: Option<String>,
}

/// The header of the other requests.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes the header in the OpenAPI document")]
pub(crate) struct VersionParameter {
    /// The version of the protocol: `1.0.0`.
    #[param(rename = "Tus-Resumable", pattern = "^1\\.0\\.0$")]
    tus_resumable: String,
}

problems!(CreateProblems: FileEmpty, UploadHeaderInvalid, RecipeInvalid, IdempotencyKeyInvalid, TokenMissing, TokenInvalid,
    TokenExpired, UploadNotFound, GuestLinkNotFound, RequestTimeout, UploadInterrupted, UploadsTooMany, GuestLinkUsedUp, IdempotencyKeyInUse,
    GuestLinkRevoked, GuestLinkExpired, TusVersionUnsupported, UploadTooLarge, NotMedia, IdempotencyKeyReused,
    TaskTooLarge, ChecksumMismatch, Unavailable, StorageFull);
problems!(AppendProblems: UploadHeaderInvalid, RecipeInvalid, TokenMissing, TokenInvalid, TokenExpired, UploadNotFound,
    GuestLinkNotFound, RequestTimeout, UploadOffsetWrong, UploadInterrupted, GuestLinkRevoked, TusVersionUnsupported,
    UploadTooLarge, ContentTypeUnsupported, NotMedia, ChecksumMismatch, TaskTooLarge, Unavailable, StorageFull);
problems!(ShowProblems: TokenMissing, TokenInvalid, TokenExpired, UploadNotFound, GuestLinkRevoked,
    TusVersionUnsupported, Unavailable);
problems!(RemoveProblems: TokenMissing, TokenInvalid, TokenExpired, UploadNotFound, UploadInterrupted, GuestLinkRevoked,
    TusVersionUnsupported, Unavailable);

fn new_upload(upload: &upload::Model) -> NewUpload {
    NewUpload {
        upload_id: upload.id.clone(),
        expires_at: upload.expires_at().into(),
    }
}

/// Creates a resumable upload (tus).
///
/// Send the file with `PATCH` to the address in `Location`, in as many requests as needed, then create a task with
/// `POST /api/tasks` and the `upload_id`. For a guest, the task is created with the last byte. The body may contain the
/// first bytes of the file.
#[utoipa::path(post, operation_id = "create_upload", path = "/uploads", tag = "uploads", params(CreationParameters, IdempotencyKeyHeader),
    security(("bearer" = []), ("guest" = [])),
    request_body(content = inline(Option<Binary>), content_type = "application/offset+octet-stream", description = "The first bytes of the file, if any"),
    responses((status = 201, description = "The upload; its address is in `Location`", body = NewUpload), CreateProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    sender: Sender,
    key: IdempotencyKey,
    CreationHeaders { new, first_bytes }: CreationHeaders,
    body: Body,
) -> Result<Response, Error> {
    let (app, uploader, fingerprint) = (&state.app, sender.uploader(), new.fingerprint.clone());
    let request = key.of_sender(&sender);
    // A repeated request with the key finds the upload, and the client goes on from its offset.
    let is_only_request = request.key.is_none();
    let work = async |new, guard| resumable::create(app, &uploader, new, guard, new_upload).await;
    let outcome = request.once(app, new, async |_| Ok(fingerprint), work).await;
    let (created, is_new) = match outcome? {
        Outcome::Executed(created) => (created, true),
        Outcome::Replayed(json) => (serde_json::from_str(&json).map_err(anyhow::Error::from)?, false),
    };
    let id = &created.upload_id;
    let upload = match first_bytes.filter(|_| is_new) {
        Some(bytes) => {
            let stream = tus::incoming(body, state.alive.shutdown.clone());
            let patch = Patch {
                is_only_request,
                ..bytes
            };
            resumable::append(app, &uploader, id, patch, stream).await?
        }
        None => resumable::current_offset(app, &uploader, id).await?,
    };
    let mut headers = progress(&upload);
    insert(&mut headers, LOCATION, &format!("/api/uploads/{id}"));
    Ok((StatusCode::CREATED, headers, Json(created)).into_response())
}

/// Appends bytes to a resumable upload (tus).
///
/// A request that still writes to the upload ends first. The bytes that `Upload-Offset` counts are durable.
#[utoipa::path(patch, operation_id = "append_to_upload", path = "/uploads/{id}", tag = "uploads",
    params(("id" = String, Path, description = "The id of the upload"), PatchParameters), security(("bearer" = []), ("guest" = [])),
    request_body(content = inline(Binary), content_type = "application/offset+octet-stream", description = "Bytes of the file from `Upload-Offset` on"),
    responses((status = 204, description = "The bytes are stored; `Upload-Offset` is the number of bytes now"), AppendProblems))]
pub(crate) async fn append(
    State(state): State<AppState>,
    sender: Sender,
    UploadPath(id): UploadPath,
    PatchHeaders(patch): PatchHeaders,
    body: Body,
) -> Result<Response, Error> {
    let stream = tus::incoming(body, state.alive.shutdown.clone());
    let upload = resumable::append(&state.app, &sender.uploader(), &id, patch, stream).await?;
    Ok((StatusCode::NO_CONTENT, progress(&upload)).into_response())
}

/// Tells how many bytes a resumable upload has (tus).
///
/// A request that still writes to the upload ends first, so that the client can go on from there.
#[utoipa::path(head, operation_id = "show_upload", path = "/uploads/{id}", tag = "uploads",
    params(("id" = String, Path, description = "The id of the upload"), VersionParameter), security(("bearer" = []), ("guest" = [])),
    responses((status = 200, description = "`Upload-Offset` is the number of bytes, `Upload-Length` that of the whole file"), ShowProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    sender: Sender,
    _: Version,
    UploadPath(id): UploadPath,
) -> Result<Response, Error> {
    let upload = resumable::current_offset(&state.app, &sender.uploader(), &id).await?;
    let mut headers = progress(&upload);
    match upload.length() {
        Some(bytes) => insert(&mut headers, tus::LENGTH, &bytes.to_string()),
        None => insert(&mut headers, tus::DEFER_LENGTH, "1"),
    }
    if !upload.metadata.is_empty() {
        insert(&mut headers, tus::METADATA, &upload.metadata);
    }
    insert(&mut headers, CACHE_CONTROL, "no-store");
    Ok((StatusCode::OK, headers).into_response())
}

/// Removes a resumable upload (tus).
///
/// A request that still writes to it ends first. The file of a task stays.
#[utoipa::path(delete, operation_id = "remove_upload", path = "/uploads/{id}", tag = "uploads",
    params(("id" = String, Path, description = "The id of the upload"), VersionParameter), security(("bearer" = []), ("guest" = [])),
    responses((status = 204, description = "The upload and its bytes are gone"), RemoveProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    sender: Sender,
    _: Version,
    UploadPath(id): UploadPath,
) -> Result<StatusCode, Error> {
    resumable::remove(&state.app, &sender.uploader(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells what the server can do (tus).
///
/// The versions and the extensions of the protocol, and the size of the largest file.
#[utoipa::path(options, operation_id = "show_upload_options", path = "/uploads", tag = "uploads",
    responses((status = 204, description = "`Tus-Version`, `Tus-Extension`, `Tus-Max-Size` and `Tus-Checksum-Algorithm`")))]
pub(crate) async fn options() -> StatusCode {
    // `add_capabilities` adds the headers, also to the replies to preflight requests.
    StatusCode::NO_CONTENT
}

/// Adds the headers that tell what the server can do.
pub(crate) fn add_capabilities(state: &AppState, response: &mut Response) {
    let headers = response.headers_mut();
    let algorithms: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
    headers.insert(tus::RESUMABLE, tus::VERSION);
    headers.insert(tus::TUS_VERSION, tus::VERSION);
    headers.insert(tus::TUS_EXTENSION, EXTENSIONS);
    insert(headers, tus::TUS_CHECKSUM_ALGORITHM, &algorithms.join(","));
    let max_bytes = state.app.settings.limits.max_upload_bytes;
    insert(headers, tus::TUS_MAX_SIZE, &max_bytes.to_string());
}

/// The headers about the progress of an upload.
fn progress(upload: &upload::Model) -> HeaderMap {
    let mut headers = HeaderMap::new();
    insert(&mut headers, tus::OFFSET, &upload.received().to_string());
    if !upload.is_received() {
        insert(
            &mut headers,
            tus::EXPIRES,
            &httpdate::fmt_http_date(upload.expires_at()),
        );
    }
    headers
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // All values are numbers, dates, or text that came in a header.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
