//! Creates tasks from files that are the whole body of a request, for clients such as `curl -T`.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::Principal;
use crate::idempotency::{Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::{Binary, problems};
use crate::routes::uploads::uploaded;
use crate::tus;
use crate::upload::webhook_url;
use api::uploads::Uploaded;
use app::idempotency::Fingerprint;
use app::recipe_choice::RecipeChoice;
use app::too_large;
use app::uploads::{self, File, Upload};
use app::webhooks::WebhookUrl;
use axum::body::Body;
use axum::extract::{FromRequest, Query, Request, State};
use axum::http::header::CONTENT_LENGTH;
use domain::{Code, UserId};
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

/// The query of a raw upload.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawQuery {
    /// The name of the file.
    name: Option<String>,
    /// The name of a preset. If it is absent or empty, the default preset is used.
    preset: Option<String>,
    /// A URL (`http` or `https`) to which the events of the task are sent as webhooks.
    webhook_url: Option<String>,
}

/// The unread file of a request.
pub(crate) struct RawFile {
    name: String,
    preset: Option<String>,
    webhook_url: Option<WebhookUrl>,
    declared_bytes: Option<u64>,
    body: Body,
}

impl FromRequest<AppState> for RawFile {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let query = Query::<RawQuery>::try_from_uri(&parts.uri);
        let Query(query) =
            query.map_err(|_| Refusal::new(Code::QueryInvalid).detail("accepted: name, preset, webhook_url"))?;
        let declared = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let declared_bytes = declared.and_then(|text| text.parse().ok());
        let limit = state.app.settings.limits.max_upload_bytes;
        if declared_bytes.is_some_and(|bytes| bytes > limit) {
            return Err(too_large(limit).into());
        }
        Ok(Self {
            name: query.name.unwrap_or_default(),
            webhook_url: webhook_url(state, query.webhook_url)?,
            preset: query.preset.filter(|preset| !preset.trim().is_empty()),
            declared_bytes,
            body,
        })
    }
}

impl RawFile {
    /// Stores the file. After an error nothing stays in the storage.
    async fn receive(mut self, state: &AppState, user: UserId) -> Result<Upload, Error> {
        let choice = match &self.preset {
            Some(preset) => {
                let preset = RecipeChoice::preset(&state.app, user, preset);
                state.app.with_timeout(preset).await?
            }
            None => RecipeChoice::Default,
        };
        let body = std::mem::take(&mut self.body);
        let stream = tus::incoming(body, state.alive.shutdown.clone());
        let file = uploads::store(&state.app, stream, self.declared_bytes).await?;
        let fingerprint = self.fingerprint_with(&file.stored().sha256);
        let (given_name, file) = (self.name, Box::new(file));
        Ok(Upload {
            file: File::New { given_name, file },
            choice,
            webhook_url: self.webhook_url,
            fingerprint,
            imported: None,
        })
    }

    /// Reads the file to its end without storing it; returns the fingerprint of the request.
    async fn fingerprint(mut self) -> Result<Fingerprint, Error> {
        let mut hash = Sha256::new();
        let mut chunks = std::mem::take(&mut self.body).into_data_stream();
        let ended_early = |_| Refusal::new(Code::RequestInvalid).detail("the body ended early");
        while let Some(chunk) = chunks.try_next().await.map_err(ended_early)? {
            hash.update(&chunk);
        }
        let sha256 = hex::encode(hash.finalize());
        Ok(self.fingerprint_with(&sha256))
    }

    /// The fingerprint of the request with this hash of its file.
    fn fingerprint_with(&self, sha256: &str) -> Fingerprint {
        let mut parts = vec![json!(self.name), json!(self.preset), json!(sha256)];
        parts.extend(self.webhook_url.as_ref().map(|url| json!(url.as_str())));
        Fingerprint::of(&parts.into())
    }
}

problems!(RawProblems: FileEmpty, QueryInvalid, PresetUnknown, WebhookUrlInvalid, WebhookUrlForbidden, RequestInvalid, IdempotencyKeyInvalid, TokenMissing, TokenInvalid,
    TokenExpired, RequestTimeout, IdempotencyKeyInUse, UploadTooLarge, NotMedia, IdempotencyKeyReused, TaskTooLarge,
    SealingUnavailable, Unavailable, StorageFull);

/// Uploads a video as the body of the request and creates a task.
///
/// `curl -T clip.mp4 'https://…/api/uploads/file?name=clip.mp4'` sends such a request. The media type does not matter.
#[utoipa::path(put, operation_id = "put_file", path = "/uploads/file", tag = "uploads",
    params(RawQuery, IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = inline(Binary), content_type = "application/octet-stream", description = "The file"),
    responses((status = 201, description = "The task waits for a worker", body = Uploaded), RawProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    principal: Principal,
    key: IdempotencyKey,
    file: RawFile,
) -> Result<Created<Uploaded>, Error> {
    let work = async |file: RawFile, guard| {
        let upload = file.receive(&state, principal.account).await?;
        let created = uploads::finish(&state.app, principal.account, upload, guard, uploaded).await?;
        state.app.library.wait_for_newest().await;
        Ok::<_, Error>(created)
    };
    let outcome = key
        .of(principal)
        .once(&state.app, file, RawFile::fingerprint, work)
        .await;
    outcome.map(Created)
}
