//! The multipart form of an upload (RFC 7578), its parts in any order.

use super::body::Rein;
use super::choice::Choice;
use super::stored::{NewSource, too_large};
use super::{name, sniff};
use crate::AppState;
use crate::error::{Error, Refusal};
use axum::body::Body;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use domain::Code;
use futures::{StreamExt, TryStreamExt};

/// What may surround the file in the form.
const AROUND_BYTES: u64 = 1 << 20;
const TEXT_BYTES: usize = 64 << 10;

/// An upload form that has not been read yet.
pub(crate) struct Form {
    multipart: Multipart,
    rein: Rein,
    declared_bytes: Option<u64>,
}

/// What a form brought.
pub(crate) struct Upload {
    /// The file name as its user gave it.
    pub(crate) display_name: String,
    /// The same, safe in a URL.
    pub(crate) safe_name: String,
    /// The stored file.
    pub(crate) source: NewSource,
    /// What is to be done with it.
    pub(crate) choice: Choice,
}

struct File {
    given_name: String,
    source: NewSource,
}

impl FromRequest<AppState> for Form {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        is_multipart(request.headers())?;
        let limit = state.config.limits.max_upload_bytes;
        let declared = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|bytes: u64| bytes > limit.saturating_add(AROUND_BYTES)) {
            return Err(too_large(limit).into());
        }
        let rein = Rein::default();
        let idle = state.config.upload_idle;
        let mut request = request.map(|body| Body::from_stream(rein.hold(body, idle)));
        DefaultBodyLimit::disable().apply(&mut request);
        let multipart = Multipart::from_request(request, state).await;
        let multipart = multipart.map_err(|error| Refusal::new(Code::MultipartInvalid).detail(error.body_text()))?;
        Ok(Self {
            multipart,
            rein,
            declared_bytes: declared,
        })
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

impl Form {
    /// Reads the form to its end and stores the file. Nothing stays in storage after a refusal.
    pub(crate) async fn receive(mut self, state: &AppState) -> Result<Upload, Error> {
        let (mut file, mut choice) = (None, Choice::default());
        match self.parts(state, &mut file, &mut choice).await {
            Ok(()) => {
                let File { given_name, source } =
                    file.ok_or_else(|| Refusal::new(Code::FileMissing).field("file", Code::FileMissing))?;
                let (display_name, safe_name) = (name::display(&given_name), name::safe(&given_name));
                Ok(Upload {
                    display_name,
                    safe_name,
                    source,
                    choice,
                })
            }
            Err(error) => {
                if let Some(file) = file {
                    file.source.discard().await;
                }
                Err(error)
            }
        }
    }

    async fn parts(&mut self, state: &AppState, file: &mut Option<File>, choice: &mut Choice) -> Result<(), Error> {
        loop {
            self.rein.loosen();
            let next = self.multipart.next_field().await;
            let Some(field) = next.map_err(|error| broken(&error, &self.rein))? else {
                return Ok(());
            };
            // A header is read; what has come behind it already belongs to the part.
            self.rein.loosen();
            let mut part = Part {
                field,
                rein: &self.rein,
            };
            match part.field.name().unwrap_or_default() {
                "file" | "video" | "fileName" if file.is_none() => {
                    *file = part.file(state, self.declared_bytes).await?;
                }
                "file" | "video" | "fileName" => {
                    return Err(Refusal::new(Code::MultipartInvalid).detail("more than one file").into());
                }
                "preset" => choice.preset(&part.text(Code::PresetUnknown).await?)?,
                "recipe" => choice.recipe(&part.text(Code::RecipeInvalid).await?)?,
                other => {
                    let given: String = other.chars().take(100).collect();
                    let detail = format!("{given}; accepted: file, preset, recipe");
                    return Err(Refusal::new(Code::PartUnknown)
                        .detail(detail)
                        .field(given, Code::PartUnknown)
                        .into());
                }
            }
        }
    }
}

/// A part that is being read.
struct Part<'a> {
    field: Field<'a>,
    rein: &'a Rein,
}

impl Part<'_> {
    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = self.field.chunk().await.map_err(|error| broken(&error, self.rein));
        self.rein.loosen();
        chunk
    }

    async fn text(&mut self, refusal: Code) -> Result<String, Error> {
        let mut text = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if text.len() + chunk.len() > TEXT_BYTES {
                return Err(Refusal::new(refusal)
                    .detail(format!("accepted: up to {TEXT_BYTES} bytes"))
                    .into());
            }
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(text.into());
        text.map_err(|_| Refusal::new(refusal).detail("the part is no UTF-8 text").into())
    }

    /// The file, stored; `None` for the empty part of a browser in which no file was chosen.
    async fn file(mut self, state: &AppState, declared_bytes: Option<u64>) -> Result<Option<File>, Error> {
        let given_name = name::of_part(self.field.headers()).unwrap_or_default();
        let mut head = BytesMut::new();
        while head.len() < sniff::PEEK_BYTES
            && let Some(chunk) = self.chunk().await?
        {
            head.extend_from_slice(&chunk);
        }
        if head.is_empty() && given_name.is_empty() {
            return Ok(None);
        }
        if head.is_empty() {
            return Err(Refusal::new(Code::FileEmpty).field("file", Code::FileEmpty).into());
        }
        if sniff::container(&head).is_none() {
            let accepted =
                "accepted: MP4, QuickTime, Matroska, WebM, MPEG-TS, MPEG-PS, AVI, FLV, Ogg, WAV, MP3, AAC, FLAC, ASF";
            return Err(Refusal::new(Code::NotMedia)
                .detail(accepted)
                .field("file", Code::NotMedia)
                .into());
        }
        let rest = futures::stream::try_unfold(self, async |mut part| {
            Ok(part.chunk().await?.map(|chunk| (chunk, part)))
        });
        let whole = futures::stream::iter([Ok(head.freeze())])
            .chain(rest)
            .inspect_ok(|chunk: &Bytes| {
                metrics::counter!("rushes_upload_bytes_total").increment(chunk.len() as u64);
            });
        let source = NewSource::put(state, whole, declared_bytes).await?;
        Ok(Some(File { given_name, source }))
    }
}

/// A form that cannot be read on: cut off by us, broken off by the client, or no form.
fn broken(error: &MultipartError, rein: &Rein) -> Error {
    let detail = match rein.cut() {
        Some(Code::RequestTimeout) => {
            return Refusal::new(Code::RequestTimeout)
                .detail("the upload paused for too long")
                .into();
        }
        Some(_) => "the header of a part is too long".to_owned(),
        None if error.status().is_server_error() => "the body broke off".to_owned(),
        None => error.body_text(),
    };
    Refusal::new(Code::MultipartInvalid).detail(detail).into()
}
