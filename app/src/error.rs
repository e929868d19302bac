//! Errors of use cases. There are two kinds: errors of the client, with a stable code, and internal errors, which the
//! caller logs and shows as `internal`.

use domain::recipe_reader::{FieldError, FieldProblem};
use domain::{Code, Language};
use entity::DbErr;
use std::time::Duration;

/// The error of a use case.
#[derive(Debug)]
pub enum Error {
    /// An error that the client can react to.
    Client(Refusal),
    /// An internal error. Clients get no details.
    Internal(anyhow::Error),
}

/// The refusal of a request.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The stable code, which determines the HTTP status and the sentence.
    pub code: Code,
    /// The refused value and what is accepted, in English.
    pub detail: Option<String>,
    /// The invalid fields.
    pub fields: Vec<InvalidField>,
    /// Time after which the request may succeed.
    pub retry_after: Option<Duration>,
}

/// One invalid field of a request.
#[derive(Clone, Debug)]
pub struct InvalidField {
    /// The path of the field, such as `outputs[0].video.crf`.
    pub name: String,
    /// The reason.
    pub reason: FieldReason,
}

/// The reason why a field is invalid.
#[derive(Clone, Debug)]
pub enum FieldReason {
    /// It breaks a rule that has an error code.
    Rule(Code),
    /// It could not be parsed.
    Unparsed(FieldProblem),
}

impl FieldReason {
    /// The stable code of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rule(code) => code.as_str(),
            Self::Unparsed(problem) => problem.code(),
        }
    }

    /// The sentence for users.
    #[must_use]
    pub const fn sentence(&self, language: Language) -> &'static str {
        match self {
            Self::Rule(code) => code.sentence(language),
            Self::Unparsed(problem) => problem.sentence(language),
        }
    }

    /// The refused value and what is accepted; `None` when the code says it all.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Rule(_) => None,
            Self::Unparsed(problem) => problem.detail(),
        }
    }
}

impl Refusal {
    /// Returns `true` if work that is not a request, and that was refused so, may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self.code,
            Code::Unavailable
                | Code::StorageFull
                | Code::RequestTimeout
                | Code::UploadInterrupted
                | Code::SealingUnavailable
        )
    }

    /// A refusal with a code alone. `unavailable` asks clients to retry after 2 s.
    #[must_use]
    pub fn new(code: Code) -> Self {
        let retry_after = (code == Code::Unavailable).then_some(Duration::from_secs(2));
        Self {
            code,
            detail: None,
            fields: Vec::new(),
            retry_after,
        }
    }

    /// Refuses one more resource of a kind of which an account has `count` and may have `max`.
    ///
    /// # Errors
    /// `code`, when there are `max`.
    pub(crate) fn unless_below(max: u64, count: u64, code: Code) -> Result<(), Self> {
        if count < max {
            Ok(())
        } else {
            Err(Self::new(code).detail(format!("accepted: up to {max}")))
        }
    }

    /// Refuses a field by its rule.
    #[must_use]
    pub fn of_field(name: &str, rule: Code) -> Self {
        Self::new(rule).field(name, rule)
    }

    /// Refuses a field of a body whose value is not accepted.
    #[must_use]
    pub fn of_invalid_field(name: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(Code::RequestInvalid).unparsed_field(FieldError {
            field: name.to_owned(),
            problem: FieldProblem::Invalid(detail.to_string()),
        })
    }

    /// Refuses a body without a field that is required.
    #[must_use]
    pub fn of_missing_field(name: &str) -> Self {
        Self::new(Code::FieldsMissing).missing_field(name)
    }

    /// Adds a field that is required and missing.
    #[must_use]
    pub fn missing_field(self, name: &str) -> Self {
        self.unparsed_field(FieldError {
            field: name.to_owned(),
            problem: FieldProblem::Missing,
        })
    }

    /// Sets the refused value and what is accepted.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a field that breaks a rule.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, rule: Code) -> Self {
        self.fields.push(InvalidField {
            name: name.into(),
            reason: FieldReason::Rule(rule),
        });
        self
    }

    /// Adds a field that could not be parsed.
    #[must_use]
    pub fn unparsed_field(mut self, error: FieldError) -> Self {
        self.fields.push(InvalidField {
            name: error.field,
            reason: FieldReason::Unparsed(error.problem),
        });
        self
    }

    /// Sets the time after which the request may succeed.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self::Client(Refusal::new(code))
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Client(refusal)
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if entity::is_unavailable(&error) {
            tracing::warn!(%error, "the database is unavailable");
            return Code::Unavailable.into();
        }
        if entity::is_full(&error) {
            tracing::warn!(%error, "the database is full");
            return Code::StorageFull.into();
        }
        Self::Internal(anyhow::Error::new(error).context("a query failed"))
    }
}

/// Maps a violated unique constraint to an error code, next to the insert that can violate it.
pub trait OnUnique<T> {
    /// Returns `code` when another row has the same unique columns.
    ///
    /// # Errors
    /// `code`, or the error of the query.
    fn on_unique(self, code: Code) -> Result<T, Error>;
}

impl<T> OnUnique<T> for Result<T, DbErr> {
    fn on_unique(self, code: Code) -> Result<T, Error> {
        self.map_err(|error| {
            if entity::is_duplicate(&error) {
                code.into()
            } else {
                error.into()
            }
        })
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::Full { .. } => {
                tracing::warn!(%error, "the storage is full");
                Code::StorageFull.into()
            }
            storage::Error::Unavailable { .. } => {
                tracing::warn!(
                    error = format!("{:#}", anyhow::Error::new(error)),
                    "the storage is unavailable"
                );
                Code::Unavailable.into()
            }
            error => Self::Internal(error.into()),
        }
    }
}
