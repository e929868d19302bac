//! Replies that carry only a sentence for users.

use domain::Language;
use serde::Serialize;
use utoipa::ToSchema;

/// A sentence for users, in the language of the reply.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    /// The sentence.
    pub(crate) message: &'static str,
}

/// Sentences of successful replies.
#[derive(Clone, Copy)]
pub(crate) enum SuccessMessage {
    UserCreated,
    Deleted,
}

impl SuccessMessage {
    pub(crate) const fn in_language(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::UserCreated, Language::Es) => "Usuario creado",
            (Self::UserCreated, Language::En) => "User created",
            (Self::Deleted, Language::Es) => "Eliminado",
            (Self::Deleted, Language::En) => "Deleted",
        }
    }
}
