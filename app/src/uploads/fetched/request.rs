//! The URL and the headers of a fetch in the database.

use crate::Error;
use crate::app::Core;
use anyhow::Context as _;
use domain::UserId;
use serde::{Deserialize, Serialize};

/// First character of a request that is not encrypted; no sealed value contains it.
const PLAIN: char = '{';

/// The URL and the headers of a fetch. Both may contain secrets.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) url: String,
    /// Names and values.
    pub(super) headers: Vec<(String, String)>,
}

impl Request {
    /// The form for the database: encrypted, or as JSON where the operator has given no key.
    pub(super) fn seal(&self, app: &Core, user: UserId) -> Result<String, Error> {
        let json = serde_json::to_string(self).context("failed to serialize a request")?;
        match &app.settings.sealer {
            Some(sealer) => sealer.seal(&purpose(user), json.as_bytes()),
            None => Ok(json),
        }
    }

    /// Reads the form of the database.
    ///
    /// # Errors
    /// `sealing_unavailable` where it is encrypted and the operator has given no key; `internal` for another key.
    pub(super) fn open(app: &Core, user: UserId, stored: &str) -> Result<Self, Error> {
        if stored.starts_with(PLAIN) {
            return Ok(serde_json::from_str(stored).context("failed to parse a request")?);
        }
        let opened = app.sealer()?.open_text(&purpose(user), stored);
        let json = opened.context("a request was sealed with another key")?;
        Ok(serde_json::from_str(&json).context("failed to parse a request")?)
    }
}

fn purpose(user: UserId) -> String {
    format!("fetches/{user}")
}
