//! Sign-up and login.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of a sign-up.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = SignUp, example = json!({"username": "jpuentes", "password1": "123abc456", "password2": "123abc456", "email": "jpuentes@example.com"}))]
pub struct SignUpBody {
    /// The name of the new account: 1 to 80 characters without control characters.
    #[schema(
        required,
        nullable = false,
        min_length = 1,
        max_length = 80,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$"
    )]
    pub username: Option<String>,
    /// The password: at least 8 characters and at most 1,024 bytes.
    #[schema(required, nullable = false, min_length = 8, max_length = 1024)]
    pub password1: Option<String>,
    /// The same password again.
    #[schema(required, nullable = false, min_length = 8, max_length = 1024)]
    pub password2: Option<String>,
    /// An e-mail address of at most 254 bytes; each account needs its own.
    #[schema(required, nullable = false, max_length = 254, format = Email)]
    pub email: Option<String>,
}

/// The body of a login.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Login, example = json!({"username": "jpuentes", "password": "123abc456"}))]
pub struct LoginBody {
    /// The name of the account.
    #[schema(required, nullable = false, min_length = 1)]
    pub username: Option<String>,
    /// The password of the account.
    #[schema(required, nullable = false, min_length = 1)]
    pub password: Option<String>,
}

/// A new account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Created)]
pub struct CreatedAccount {
    /// A sentence for users, in the language of the reply.
    pub message: String,
    /// The id of the account.
    pub id: i64,
    /// The name of the account.
    pub username: String,
}

/// An access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// A JWT; send it as `Authorization: Bearer …`.
    pub token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Lifetime of the token in seconds.
    pub expires_in: u64,
}
