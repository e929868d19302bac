//! Sentences for users in successful replies.

use domain::Language;

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
