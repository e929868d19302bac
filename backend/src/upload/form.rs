//! The form of a new task: a file or a resumable upload, and a preset or a recipe, in any order.

use super::multipart::{FormPart, FormReader};
use super::webhook_url::webhook_url;
use crate::AppState;
use crate::error::{Error, Refusal};
use app::idempotency::Fingerprint;
use app::recipe_choice::{RecipeChoice, check_names};
use app::uploads::{self, File, Upload};
use app::webhooks::WebhookUrl;
use axum::extract::{FromRequest, Request};
use domain::{Code, UserId};
use futures::StreamExt;

/// The unread form of a video upload.
pub(crate) struct Form(FormReader);

impl FromRequest<AppState> for Form {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        let limit = state.app.settings.limits.max_upload_bytes;
        FormReader::open(request, state, limit).await.map(Self)
    }
}

impl Form {
    /// Reads the form to its end and stores the file. After an error nothing stays in the storage.
    pub(crate) async fn receive(mut self, state: &AppState, user: UserId) -> Result<Upload, Error> {
        let (mut file, mut webhook_url) = (None, None);
        match self.parts(state, user, &mut file, &mut webhook_url).await {
            Ok(choice) => Ok(Upload {
                file: file.ok_or_else(file_missing)?,
                choice,
                webhook_url,
                fingerprint: self.0.fingerprint(),
                imported: None,
            }),
            Err(error) => {
                if let Some(File::New { file, .. }) = file {
                    file.discard().await;
                }
                Err(error)
            }
        }
    }

    /// Reads the form to its end without storing anything; returns its fingerprint.
    pub(crate) async fn fingerprint(self) -> Result<Fingerprint, Error> {
        self.0.skip_to_end().await
    }

    /// Reads every part. Empty fields count as absent, because browsers send fields that were left empty.
    async fn parts(
        &mut self,
        state: &AppState,
        user: UserId,
        file: &mut Option<File>,
        url: &mut Option<WebhookUrl>,
    ) -> Result<RecipeChoice, Error> {
        let (mut choice, declared) = (RecipeChoice::default(), self.0.declared_bytes);
        // An unknown part before the file is reported when the file arrives: without a file, the missing file is
        // reported.
        let mut unknown = None;
        while let Some(part) = self.0.next().await? {
            let new_choice = match part.name().as_str() {
                "file" | "video" | "fileName" if unknown.is_none() && file.is_none() => {
                    *file = receive_file(part, state, declared).await?;
                    continue;
                }
                "upload_id" if unknown.is_none() && file.is_none() => {
                    let id = part.text(Code::UploadNotFound).await?.trim().to_owned();
                    *file = (!id.is_empty()).then_some(File::Upload(id));
                    continue;
                }
                "file" | "video" | "fileName" | "upload_id" => {
                    let second = Refusal::new(Code::MultipartInvalid).detail("more than one file");
                    return Err(unknown.unwrap_or(second.field("file", Code::MultipartInvalid)).into());
                }
                "webhook_url" => {
                    *url = webhook_url(state, Some(part.text(Code::WebhookUrlInvalid).await?))?;
                    continue;
                }
                "preset" => match part.text(Code::PresetUnknown).await?.trim() {
                    "" => continue,
                    name => {
                        state
                            .app
                            .with_timeout(RecipeChoice::preset(&state.app, user, name))
                            .await?
                    }
                },
                "recipe" => match part.text(Code::RecipeInvalid).await?.trim() {
                    "" => continue,
                    recipe => RecipeChoice::from_json(recipe)?,
                },
                _ => {
                    let refusal = part.unknown_part("file, upload_id, preset, recipe, webhook_url");
                    if file.is_some() || unknown.is_some() {
                        return Err(refusal.into());
                    }
                    part.skip(refusal.clone()).await?;
                    unknown = Some(refusal);
                    continue;
                }
            };
            choice = new_choice.replacing(&choice)?;
            // The transaction that creates the task checks this again. The check here saves a client that sends the
            // file last from sending it in vain.
            if let RecipeChoice::Preset(_, recipe) | RecipeChoice::Own(recipe) = &choice {
                state.app.with_timeout(check_names(&state.app.db, user, recipe)).await?;
            }
        }
        Ok(choice)
    }
}

/// The refusal of a request without a file.
pub(super) fn file_missing() -> Refusal {
    Refusal::new(Code::FileMissing).field("file", Code::FileMissing)
}

/// Stores the file of a part. `None` for the empty part that a browser sends when no file was chosen.
async fn receive_file(
    mut part: FormPart<'_>,
    state: &AppState,
    declared_bytes: Option<u64>,
) -> Result<Option<File>, Error> {
    let given_name = part.file_name();
    let first = loop {
        match part.chunk().await? {
            // The parser gives the content of an empty part as an empty chunk.
            Some(chunk) if chunk.is_empty() => {}
            first => break first,
        }
    };
    if first.is_none() && given_name.is_empty() {
        return Ok(None);
    }
    let rest = futures::stream::try_unfold(part, async |mut part| {
        let chunk = part.chunk().await.map_err(|error: Error| error.0)?;
        Ok(chunk.map(|chunk| (chunk, part)))
    });
    let whole = futures::stream::iter(first.map(Ok)).chain(rest);
    let file = uploads::store(&state.app, whole, declared_bytes).await;
    let file = file.map_err(|error| with_hint(error, &given_name))?;
    let file = Box::new(file);
    Ok(Some(File::New { given_name, file }))
}

/// Adds a hint to the refusal of a part that is no media and has no file name: it may be the path of a file.
fn with_hint(error: app::Error, given_name: &str) -> app::Error {
    match error {
        app::Error::Client(refusal) if refusal.code == Code::NotMedia && given_name.is_empty() => {
            let hint = "the part has no file name (curl sends a file with `-F file=@PATH`)";
            let detail = format!("{hint}; {}", refusal.detail.as_deref().unwrap_or_default());
            refusal.detail(detail).into()
        }
        error => error,
    }
}
