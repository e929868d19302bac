//! Access keys of accounts for buckets of their own, to which tasks write their outputs.

use crate::app::{App, Core};
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::{Error, OnUnique, Refusal};
use anyhow::Context as _;
use domain::recipe::Name;
use domain::{Code, UserId};
use entity::credential;
use outbound::Target;
use serde::Serialize;
use std::fmt::Display;

/// Maximum number of credentials of an account.
const MAX_CREDENTIALS: u64 = 20;
/// Maximum length of an access key and of its secret.
const KEY_BYTES: usize = 256;
const REGION_BYTES: usize = 40;

/// A new credential, whose values are not checked yet.
pub struct NewCredential {
    /// Its name.
    pub name: Name,
    /// The address of the S3 API.
    pub endpoint: String,
    /// The region in signatures.
    pub region: String,
    /// The public part of the access key.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: String,
    /// The hash of the request, for its idempotency key.
    pub fingerprint: Fingerprint,
}

/// Creates a credential.
///
/// # Errors
/// `request_invalid` and `destination_forbidden`, which name the field; `credential_name_taken`,
/// `credentials_too_many`, `sealing_unavailable`, `idempotency_key_in_use`.
pub async fn create<R: Serialize>(
    app: &App,
    user: UserId,
    new: NewCredential,
    guard: &KeyGuard,
    reply: impl Fn(credential::Model) -> R,
) -> Result<R, Error> {
    let endpoint = check(app, &new)?;
    let NewCredential {
        name,
        region,
        access_key_id,
        secret_access_key,
        fingerprint,
        ..
    } = new;
    let row = credential::New {
        sealed_secret: app
            .sealer()?
            .seal(&purpose(user, &name), secret_access_key.as_bytes())?,
        name,
        endpoint,
        region,
        access_key_id,
    };
    let written = entity::user::write(&app.db, user, async |db| {
        guard.renew(db).await?;
        Refusal::unless_below(
            MAX_CREDENTIALS,
            credential::count(db, user).await?,
            Code::CredentialsTooMany,
        )?;
        let created = credential::create(db, user, row.clone()).await;
        let reply = reply(created.on_unique(Code::CredentialNameTaken)?);
        guard.store_reply(db, &fingerprint, &reply).await?;
        Ok(reply)
    });
    written.await
}

/// Checks the values of a credential, and returns its endpoint in the normal form of URLs. Addresses are checked again
/// for each connection.
fn check(app: &App, new: &NewCredential) -> Result<String, Refusal> {
    let target = Target::parse(&app.settings.outbound, &new.endpoint).map_err(|error| match error {
        outbound::Error::Address { .. } => Refusal::of_field("endpoint", Code::DestinationForbidden),
        error => Refusal::of_invalid_field("endpoint", error),
    })?;
    let url = target.url();
    if url.path() != "/" || url.query().is_some() {
        let accepted = "accepted: an address without a path";
        return Err(Refusal::of_invalid_field("endpoint", accepted));
    }
    let is_visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    for (field, value) in [
        ("access_key_id", &new.access_key_id),
        ("secret_access_key", &new.secret_access_key),
    ] {
        if !is_visible(value) || value.len() > KEY_BYTES {
            let accepted = format!("accepted: 1 to {KEY_BYTES} visible characters");
            return Err(Refusal::of_invalid_field(field, accepted));
        }
    }
    let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if new.region.is_empty() || new.region.len() > REGION_BYTES || !new.region.bytes().all(is_region) {
        let accepted = format!("accepted: 1 to {REGION_BYTES} of a-z, 0-9 and -");
        return Err(Refusal::of_invalid_field("region", accepted));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The secret part of the access key.
///
/// # Errors
/// `sealing_unavailable`; an internal error if it was encrypted with a key that this process does not have.
pub fn secret(app: &Core, user: UserId, credential: &credential::Model) -> Result<String, Error> {
    let purpose = purpose(user, &credential.name);
    let opened = app.sealer()?.open_text(&purpose, &credential.sealed_secret);
    Ok(opened.context("a credential cannot be decrypted")?)
}

/// The purpose to which the encryption is bound. The name of a credential never changes.
fn purpose(user: UserId, name: impl Display) -> String {
    format!("credentials/{}/{name}", user.0)
}

/// Removes a credential. A task that still needs it fails with `credential_not_found`.
///
/// # Errors
/// `credential_not_found` when another request has removed it.
pub async fn remove(app: &App, credential: &credential::Model) -> Result<(), Error> {
    let removed = credential::remove(&app.db, credential).await?;
    removed.then_some(()).ok_or_else(|| Code::CredentialNotFound.into())
}
