//! Sign-up and login.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{FromBody, Json};
use crate::openapi::problems;
use crate::reply::SuccessMessage;
use crate::request_context::RequestContext;
use api::auth::{CreatedAccount, LoginBody, SignUpBody, Token};
use api::reply::Message;
use app::accounts;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use domain::Code;
use domain::account::{Password, Username};
use std::net::{IpAddr, Ipv4Addr};

impl FromBody for accounts::SignUp {
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
        Ok(Self {
            username,
            email,
            password,
        })
    }
}

impl FromBody for accounts::Login {
    type Wire = LoginBody;

    fn check(body: LoginBody) -> Result<Self, Refusal> {
        let [username, password] = require_fields([("username", body.username), ("password", body.password)])?;
        Ok(Self {
            username: username.trim().to_owned(),
            password,
        })
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
    Err(missing.fold(Refusal::new(Code::FieldsMissing), Refusal::missing_field))
}

problems!(SignUpProblems: FieldsMissing, PasswordsDiffer, PasswordTooShort, PasswordTooLong, PasswordCommon, UsernameInvalid,
    EmailInvalid, UsernameTaken, EmailTaken, RequestInvalid, JsonInvalid, RequestTimeout, BodyTooLarge, ContentTypeUnsupported, RateLimited, Unavailable);
problems!(LoginProblems: FieldsMissing, RequestInvalid, JsonInvalid, CredentialsWrong, RequestTimeout, BodyTooLarge, ContentTypeUnsupported,
    RateLimited, Unavailable);

/// Creates an account.
///
/// Log in afterwards to get a token.
#[utoipa::path(post, path = "/auth/signup", tag = "accounts", request_body(content = SignUpBody, description = "The new account"),
    responses((status = 201, description = "The account was created", body = CreatedAccount), SignUpProblems))]
pub(crate) async fn sign_up(
    State(state): State<AppState>,
    context: RequestContext,
    Json(form): Json<accounts::SignUp>,
) -> Result<(StatusCode, axum::Json<CreatedAccount>), Error> {
    let user = accounts::sign_up(&state.app, form, address_of(&context)).await?;
    let message = SuccessMessage::UserCreated.in_language(context.language);
    Ok((
        StatusCode::CREATED,
        axum::Json(CreatedAccount {
            message: message.to_owned(),
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
    Json(form): Json<accounts::Login>,
) -> Result<axum::Json<Token>, Error> {
    let user = accounts::login(&state.app, form, address_of(&context)).await?;
    let token = state.tokens.issue(user, Utc::now())?;
    Ok(axum::Json(Token {
        token,
        token_type: "Bearer".to_owned(),
        expires_in: state.tokens.ttl().as_secs(),
    }))
}

/// Checks that sign-up is reachable.
///
/// Does not check other parts.
#[utoipa::path(get, path = "/auth/signup/ping", tag = "health", responses((status = 200, description = "Sign-up is reachable", body = Message)))]
pub(crate) async fn sign_up_ping() -> axum::Json<Message> {
    axum::Json(Message::new("pong"))
}

/// Checks that login is reachable.
///
/// Does not check other parts.
#[utoipa::path(get, path = "/auth/login/ping", tag = "health", responses((status = 200, description = "Login is reachable", body = Message)))]
pub(crate) async fn login_ping() -> axum::Json<Message> {
    axum::Json(Message::new("pong"))
}

/// The address of the client. Requests without a socket, as in tests, share one address.
pub(crate) fn address_of(context: &RequestContext) -> IpAddr {
    context.client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}
