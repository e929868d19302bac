//! The parts of a multipart form (RFC 7578), one after the other and on a short rein.

use super::body::{AROUND_BYTES, Rein};
use super::name;
use super::stored::too_large;
use crate::AppState;
use crate::error::{Error, Refusal};
use crate::once::{self, Mark};
use axum::body::Body;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use domain::Code;
use sha2::{Digest, Sha256};
use std::sync::{Mutex, PoisonError};

const TEXT_BYTES: usize = 64 << 10;

/// A form that has not been read yet.
pub(super) struct Parts {
    multipart: Multipart,
    rein: Rein,
    marks: Option<Marks>,
    /// How long the whole form says it is.
    pub(super) declared_bytes: Option<u64>,
}

/// A part that is being read.
pub(super) struct Part<'a> {
    field: Field<'a>,
    rein: &'a Rein,
    /// Where its own hash goes in the end, and that hash.
    mark: Option<(&'a Marks, Sha256)>,
}

/// The hash of all parts so far: names, file names and contents, in their order. It is no hash of the bytes of the form:
/// a client that sends its form again makes up another boundary.
#[derive(Default)]
struct Marks(Mutex<Sha256>);

impl Marks {
    fn add(&self, field: &Field<'_>, content: Sha256) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file_name = name::of_part(field.headers()).unwrap_or_default();
        for text in [field.name().unwrap_or_default(), &file_name] {
            all.update(text.len().to_be_bytes());
            all.update(text);
        }
        all.update(content.finalize());
    }
}

impl Parts {
    /// Begins a form whose file has at most `limit_bytes`.
    pub(super) async fn open(request: Request, state: &AppState, limit_bytes: u64) -> Result<Self, Error> {
        is_multipart(request.headers())?;
        let declared = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|bytes: u64| bytes > limit_bytes.saturating_add(AROUND_BYTES)) {
            return Err(too_large(limit_bytes).into());
        }
        let rein = Rein::new(limit_bytes);
        let marks = request.headers().contains_key(once::KEY).then(Marks::default);
        let idle = state.config.upload_idle;
        let mut request = request.map(|body| Body::from_stream(rein.hold(body, idle)));
        DefaultBodyLimit::disable().apply(&mut request);
        let multipart = Multipart::from_request(request, state).await;
        let multipart =
            multipart.map_err(|_| Refusal::new(Code::MultipartInvalid).detail("no boundary in the content type"))?;
        Ok(Self {
            multipart,
            rein,
            marks,
            declared_bytes: declared,
        })
    }

    /// What the form said; nothing unless it came under a key. Call it behind the last part.
    pub(super) fn mark(&mut self) -> Mark {
        let all = self.marks.take().map(|marks| marks.0.into_inner());
        all.map_or_else(Mark::default, |all| all.unwrap_or_else(PoisonError::into_inner).into())
    }

    /// Reads the form to its end and keeps nothing of it but what it said.
    pub(super) async fn pass_over(mut self) -> Result<Mark, Error> {
        while let Some(mut part) = self.next().await? {
            while part.chunk().await?.is_some() {}
        }
        Ok(self.mark())
    }

    /// The next part; `None` at the end of the form.
    pub(super) async fn next(&mut self) -> Result<Option<Part<'_>>, Error> {
        self.rein.loosen();
        let next = self.multipart.next_field().await;
        let field = next.map_err(|error| broken(&error, &self.rein))?;
        // A header is read; what has come behind it already belongs to the part.
        self.rein.loosen();
        let (rein, marks) = (&self.rein, self.marks.as_ref());
        Ok(field.map(|field| Part {
            field,
            rein,
            mark: marks.map(|marks| (marks, Sha256::new())),
        }))
    }
}

impl Part<'_> {
    /// Its name in the form.
    pub(super) fn name(&self) -> String {
        self.field.name().unwrap_or_default().to_owned()
    }

    /// The file name that it bears.
    pub(super) fn file_name(&self) -> String {
        name::of_part(self.field.headers()).unwrap_or_default()
    }

    /// The next piece of it.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = self.field.chunk().await.map_err(|error| broken(&error, self.rein))?;
        self.rein.loosen();
        match &chunk {
            Some(chunk) => {
                if let Some((_, content)) = &mut self.mark {
                    content.update(chunk);
                }
            }
            None => {
                if let Some((marks, content)) = self.mark.take() {
                    marks.add(&self.field, content);
                }
            }
        }
        Ok(chunk)
    }

    /// All of it, unless that is more than `limit_bytes`.
    pub(super) async fn whole(mut self, limit_bytes: usize, refusal: Refusal) -> Result<Bytes, Error> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > limit_bytes {
                return Err(refusal.into());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// All of it as a text; `code` refuses anything else.
    pub(super) async fn text(self, code: Code) -> Result<String, Error> {
        let too_long = Refusal::new(code).detail(format!("accepted: up to {TEXT_BYTES} bytes"));
        let text = String::from_utf8(self.whole(TEXT_BYTES, too_long).await?.into());
        text.map_err(|_| Refusal::new(code).detail("the part is no UTF-8 text").into())
    }

    /// Passes over it, unless it is long.
    pub(super) async fn pass(self, refusal: Refusal) -> Result<(), Error> {
        self.whole(TEXT_BYTES, refusal).await.map(drop)
    }

    /// The refusal of a part that the form does not have.
    pub(super) fn unknown(&self, accepted: &str) -> Refusal {
        let given: String = self.name().chars().take(100).collect();
        let detail = format!("{given}; accepted: {accepted}");
        Refusal::new(Code::PartUnknown)
            .detail(detail)
            .field(given, Code::PartUnknown)
    }
}

/// A request without a body, or with a form that cannot hold files, has no file part; any other body is of the wrong type.
fn is_multipart(headers: &HeaderMap) -> Result<(), Refusal> {
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

/// A form that cannot be read on: cut off by us, broken off by the client, or no form.
fn broken(error: &MultipartError, rein: &Rein) -> Error {
    let detail = match rein.cut() {
        Some(Code::RequestTimeout) => {
            return Refusal::new(Code::RequestTimeout)
                .detail("the upload paused for too long")
                .into();
        }
        Some(Code::UploadTooLarge) => return too_large(rein.limit_bytes()).into(),
        Some(_) => "the header of a part is too long".to_owned(),
        None if error.status().is_server_error() => "the body broke off".to_owned(),
        None => "the form ends early, or a header or a boundary is malformed (RFC 7578)".to_owned(),
    };
    Refusal::new(Code::MultipartInvalid).detail(detail).into()
}
