//! Uploads whose parts the client writes to the bucket itself, with signed URLs.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{FromBody, Json as Body, Principal, UploadPath};
use crate::idempotency::{Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::problems;
use crate::tus::check_media_type;
use api::uploads::{
    CompletePartsBody, NewPresignedUpload, PresignedUpload, PresignedUploadBody, SignPartsBody, SignedPart, SignedParts,
};
use app::idempotency::Fingerprint;
use app::uploads::presigned::{self, Parts, URL_LIFETIME, URLS_MAX};
use app::uploads::resumable;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::UploadPurpose;
use entity::upload;
use serde_json::json;
use std::ops::RangeInclusive;
use std::time::SystemTime;

/// Maximum length of the `ETag` of a part.
const ETAG_BYTES: usize = 128;

impl FromBody for resumable::New {
    type Wire = PresignedUploadBody;

    fn check(body: PresignedUploadBody) -> Result<Self, Refusal> {
        let purpose = body.purpose.unwrap_or_default();
        let described = json!([body.bytes, body.file_name, body.content_type, purpose]);
        let fingerprint = Fingerprint::of(&described);
        let bytes = body.bytes.ok_or_else(|| Refusal::of_missing_field("bytes"))?;
        let bytes = u64::try_from(bytes).map_err(|_| Refusal::of_invalid_field("bytes", "accepted: from 1"))?;
        if purpose == UploadPurpose::Video {
            check_media_type(&body.content_type.unwrap_or_default())?;
        }
        Ok(Self {
            file_name: body.file_name.unwrap_or_default(),
            length_bytes: Some(bytes),
            presigned: true,
            purpose,
            fingerprint,
            ..Self::default()
        })
    }
}

/// The parts to sign: the number of the first, and how many.
pub(crate) struct Numbers {
    first: u32,
    count: u32,
}

impl FromBody for Numbers {
    type Wire = SignPartsBody;

    fn check(body: SignPartsBody) -> Result<Self, Refusal> {
        let within = |name: &str, given: Option<u32>, accepted: RangeInclusive<u32>, default| match given {
            Some(number) if !accepted.contains(&number) => {
                let (from, to) = accepted.into_inner();
                let detail = format!("{number}; accepted: {from} to {to}");
                Err(Refusal::of_invalid_field(name, detail))
            }
            given => Ok(given.unwrap_or(default)),
        };
        Ok(Self {
            first: within("first", body.first, 1..=u32::MAX, 1)?,
            count: within("count", body.count, 1..=URLS_MAX, URLS_MAX)?,
        })
    }
}

impl FromBody for Parts {
    type Wire = CompletePartsBody;

    fn check(body: CompletePartsBody) -> Result<Self, Refusal> {
        let etags = body.etags.ok_or_else(|| Refusal::of_missing_field("etags"))?;
        let is_etag =
            |etag: &String| (1..=ETAG_BYTES).contains(&etag.len()) && etag.bytes().all(|byte| byte.is_ascii_graphic());
        if !etags.iter().all(is_etag) {
            let detail = format!("accepted: each of 1 to {ETAG_BYTES} visible ASCII characters");
            return Err(Refusal::of_invalid_field("etags", detail));
        }
        let sha256 = body.sha256.map(|hash| hash.to_ascii_lowercase());
        let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !sha256.iter().all(is_hash) {
            return Err(Refusal::of_invalid_field("sha256", "accepted: 64 hexadecimal digits"));
        }
        Ok(Self { etags, sha256 })
    }
}

problems!(CreateProblems: FieldsMissing, FileEmpty, RequestInvalid, JsonInvalid, IdempotencyKeyInvalid, TokenMissing, TokenInvalid,
    TokenExpired, RequestTimeout, UploadsTooMany, PresignedUnavailable, IdempotencyKeyInUse, UploadTooLarge, BodyTooLarge,
    NotMedia, ContentTypeUnsupported, IdempotencyKeyReused, Unavailable, StorageFull);
problems!(SignProblems: RequestInvalid, JsonInvalid, TokenMissing, TokenInvalid, TokenExpired, UploadNotFound, RequestTimeout,
    BodyTooLarge, ContentTypeUnsupported, Unavailable);
problems!(CompleteProblems: FieldsMissing, RequestInvalid, JsonInvalid, TokenMissing, TokenInvalid, TokenExpired, UploadNotFound,
    RequestTimeout, UploadPartsInvalid, UploadInterrupted, BodyTooLarge, NotMedia, ContentTypeUnsupported, ChecksumMismatch,
    Unavailable, StorageFull);

fn new_upload(upload: &upload::Model) -> NewPresignedUpload {
    NewPresignedUpload {
        upload_id: upload.id.clone(),
        part_bytes: upload.part_bytes,
        parts: presigned::part_count(upload),
        expires_at: upload.expires_at().into(),
    }
}

/// Begins an upload whose parts the client writes to the bucket.
///
/// For installations whose storage is a bucket. Ask for URLs with `POST /api/uploads/{id}/parts`, write the parts
/// there, then call `POST /api/uploads/{id}/complete`.
#[utoipa::path(post, operation_id = "create_presigned_upload", path = "/uploads/presigned", tag = "uploads",
    params(IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = PresignedUploadBody, description = "The file"),
    responses((status = 201, description = "The upload", body = NewPresignedUpload), CreateProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    principal: Principal,
    key: IdempotencyKey,
    Body(new): Body<resumable::New>,
) -> Result<Created<NewPresignedUpload>, Error> {
    let (app, account, fingerprint) = (&state.app, principal.account, new.fingerprint.clone());
    let work = async |new, guard| resumable::create(app, &account.into(), new, guard, new_upload).await;
    let outcome = key.of(principal).once(app, new, async |_| Ok(fingerprint), work).await;
    Ok(Created(outcome?))
}

/// Signs URLs to which parts of a file are written.
///
/// A URL is valid for an hour. Each call lets the upload expire later.
#[utoipa::path(post, operation_id = "sign_upload_parts", path = "/uploads/{id}/parts", tag = "uploads",
    params(("id" = String, Path, description = "The id of the upload")), security(("bearer" = [])),
    request_body(content = SignPartsBody, description = "The parts"),
    responses((status = 200, description = "A URL for each part", body = SignedParts), SignProblems))]
pub(crate) async fn sign(
    State(state): State<AppState>,
    principal: Principal,
    UploadPath(id): UploadPath,
    Body(Numbers { first, count }): Body<Numbers>,
) -> Result<Json<SignedParts>, Error> {
    let urls_expire_at = SystemTime::now() + URL_LIFETIME;
    let signed = presigned::sign(&state.app, principal.account, &id, first, count).await?;
    let parts = signed.into_iter().map(|part| SignedPart {
        number: part.number,
        bytes: i64::try_from(part.bytes).unwrap_or(i64::MAX),
        url: part.url,
    });
    Ok(Json(SignedParts {
        parts: parts.collect(),
        urls_expire_at: urls_expire_at.into(),
    }))
}

/// Joins the parts of a file in the bucket and verifies it.
///
/// The length must be the announced one, the file must be media, and `sha256`, if it is given, must be its hash. The
/// service reads the whole file for that. While that takes longer than a request, the status is 202: repeat the call
/// until `complete` is true, then call `POST /api/tasks`.
#[utoipa::path(post, operation_id = "complete_upload", path = "/uploads/{id}/complete", tag = "uploads",
    params(("id" = String, Path, description = "The id of the upload")), security(("bearer" = [])),
    request_body(content = CompletePartsBody, description = "The parts that were written"),
    responses((status = 200, description = "The file is verified", body = PresignedUpload),
        (status = 202, description = "The file is being verified", body = PresignedUpload), CompleteProblems))]
pub(crate) async fn complete(
    State(state): State<AppState>,
    principal: Principal,
    UploadPath(id): UploadPath,
    Body(parts): Body<Parts>,
) -> Result<(StatusCode, Json<PresignedUpload>), Error> {
    let upload = presigned::complete(&state.app, principal.account, &id, parts).await?;
    let complete = upload.sha256.is_some();
    let status = if complete { StatusCode::OK } else { StatusCode::ACCEPTED };
    let reply = PresignedUpload {
        complete,
        bytes: upload.length_bytes.unwrap_or_default(),
        verified_bytes: upload.received_bytes,
        expires_at: upload.expires_at().into(),
        upload_id: upload.id,
        sha256: upload.sha256,
    };
    Ok((status, Json(reply)))
}
