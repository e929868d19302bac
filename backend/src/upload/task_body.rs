//! The body of a request that creates a task: a form with a file, or JSON that names a resumable upload.

use super::form::{Form, file_missing};
use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{FromBody, Json};
use app::idempotency::Fingerprint;
use app::recipe_choice::RecipeChoice;
use app::uploads::{File, Upload};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use domain::{Code, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The unread body of a request that creates a task.
pub(crate) enum TaskBody {
    /// A form with a file.
    Form(Form),
    /// A resumable upload.
    Upload(TaskOfUpload),
}

/// A task of a resumable upload that is complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskOfUpload {
    /// The last part of the address of the upload.
    upload_id: Option<String>,
    /// The name of a preset; not together with `recipe`. If both are absent, the default preset is used.
    preset: Option<String>,
    /// A recipe; not together with `preset`.
    recipe: Option<Value>,
}

impl FromBody for TaskOfUpload {
    type Wire = Self;

    fn check(body: Self) -> Result<Self, Refusal> {
        if body.upload_id.is_none() {
            return Err(
                file_missing().detail("accepted: a multipart form with a part `file`, or JSON with an `upload_id`")
            );
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
            let Json(body) = Json::from_request(request, state).await?;
            return Ok(Self::Upload(body));
        }
        Form::from_request(request, state).await.map(Self::Form)
    }
}

impl TaskBody {
    /// Reads the body to its end; stores the file of a form. After an error nothing stays in the storage.
    pub(crate) async fn receive(self, state: &AppState, user: UserId) -> Result<Upload, Error> {
        match self {
            Self::Form(form) => form.receive(state, user).await,
            Self::Upload(body) => body.receive(state, user).await,
        }
    }

    /// Reads the body to its end without storing anything; returns its fingerprint.
    pub(crate) async fn fingerprint(self) -> Result<Fingerprint, Error> {
        match self {
            Self::Form(form) => form.fingerprint().await,
            Self::Upload(body) => body.fingerprint(),
        }
    }
}

impl TaskOfUpload {
    fn fingerprint(&self) -> Result<Fingerprint, Error> {
        let body = serde_json::to_value(self).map_err(anyhow::Error::from)?;
        Ok(Fingerprint::of(&body))
    }

    async fn receive(self, state: &AppState, user: UserId) -> Result<Upload, Error> {
        let fingerprint = self.fingerprint()?;
        let choice = match (self.preset, self.recipe) {
            (Some(preset), _) => {
                let preset = RecipeChoice::preset(&state.app, user, &preset);
                state.app.with_timeout(preset).await?
            }
            (None, Some(recipe)) => RecipeChoice::from_json(&recipe.to_string())?,
            (None, None) => RecipeChoice::Default,
        };
        Ok(Upload {
            file: File::Upload(self.upload_id.unwrap_or_default()),
            choice,
            fingerprint,
        })
    }
}
