//! Sign-up and login.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{FromBody, Json};
use crate::openapi::problems;
use crate::reply::{Message, SuccessMessage};
use crate::request_context::RequestContext;
use app::accounts;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use domain::Code;
use domain::account::{Password, Username};
use domain::recipe_reader::{FieldError, FieldProblem};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use utoipa::ToSchema;

/// The body of a sign-up.
#[derive(Deserialize, ToSchema)]
#[schema(as = SignUp, example = json!({"username": "jpuentes", "password1": "123abc456", "password2": "123abc456", "email": "jpuentes@example.com"}))]
pub(crate) struct SignUpBody {
    /// The name of the new account: 1 to 80 characters without control characters.
    #[schema(required, nullable = false)]
    username: Option<String>,
    /// The password: at least 8 characters and at most 1,024 bytes.
    #[schema(required, nullable = false, min_length = 8)]
    password1: Option<String>,
    /// The same password again.
    #[schema(required, nullable = false)]
    password2: Option<String>,
    /// An e-mail address of at most 254 bytes; each account needs its own.
    #[schema(required, nullable = false)]
    email: Option<String>,
}

/// A checked sign-up.
pub(crate) struct SignUp(accounts::SignUp);

impl FromBody for SignUp {
    type Wire = SignUpBody;

    fn check(body: SignUpBody) -> Result<Self, Refusal> {
        let [username, password1, password2, email] = require_fields([
            ("username", body.username),
            ("password1", body.password1),
            ("password2", body.password2),
            ("email", body.email),
        ])?;
        if password1 != password2 {
            return Err(Refusal::of_field("password2", Code::PasswordsDiffer));
        }
        let password = Password::parse(password1).map_err(|code| Refusal::of_field("password1", code))?;
        let username = Username::parse(&username).map_err(|code| Refusal::of_field("username", code))?;
        Ok(Self(accounts::SignUp {
            username,
            email,
            password,
        }))
    }
}

/// The body of a login.
#[derive(Deserialize, ToSchema)]
#[schema(as = Login, example = json!({"username": "jpuentes", "password": "123abc456"}))]
pub(crate) struct LoginBody {
    /// The name of the account.
    #[schema(required, nullable = false)]
    username: Option<String>,
    /// The password of the account.
    #[schema(required, nullable = false)]
    password: Option<String>,
}

/// A login with a name and a password of any form.
pub(crate) struct Login(accounts::Login);

impl FromBody for Login {
    type Wire = LoginBody;

    fn check(body: LoginBody) -> Result<Self, Refusal> {
        let [username, password] = require_fields([("username", body.username), ("password", body.password)])?;
        Ok(Self(accounts::Login {
            username: username.trim().to_owned(),
            password,
        }))
    }
}

/// The values of all fields.
///
/// # Errors
/// `fields_missing` with the fields that are absent, null, empty or blank. A blank password is allowed.
fn require_fields<const N: usize>(fields: [(&str, Option<String>); N]) -> Result<[String; N], Refusal> {
    let blank = |name: &str, text: &str| text.is_empty() || (!name.starts_with("password") && text.trim().is_empty());
    let mut missing = fields
        .iter()
        .filter(|(name, value)| value.as_ref().is_none_or(|text| blank(name, text)))
        .map(|(name, _)| *name)
        .peekable();
    if missing.peek().is_none() {
        return Ok(fields.map(|(_, value)| value.unwrap_or_default()));
    }
    let absent = |name: &str| FieldError {
        field: name.to_owned(),
        problem: FieldProblem::Missing,
    };
    Err(missing.fold(Refusal::new(Code::FieldsMissing), |refusal, name| {
        refusal.unparsed_field(absent(name))
    }))
}

/// A new account.
#[derive(Serialize, ToSchema)]
pub(crate) struct Created {
    /// A sentence for users, in the language of the reply.
    message: &'static str,
    /// The id of the account.
    id: i64,
    /// The name of the account.
    username: String,
}

/// An access token.
#[derive(Serialize, ToSchema)]
pub(crate) struct Token {
    /// A JWT; send it as `Authorization: Bearer …`.
    token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Lifetime of the token in seconds.
    expires_in: u64,
}

problems!(SignUpProblems: FieldsMissing, PasswordsDiffer, PasswordTooShort, PasswordTooLong, PasswordCommon, UsernameInvalid,
    EmailInvalid, UsernameTaken, EmailTaken, RequestInvalid, JsonInvalid, RequestTimeout, BodyTooLarge, ContentTypeUnsupported, RateLimited, Unavailable);
problems!(LoginProblems: FieldsMissing, RequestInvalid, JsonInvalid, CredentialsWrong, RequestTimeout, BodyTooLarge, ContentTypeUnsupported,
    RateLimited, Unavailable);

/// Creates an account.
///
/// Log in afterwards to get a token.
#[utoipa::path(post, path = "/auth/signup", tag = "accounts", request_body(content = SignUpBody, description = "The new account"),
    responses((status = 201, description = "The account was created", body = Created), SignUpProblems))]
pub(crate) async fn sign_up(
    State(state): State<AppState>,
    context: RequestContext,
    Json(form): Json<SignUp>,
) -> Result<(StatusCode, axum::Json<Created>), Error> {
    let user = accounts::sign_up(&state.app, form.0, address_of(&context)).await?;
    let message = SuccessMessage::UserCreated.in_language(context.language);
    Ok((
        StatusCode::CREATED,
        axum::Json(Created {
            message,
            id: user.id,
            username: user.username,
        }),
    ))
}

/// Exchanges a password for a token.
///
/// An unknown name and a wrong password get the same reply. After several wrong passwords, the network of the client
/// has to wait.
#[utoipa::path(post, path = "/auth/login", tag = "accounts", request_body(content = LoginBody, description = "Name and password"),
    responses((status = 200, description = "A token", body = Token), LoginProblems))]
pub(crate) async fn login(
    State(state): State<AppState>,
    context: RequestContext,
    Json(form): Json<Login>,
) -> Result<axum::Json<Token>, Error> {
    let user = accounts::login(&state.app, form.0, address_of(&context)).await?;
    let token = state.tokens.issue(user, Utc::now())?;
    Ok(axum::Json(Token {
        token,
        token_type: "Bearer",
        expires_in: state.tokens.ttl().as_secs(),
    }))
}

/// Checks that sign-up is reachable.
///
/// Does not check other parts.
#[utoipa::path(get, path = "/auth/signup/ping", tag = "health", responses((status = 200, description = "Sign-up is reachable", body = Message)))]
pub(crate) async fn sign_up_ping() -> axum::Json<Message> {
    axum::Json(Message { message: "pong" })
}

/// Checks that login is reachable.
///
/// Does not check other parts.
#[utoipa::path(get, path = "/auth/login/ping", tag = "health", responses((status = 200, description = "Login is reachable", body = Message)))]
pub(crate) async fn login_ping() -> axum::Json<Message> {
    axum::Json(Message { message: "pong" })
}

/// The address of the client. Requests without a socket, as in tests, share one address.
fn address_of(context: &RequestContext) -> IpAddr {
    context.client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}
