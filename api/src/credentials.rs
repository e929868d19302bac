//! Credentials: access keys for buckets of an account.

use chrono::{DateTime, Utc};
use domain::recipe::Name;
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// All credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialList {
    /// The credentials, sorted by name.
    pub data: Vec<CredentialView>,
    /// Always null, because there is only one page.
    pub next_cursor: Option<String>,
}

/// A credential without its secret, which no reply contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialView {
    /// The name of the credential in recipes.
    #[schema(example = "media")]
    pub name: String,
    /// The address of the S3 API.
    #[schema(example = "https://s3.eu-central-1.amazonaws.com")]
    pub endpoint: String,
    /// The region in signatures.
    #[schema(example = "eu-central-1")]
    pub region: String,
    /// The public part of the access key.
    pub access_key_id: String,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
}

/// A new credential.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCredential, example = json!({"name": "media", "endpoint": "https://s3.eu-central-1.amazonaws.com",
    "region": "eu-central-1", "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}))]
pub struct NewCredentialBody {
    /// The name of the credential in recipes.
    #[schema(required, nullable = false, value_type = Name)]
    pub name: Option<String>,
    /// The address of the S3 API: `https` or `http`, a host, and a port if needed.
    #[schema(required, nullable = false, max_length = 8192)]
    pub endpoint: Option<String>,
    /// The region in signatures; `us-east-1` when absent.
    #[schema(min_length = 1, max_length = 40, pattern = "^[a-z0-9-]+$")]
    pub region: Option<String>,
    /// The public part of the access key.
    #[schema(required, nullable = false, min_length = 1, max_length = 256, pattern = "^[!-~]+$")]
    pub access_key_id: Option<String>,
    /// The secret part. It is stored encrypted and never shown.
    #[schema(
        required,
        nullable = false,
        min_length = 1,
        max_length = 256,
        pattern = "^[!-~]+$",
        write_only
    )]
    pub secret_access_key: Option<String>,
}

impl fmt::Debug for NewCredentialBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the secret.
        write!(f, "NewCredentialBody({:?})", self.name)
    }
}
