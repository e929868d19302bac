//! Small replies with a sentence for people.

use domain::Language;
use serde::Serialize;
use utoipa::ToSchema;

/// A sentence for people, in the language of the reply.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    /// The sentence.
    pub(crate) message: &'static str,
}

/// The sentences of success.
#[derive(Clone, Copy)]
pub(crate) enum Said {
    UserCreated,
    Deleted,
}

impl Said {
    pub(crate) const fn in_language(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::UserCreated, Language::Es) => "Usuario creado",
            (Self::UserCreated, Language::En) => "User created",
            (Self::Deleted, Language::Es) => "Eliminado",
            (Self::Deleted, Language::En) => "Deleted",
        }
    }
}
