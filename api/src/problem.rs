//! The body of every error reply: problem details (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error reply (RFC 9457), media type `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable reference to the documentation of the code.
    #[serde(rename = "type")]
    #[schema(example = "/docs/errors#task_not_found")]
    pub kind: String,
    /// The code in one English sentence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The refused value and what is accepted, in English, for developers.
    pub detail: String,
    /// The stable code for programs.
    #[schema(example = "task_not_found")]
    pub code: String,
    /// A sentence for users, in the language of the reply.
    pub message: String,
    /// The same sentence; on token errors only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg: Option<String>,
    /// The `X-Request-Id` of the reply.
    pub request_id: String,
    /// The invalid fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<WrongField>,
}

/// An invalid field of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WrongField {
    /// The path of the field.
    #[schema(example = "outputs[0].video.crf")]
    pub field: String,
    /// The stable code for programs.
    #[schema(example = "invalid_value")]
    pub code: String,
    /// A sentence for users, in the language of the reply.
    pub message: String,
    /// The refused value and what is accepted, in English, for developers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, example = "52; accepted: 0 to 51")]
    pub detail: Option<String>,
}
