//! The two errors of the edge: the client's, with a stable code, and ours, which is logged here and shown as `internal`.
//! How they look on the wire is in `problem.rs`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::recipe_reader::{FieldError, FieldProblem};
use domain::{Code, Language};
use sea_orm::DbErr;
use std::time::Duration;

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum Error {
    /// The client can do something about it.
    Client(Refusal),
    /// Our fault; the client learns nothing but that.
    Internal(anyhow::Error),
}

/// What a client is told.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The stable code; it decides status and sentence.
    pub(crate) code: Code,
    /// The value that was wrong and what is accepted, in words of ours.
    pub(crate) detail: Option<String>,
    /// The fields that were wrong.
    pub(crate) fields: Vec<Field>,
    /// When another try makes sense.
    pub(crate) retry_after: Option<Duration>,
}

/// One wrong field.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Its path, such as `outputs[0].video.crf`.
    pub(crate) name: String,
    /// What is wrong with it.
    pub(crate) fault: Fault,
}

/// What is wrong with a field.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// A rule with a code of its own.
    Rule(Code),
    /// It could not be read.
    Unread(FieldProblem),
}

impl Fault {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Rule(code) => code.as_str(),
            Self::Unread(problem) => problem.code(),
        }
    }

    pub(crate) const fn sentence(&self, language: Language) -> &'static str {
        match self {
            Self::Rule(code) => code.sentence(language),
            Self::Unread(problem) => problem.sentence(language),
        }
    }

    /// The value and what is accepted, when the code does not tell.
    pub(crate) fn detail(&self) -> Option<String> {
        match self {
            Self::Rule(_) => None,
            Self::Unread(problem) => problem.detail(),
        }
    }
}

impl Refusal {
    /// A refusal that says no more than its code.
    #[must_use]
    pub(crate) fn new(code: Code) -> Self {
        let retry_after = (code == Code::Unavailable).then_some(Duration::from_secs(2));
        Self {
            code,
            detail: None,
            fields: Vec::new(),
            retry_after,
        }
    }

    /// With the value that was wrong.
    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With a field that broke a rule.
    #[must_use]
    pub(crate) fn field(mut self, name: impl Into<String>, rule: Code) -> Self {
        self.fields.push(Field {
            name: name.into(),
            fault: Fault::Rule(rule),
        });
        self
    }

    /// With a field that could not be read.
    #[must_use]
    pub(crate) fn unread(mut self, error: FieldError) -> Self {
        self.fields.push(Field {
            name: error.field,
            fault: Fault::Unread(error.problem),
        });
        self
    }

    /// With the time after which another try makes sense.
    #[must_use]
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
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
            tracing::warn!(%error, "the database is away");
            return Code::Unavailable.into();
        }
        if entity::is_full(&error) {
            tracing::warn!(%error, "the database is full");
            return Code::StorageFull.into();
        }
        Self::Internal(anyhow::Error::new(error).context("a query failed"))
    }
}

/// Names the conflict beside the insert.
pub(crate) trait OnUnique<T> {
    /// `code` when a row with the same unique columns is there already.
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
                    "the storage is away"
                );
                Code::Unavailable.into()
            }
            error => Self::Internal(error.into()),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let refusal = match self {
            Self::Client(refusal) => refusal,
            Self::Internal(error) => {
                tracing::error!(error = format!("{error:#}"), "a request failed");
                Refusal::new(Code::Internal)
            }
        };
        refusal.into_response()
    }
}

impl IntoResponse for Refusal {
    /// A bare status; the refusal travels beside it until `problem::render` knows the language and the request.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
