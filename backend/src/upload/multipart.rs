//! Reads the parts of a multipart form (RFC 7578) one after the other, with limits on the body and a hash of the
//! content.

use super::file_name;
use super::limited_body::{BodyLimit, OVERHEAD_BYTES};
use crate::AppState;
use crate::error::{Error, Refusal};
use crate::idempotency;
use crate::request_guards::{UploadPaused, is_paused};
use app::idempotency::Fingerprint;
use app::too_large;
use axum::body::Body;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use domain::Code;
use sha2::{Digest, Sha256};
use std::sync::{Mutex, PoisonError};

/// Maximum size of a text part.
const TEXT_BYTES: u64 = 64 << 10;

/// A reader of a form, at its start or between two parts.
pub(super) struct FormReader {
    multipart: Multipart,
    limit: BodyLimit,
    /// Set for requests with an idempotency key, which need a fingerprint.
    form_hash: Option<FormHash>,
    /// The `Content-Length` of the form.
    pub(super) declared_bytes: Option<u64>,
}

/// A part that is being read.
pub(super) struct FormPart<'a> {
    field: Field<'a>,
    limit: &'a BodyLimit,
    /// The hash of the part so far, and the hash of the form to which it will be added.
    content_hash: Option<(&'a FormHash, Sha256)>,
}

/// The hash of all parts so far: names, file names and contents, in order. It does not cover the raw bytes of the form,
/// because a client chooses a new boundary when it sends the form again.
#[derive(Default)]
struct FormHash(Mutex<Sha256>);

impl FormHash {
    fn add(&self, field: &Field<'_>, content: Sha256) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file_name = file_name::from_part_headers(field.headers()).unwrap_or_default();
        for text in [field.name().unwrap_or_default(), &file_name] {
            all.update(text.len().to_be_bytes());
            all.update(text);
        }
        all.update(content.finalize());
    }
}

impl FormReader {
    /// Starts to read a form whose file has at most `limit_bytes`.
    ///
    /// # Errors
    /// `file_missing` or `content_type_unsupported` when the body is not multipart; `upload_too_large` by
    /// `Content-Length`.
    pub(super) async fn open(request: Request, state: &AppState, limit_bytes: u64) -> Result<Self, Error> {
        check_media_type(request.headers())?;
        let declared = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|bytes: u64| bytes > limit_bytes.saturating_add(OVERHEAD_BYTES)) {
            return Err(too_large(limit_bytes).into());
        }
        let limit = BodyLimit::new(limit_bytes);
        let form_hash = request
            .headers()
            .contains_key(idempotency::KEY_HEADER)
            .then(FormHash::default);
        let mut request = request.map(|body| Body::from_stream(limit.apply(body)));
        DefaultBodyLimit::disable().apply(&mut request);
        let multipart = Multipart::from_request(request, state).await;
        let multipart =
            multipart.map_err(|_| Refusal::new(Code::MultipartInvalid).detail("the content type has no boundary"))?;
        Ok(Self {
            multipart,
            limit,
            form_hash,
            declared_bytes: declared,
        })
    }

    /// The fingerprint of the form; the default one without an idempotency key. Call it after the last part.
    pub(super) fn fingerprint(&mut self) -> Fingerprint {
        let all = self.form_hash.take().map(|form_hash| form_hash.0.into_inner());
        all.map_or_else(Fingerprint::default, |all| {
            all.unwrap_or_else(PoisonError::into_inner).into()
        })
    }

    /// Reads and discards the rest of the form; returns its fingerprint.
    pub(super) async fn skip_to_end(mut self) -> Result<Fingerprint, Error> {
        while let Some(mut part) = self.next().await? {
            while part.chunk().await?.is_some() {}
        }
        Ok(self.fingerprint())
    }

    /// The next part; `None` at the end of the form.
    pub(super) async fn next(&mut self) -> Result<Option<FormPart<'_>>, Error> {
        self.limit.reset_unparsed();
        let next = self.multipart.next_field().await;
        let field = next.map_err(|error| broken_form(&error, &self.limit))?;
        // The parser has read the header of the part, which is progress.
        self.limit.reset_unparsed();
        let (limit, form_hash) = (&self.limit, self.form_hash.as_ref());
        Ok(field.map(|field| FormPart {
            field,
            limit,
            content_hash: form_hash.map(|form_hash| (form_hash, Sha256::new())),
        }))
    }
}

impl FormPart<'_> {
    /// The name of the part.
    pub(super) fn name(&self) -> String {
        self.field.name().unwrap_or_default().to_owned()
    }

    /// The file name of the part; empty when it has none.
    pub(super) fn file_name(&self) -> String {
        file_name::from_part_headers(self.field.headers()).unwrap_or_default()
    }

    /// The next chunk; `None` at the end of the part.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = self
            .field
            .chunk()
            .await
            .map_err(|error| broken_form(&error, self.limit))?;
        self.limit.reset_unparsed();
        match &chunk {
            Some(chunk) => {
                if let Some((_, content)) = &mut self.content_hash {
                    content.update(chunk);
                }
            }
            None => {
                if let Some((form_hash, content)) = self.content_hash.take() {
                    form_hash.add(&self.field, content);
                }
            }
        }
        Ok(chunk)
    }

    /// Reads the whole part into memory.
    ///
    /// # Errors
    /// `refusal` when it has more than `limit_bytes`.
    pub(super) async fn read_all(mut self, limit_bytes: u64, refusal: Refusal) -> Result<Bytes, Error> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if (whole.len() + chunk.len()) as u64 > limit_bytes {
                return Err(refusal.into());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// Reads the part as UTF-8 text of at most 64 KiB.
    ///
    /// # Errors
    /// `code` for a longer part or other bytes.
    pub(super) async fn text(self, code: Code) -> Result<String, Error> {
        let too_long = Refusal::new(code).detail(format!("accepted: up to {TEXT_BYTES} bytes"));
        let text = String::from_utf8(self.read_all(TEXT_BYTES, too_long).await?.into());
        text.map_err(|_| Refusal::new(code).detail("the part is not UTF-8 text").into())
    }

    /// Discards the part.
    ///
    /// # Errors
    /// `refusal` when it has more than 64 KiB.
    pub(super) async fn skip(self, refusal: Refusal) -> Result<(), Error> {
        self.read_all(TEXT_BYTES, refusal).await.map(drop)
    }

    /// The refusal of a part with an unknown name.
    pub(super) fn unknown_part(&self, accepted: &str) -> Refusal {
        let given: String = self.name().chars().take(100).collect();
        let detail = format!("{given}; accepted: {accepted}");
        Refusal::new(Code::PartUnknown)
            .detail(detail)
            .field(given, Code::PartUnknown)
    }
}

/// Checks the media type. A request without a body or with a URL-encoded form is refused as one without a file, because
/// that is the mistake of its author; any other type is unsupported.
fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("none");
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let code = match essence.as_str() {
        "multipart/form-data" => return Ok(()),
        "none" | "application/x-www-form-urlencoded" => Code::FileMissing,
        _ => Code::ContentTypeUnsupported,
    };
    Err(Refusal::new(code).detail(format!("{kind}; accepted: multipart/form-data with a part `file`")))
}

/// The refusal of a form that cannot be read further: it exceeds a limit, the connection broke, or the form is
/// malformed.
fn broken_form(error: &MultipartError, limit: &BodyLimit) -> Error {
    if is_paused(error) {
        return Refusal::new(Code::RequestTimeout)
            .detail(UploadPaused.to_string())
            .into();
    }
    let detail = match limit.cut_off_code() {
        Some(Code::UploadTooLarge) => return too_large(limit.file_limit_bytes()).into(),
        Some(_) => "the header of a part is too long".to_owned(),
        None if error.status().is_server_error() => "the body ended early".to_owned(),
        None => "the form ends early, or a header or a boundary is malformed (RFC 7578)".to_owned(),
    };
    Refusal::new(Code::MultipartInvalid).detail(detail).into()
}
