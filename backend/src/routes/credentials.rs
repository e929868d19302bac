//! Credentials: access keys for buckets of the account, to which tasks write their outputs.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{FromBody, Json as Body, Owned, Principal, read_name};
use crate::idempotency::{Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::problems;
use crate::reply::SuccessMessage;
use crate::request_context::RequestContext;
use api::credentials::{CredentialList, CredentialView, NewCredentialBody};
use api::reply::Message;
use app::credentials::{self, NewCredential};
use app::idempotency::Fingerprint;
use axum::Json;
use axum::extract::State;
use entity::credential;
use serde_json::json;

/// The region of a credential that names none.
const DEFAULT_REGION: &str = "us-east-1";

impl FromBody for NewCredential {
    type Wire = NewCredentialBody;

    fn check(body: NewCredentialBody) -> Result<Self, Refusal> {
        let fingerprint = Fingerprint::of(&json!(body));
        let required = |field: &str, value: Option<String>| value.ok_or_else(|| Refusal::of_missing_field(field));
        Ok(Self {
            name: read_name(&required("name", body.name)?)?,
            endpoint: required("endpoint", body.endpoint)?,
            region: body.region.unwrap_or_else(|| DEFAULT_REGION.to_owned()),
            access_key_id: required("access_key_id", body.access_key_id)?,
            secret_access_key: required("secret_access_key", body.secret_access_key)?,
            fingerprint,
        })
    }
}

fn view(credential: credential::Model) -> CredentialView {
    CredentialView {
        name: credential.name,
        endpoint: credential.endpoint,
        region: credential.region,
        access_key_id: credential.access_key_id,
        created_at: credential.created_at,
    }
}

problems!(NewCredentialProblems: FieldsMissing, NameInvalid, RequestInvalid, JsonInvalid, DestinationForbidden,
    IdempotencyKeyInvalid, TokenMissing, TokenInvalid, TokenExpired, RequestTimeout, CredentialNameTaken, CredentialsTooMany,
    SealingUnavailable,
    IdempotencyKeyInUse, BodyTooLarge, ContentTypeUnsupported, IdempotencyKeyReused, Unavailable);
problems!(CredentialsProblems: TokenMissing, TokenInvalid, TokenExpired, Unavailable);
problems!(RemoveCredentialProblems: TokenMissing, TokenInvalid, TokenExpired, CredentialNotFound, Unavailable);

/// Creates a credential.
///
/// Recipes name it in `destination`. The secret is stored encrypted, and no reply contains it. An account may have up
/// to 20 credentials.
#[utoipa::path(post, operation_id = "create_credential", path = "/credentials", tag = "credentials", params(IdempotencyKeyHeader),
    security(("bearer" = [])), request_body(content = NewCredentialBody, description = "The address and the access key"),
    responses((status = 201, description = "The credential", body = CredentialView), NewCredentialProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    principal: Principal,
    key: IdempotencyKey,
    Body(new): Body<NewCredential>,
) -> Result<Created<CredentialView>, Error> {
    let fingerprint = async |new: NewCredential| Ok::<_, Error>(new.fingerprint);
    let work = async |new, guard| {
        let created = credentials::create(&state.app, principal.account, new, &guard, view);
        Ok::<_, Error>(created.await?)
    };
    let outcome = key.of(principal).once(&state.app, new, fingerprint, work).await;
    outcome.map(Created)
}

/// Lists the credentials of the account.
///
/// All credentials on one page, sorted by name, without their secrets.
#[utoipa::path(get, operation_id = "list_credentials", path = "/credentials", tag = "credentials", security(("bearer" = [])),
    responses((status = 200, description = "All credentials", body = CredentialList), CredentialsProblems))]
pub(crate) async fn list(State(state): State<AppState>, principal: Principal) -> Result<Json<CredentialList>, Error> {
    let credentials = credential::list(&state.app.db, principal.account).await?;
    Ok(Json(CredentialList {
        data: credentials.into_iter().map(view).collect(),
        next_cursor: None,
    }))
}

/// Removes a credential.
///
/// A task that still needs it fails with `credential_not_found`.
#[utoipa::path(delete, operation_id = "remove_credential", path = "/credentials/{name}", tag = "credentials",
    params(("name" = String, Path, description = "The name of the credential")), security(("bearer" = [])),
    responses((status = 200, description = "The credential was removed", body = Message), RemoveCredentialProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: RequestContext,
    Owned(credential): Owned<credential::Model>,
) -> Result<Json<Message>, Error> {
    credentials::remove(&state.app, &credential).await?;
    let message = SuccessMessage::Deleted.in_language(context.language);
    Ok(Json(Message::new(message)))
}
