//! The body of a request that creates a task: a form with a file, or JSON that names an upload or a URL.

use super::form::{Form, file_missing};
use super::webhook_url::webhook_url;
use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{FromBody, Json};
use api::uploads::NewTaskBody;
use app::idempotency::Fingerprint;
use app::recipe_choice::RecipeChoice;
use app::uploads::fetched::NewFetch;
use app::uploads::{File, Upload};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use domain::{Code, UserId};
use serde_json::Value;

/// The detail about a field that only a URL has.
const TOGETHER: &str = "accepted: together with `source_url`";

/// The body of a request that creates a task, now or when its file is fetched.
pub(crate) enum TaskBody {
    /// The file is in the body, or here already.
    File(FileBody),
    /// A worker fetches the file.
    Fetch(SourceUrl),
}

/// The unread body of a request that creates a task now.
pub(crate) enum FileBody {
    /// A form with a file.
    Form(Form),
    /// A resumable upload that is complete.
    Upload(NewTaskBody),
}

/// A URL with the body that contains it.
pub(crate) struct SourceUrl {
    url: String,
    body: NewTaskBody,
}

impl FromBody for NewTaskBody {
    type Wire = Self;

    fn check(body: Self) -> Result<Self, Refusal> {
        match (&body.upload_id, &body.source_url) {
            (None, None) => {
                let accepted = "a multipart form with a part `file`, or JSON with an `upload_id` or a `source_url`";
                return Err(file_missing().detail(format!("accepted: {accepted}")));
            }
            (Some(_), Some(_)) => return Err(invalid("source_url", "accepted: instead of `upload_id`")),
            (Some(_), None) if body.headers.is_some() => return Err(invalid("headers", TOGETHER)),
            (Some(_), None) if body.file_name.is_some() => return Err(invalid("file_name", TOGETHER)),
            (Some(_), None) | (None, Some(_)) => {}
        }
        if body.preset.is_some() && body.recipe.is_some() {
            return Err(Refusal::new(Code::PresetAndRecipe));
        }
        Ok(body)
    }
}

impl FromRequest<AppState> for TaskBody {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        let kind = request.headers().get(CONTENT_TYPE);
        let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        if is_json {
            let Json(body) = Json::<NewTaskBody>::from_request(request, state).await?;
            return Ok(match body.source_url.clone() {
                Some(url) => Self::Fetch(SourceUrl { url, body }),
                None => Self::File(FileBody::Upload(body)),
            });
        }
        let form = Form::from_request(request, state).await?;
        Ok(Self::File(FileBody::Form(form)))
    }
}

impl FileBody {
    /// Reads the body to its end; stores the file of a form. After an error nothing stays in the storage.
    pub(crate) async fn receive(self, state: &AppState, user: UserId) -> Result<Upload, Error> {
        match self {
            Self::Form(form) => form.receive(state, user).await,
            Self::Upload(body) => {
                let fingerprint = fingerprint(&body)?;
                let webhook_url = webhook_url(state, body.webhook_url)?;
                let choice = choice(state, user, body.preset, body.recipe).await?;
                let file = File::Upload(body.upload_id.unwrap_or_default());
                Ok(Upload {
                    file,
                    choice,
                    webhook_url,
                    fingerprint,
                    imported: None,
                })
            }
        }
    }

    /// Reads the body to its end without storing anything; returns its fingerprint.
    pub(crate) async fn fingerprint(self) -> Result<Fingerprint, Error> {
        match self {
            Self::Form(form) => form.fingerprint().await,
            Self::Upload(body) => fingerprint(&body),
        }
    }
}

impl SourceUrl {
    /// The hash of the body.
    pub(crate) fn fingerprint(&self) -> Result<Fingerprint, Error> {
        fingerprint(&self.body)
    }

    /// The file to fetch, with its recipe.
    pub(crate) async fn receive(self, state: &AppState, user: UserId) -> Result<NewFetch, Error> {
        let fingerprint = self.fingerprint()?;
        let Self { url, body } = self;
        Ok(NewFetch {
            url,
            headers: body.headers.unwrap_or_default().into_iter().collect(),
            file_name: body.file_name,
            webhook_url: webhook_url(state, body.webhook_url)?,
            choice: choice(state, user, body.preset, body.recipe).await?,
            fingerprint,
            row: None,
        })
    }
}

fn fingerprint(body: &NewTaskBody) -> Result<Fingerprint, Error> {
    let body = serde_json::to_value(body).map_err(anyhow::Error::from)?;
    Ok(Fingerprint::of(&body))
}

/// The recipe of a body with a preset or a recipe.
pub(crate) async fn choice(
    state: &AppState,
    user: UserId,
    preset: Option<String>,
    recipe: Option<Value>,
) -> Result<RecipeChoice, Error> {
    match (preset, recipe) {
        (Some(preset), _) => {
            let preset = RecipeChoice::preset(&state.app, user, &preset);
            Ok(state.app.with_timeout(preset).await?)
        }
        (None, Some(recipe)) => Ok(RecipeChoice::from_json(&recipe.to_string())?),
        (None, None) => Ok(RecipeChoice::Default),
    }
}

fn invalid(field: &str, accepted: &str) -> Refusal {
    Refusal::of_invalid_field(field, accepted)
}
