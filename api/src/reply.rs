//! Replies that carry only a sentence for users.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A sentence for users, in the language of the reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// The sentence.
    pub message: String,
}

impl Message {
    /// Creates the reply with a sentence.
    #[must_use]
    pub fn new(message: &str) -> Self {
        Self {
            message: message.to_owned(),
        }
    }
}
