//! The form of an import: a manifest, its kind and options, in any order.

use super::form::file_missing;
use super::multipart::{FormPart, FormReader};
use crate::AppState;
use crate::error::{Error, Refusal};
use app::idempotency::Fingerprint;
use app::imports::{self, Lookup, MAX_MANIFEST_BYTES, NewImport, Options};
use app::uploads::ManifestFile;
use axum::extract::{FromRequest, Request};
use domain::Code;
use domain::manifest::Kind;

/// The unread form of an import.
pub(crate) struct ManifestForm(FormReader);

impl FromRequest<AppState> for ManifestForm {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        FormReader::open(request, state, MAX_MANIFEST_BYTES).await.map(Self)
    }
}

/// The parts that were read.
struct Parts {
    file: Option<ManifestFile>,
    kind: Option<Kind>,
    is_dry_run: bool,
    again: bool,
    lookup: Lookup,
}

impl ManifestForm {
    /// Reads the form to its end and stores the file. After an error nothing stays in the storage.
    /// `kind` is that of a dataset; without it, the form has one.
    pub(crate) async fn receive(mut self, state: &AppState, kind: Option<Kind>) -> Result<NewImport, Error> {
        let mut parts = Parts {
            file: None,
            kind,
            is_dry_run: false,
            again: false,
            lookup: Lookup::default(),
        };
        let read = self.parts(state, &mut parts, kind.is_none()).await;
        match (read, parts.file, parts.kind) {
            (Ok(()), Some(file), Some(kind)) => Ok(NewImport {
                file,
                options: Options {
                    kind,
                    dataset: None,
                    is_dry_run: parts.is_dry_run,
                    again: parts.again,
                    lookup: parts.lookup,
                },
                fingerprint: self.0.fingerprint(),
            }),
            (read, file, _) => {
                let is_missing = file.is_none();
                if let Some(ManifestFile::New { file, .. }) = file {
                    file.discard().await;
                }
                read?;
                Err(if is_missing { file_missing() } else { kind_missing() }.into())
            }
        }
    }

    /// Reads the form to its end without storing anything; returns its fingerprint.
    pub(crate) async fn fingerprint(self) -> Result<Fingerprint, Error> {
        self.0.skip_to_end().await
    }

    async fn parts(&mut self, state: &AppState, parts: &mut Parts, has_kind: bool) -> Result<(), Error> {
        let declared = self.0.declared_bytes;
        while let Some(part) = self.0.next().await? {
            match part.name().as_str() {
                "file" if parts.file.is_none() => parts.file = Some(receive_file(part, state, declared).await?),
                "upload_id" if parts.file.is_none() => {
                    let id = part.text(Code::UploadNotFound).await?.trim().to_owned();
                    parts.file = (!id.is_empty()).then_some(ManifestFile::Upload(id));
                }
                "kind" if has_kind => parts.kind = Some(kind(part.text(Code::KindUnknown).await?.trim())?),
                "dry_run" => parts.is_dry_run = flag("dry_run", part.text(Code::RequestInvalid).await?.trim())?,
                "again" => parts.again = flag("again", part.text(Code::RequestInvalid).await?.trim())?,
                "lookup" if has_kind => {
                    let is_wanted = flag("lookup", part.text(Code::RequestInvalid).await?.trim())?;
                    parts.lookup.is_wanted = Some(is_wanted);
                }
                "on_lookup_failure" if has_kind => {
                    parts.lookup.is_required = on_failure(part.text(Code::RequestInvalid).await?.trim())?;
                }
                "file" | "upload_id" => {
                    let second = Refusal::new(Code::MultipartInvalid).detail("more than one file");
                    return Err(second.field("file", Code::MultipartInvalid).into());
                }
                _ if has_kind => {
                    let accepted = "file, upload_id, kind, dry_run, again, lookup, on_lookup_failure";
                    return Err(part.unknown_part(accepted).into());
                }
                _ => return Err(part.unknown_part("file, upload_id, dry_run, again").into()),
            }
        }
        Ok(())
    }
}

fn kind(text: &str) -> Result<Kind, Refusal> {
    // Datasets have an operation of their own, which knows their columns.
    let of_videos = text
        .parse()
        .ok()
        .filter(|kind| matches!(kind, Kind::Videos | Kind::Metadata));
    of_videos.ok_or_else(|| {
        let given: String = text.chars().take(100).collect();
        let detail = format!("{given:?}; {}", domain::manifest::UnknownKind);
        Refusal::new(Code::KindUnknown)
            .field("kind", Code::KindUnknown)
            .detail(detail)
    })
}

fn kind_missing() -> Refusal {
    let refusal = Refusal::new(Code::KindUnknown).field("kind", Code::KindUnknown);
    refusal.detail(format!("missing; {}", domain::manifest::UnknownKind))
}

fn flag(name: &str, text: &str) -> Result<bool, Refusal> {
    match text {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err(refused(name, text, "true, false")),
    }
}

/// Returns `true` if a row whose lookup fails has an error.
fn on_failure(text: &str) -> Result<bool, Refusal> {
    match text {
        "fail" => Ok(true),
        "continue" | "" => Ok(false),
        _ => Err(refused("on_lookup_failure", text, "continue, fail")),
    }
}

fn refused(name: &str, text: &str, accepted: &str) -> Refusal {
    let given: String = text.chars().take(100).collect();
    Refusal::of_invalid_field(name, format!("{given:?}; accepted: {accepted}"))
}

async fn receive_file(
    part: FormPart<'_>,
    state: &AppState,
    declared_bytes: Option<u64>,
) -> Result<ManifestFile, Error> {
    let given_name = part.file_name();
    let chunks = futures::stream::try_unfold(part, async |mut part| {
        let chunk = part.chunk().await.map_err(|error: Error| error.0)?;
        Ok::<_, app::Error>(chunk.map(|chunk| (chunk, part)))
    });
    let file = imports::store(&state.app, chunks, declared_bytes).await?;
    let file = Box::new(file);
    Ok(ManifestFile::New { given_name, file })
}
