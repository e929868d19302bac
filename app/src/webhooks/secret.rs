//! The secret of signatures: `whsec_` and the base64 of 32 random bytes (Standard Webhooks). In the database it is
//! sealed for its account.

use crate::app::Core;
use crate::{Error, Refusal};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Code, UserId};
use standardwebhooks::Webhook;
use std::fmt;

const PREFIX: &str = "whsec_";
const BYTES: usize = 32;

/// A secret of an endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A random secret.
    pub(crate) fn generate() -> Result<Self, Error> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).context("the system has no random numbers")?;
        Ok(Self(format!("{PREFIX}{}", STANDARD.encode(bytes))))
    }

    /// The text that a column stores.
    ///
    /// # Errors
    /// `sealing_unavailable`.
    pub(crate) fn seal(&self, app: &Core, owner: UserId) -> Result<String, Error> {
        app.sealer()?.seal(&purpose(owner), self.0.as_bytes())
    }

    /// Reads what [`Secret::seal`] has written.
    ///
    /// # Errors
    /// `sealing_unavailable`, also if the key of the operator is another one.
    pub(crate) fn open(app: &Core, owner: UserId, sealed: &str) -> Result<Self, Error> {
        let opened = app.sealer()?.open_text(&purpose(owner), sealed);
        let unreadable = |_| {
            let detail = "the secret was encrypted with another RUSHES_SEALING_KEY; accepted: a new secret";
            Refusal::new(Code::SealingUnavailable).detail(detail)
        };
        Ok(Self(opened.map_err(unreadable)?))
    }

    /// A sealed secret, which stands in a reply that is stored.
    pub(crate) const fn sealed(text: String) -> Self {
        Self(text)
    }

    /// The text for the account.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// The signature of a message at a time in seconds since 1970, such as `v1,…`.
    pub(crate) fn sign(&self, message: &str, at: i64, body: &str) -> Result<String, Error> {
        let webhook = Webhook::new(&self.0).context("a stored secret is damaged")?;
        let signature = webhook.sign(message, at, body.as_bytes());
        Ok(signature.context("failed to sign a message")?)
    }
}

/// The use of a sealed secret. One that was copied to another account cannot be opened there.
fn purpose(UserId(owner): UserId) -> String {
    format!("webhooks/{owner}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        let secret = Secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned());
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;
        let signature = secret.sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);
        assert_eq!(signature.unwrap(), "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }

    #[test]
    fn secrets_are_random_and_in_no_debug_output() {
        let (one, other) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_ne!(one, other);
        assert!(!format!("{one:?}").contains("whsec_"));
        assert_eq!(one.into_string().len(), PREFIX.len() + 44);
    }
}
