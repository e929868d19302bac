//! JSON that is passed on as it is stored, or deserialized into one type. It is never parsed into a tree of values.

use sea_orm::FromJsonQueryResult;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The text of a JSON value.
#[derive(Clone, Debug, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(transparent)]
pub struct RawJson(Box<RawValue>);

impl RawJson {
    /// JSON of this text.
    pub(crate) const fn from_text(text: Box<RawValue>) -> Self {
        Self(text)
    }

    /// Returns the text as it is stored.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// The text as JSON that is written into other JSON as it is.
    #[must_use]
    pub const fn raw(&self) -> &RawValue {
        &self.0
    }

    /// Deserializes the text.
    ///
    /// # Errors
    /// The text is not a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }

    /// Returns the text.
    #[must_use]
    pub fn into_text(self) -> Box<RawValue> {
        self.0
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for RawJson {}
