//! Sign-up and login.

use crate::AppState;
use crate::auth::{LoginAttempt, PasswordCheck, Priority, QueueFull, is_common};
use crate::config::PasswordPolicy;
use crate::error::{Error, Refusal};
use crate::extract::{FromBody, Json};
use crate::openapi::problems;
use crate::reply::{Message, SuccessMessage};
use crate::request_context::RequestContext;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use domain::Code;
use domain::account::{Email, Password, Username};
use domain::recipe_reader::{FieldError, FieldProblem};
use entity::user;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
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
pub(crate) struct SignUp {
    username: Username,
    /// Parsed later by the handler, because a taken name is reported before an invalid address.
    email: String,
    password: Password,
}

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
            return Err(invalid_field("password2", Code::PasswordsDiffer));
        }
        let password = Password::parse(password1).map_err(|code| invalid_field("password1", code))?;
        let username = Username::parse(&username).map_err(|code| invalid_field("username", code))?;
        Ok(Self {
            username,
            email,
            password,
        })
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
pub(crate) struct Login {
    username: String,
    password: String,
}

impl FromBody for Login {
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
    let absent = |name: &str| FieldError {
        field: name.to_owned(),
        problem: FieldProblem::Missing,
    };
    Err(missing.fold(Refusal::new(Code::FieldsMissing), |refusal, name| {
        refusal.unparsed_field(absent(name))
    }))
}

fn invalid_field(field: &str, code: Code) -> Refusal {
    Refusal::new(code).field(field, code)
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
#[utoipa::path(post, path = "/api/auth/signup", tag = "accounts", request_body(content = SignUpBody, description = "The new account"),
    responses((status = 201, description = "The account was created", body = Created), SignUpProblems))]
pub(crate) async fn sign_up(
    State(state): State<AppState>,
    context: RequestContext,
    Json(form): Json<SignUp>,
) -> Result<(StatusCode, axum::Json<Created>), Error> {
    let address = address_of(&context);
    state.limiter.sign_up(address, Instant::now()).map_err(rate_limited)?;
    if state.config.password_policy == PasswordPolicy::Strict && is_common(form.password.secret()) {
        return Err(invalid_field("password1", Code::PasswordCommon).into());
    }
    let SignUp {
        username,
        email,
        password,
    } = form;
    let slot = state.hasher.reserve(Priority::Other).map_err(hasher_busy)?;
    if user::has_name(&state.db, &username).await? {
        return Err(invalid_field("username", Code::UsernameTaken).into());
    }
    let email = Email::parse(&email).map_err(|code| invalid_field("email", code))?;
    if user::has_email(&state.db, &email).await? {
        return Err(invalid_field("email", Code::EmailTaken).into());
    }
    let hash = state.hasher.hash(slot, password).await?;
    let created = entity::write(&state.db, async |db| user::create(db, &username, &email, hash).await);
    let user = match created.await {
        // Another sign-up took the name or the address after the checks above.
        Err(error) if entity::is_duplicate(&error) => {
            let is_name_taken = user::has_name(&state.db, &username).await?;
            let (field, code) = if is_name_taken {
                ("username", Code::UsernameTaken)
            } else {
                ("email", Code::EmailTaken)
            };
            return Err(invalid_field(field, code).into());
        }
        created => created?,
    };
    state.limiter.record_sign_up(&user.username, address, Instant::now());
    tracing::info!(user = user.id, "signed up");
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
#[utoipa::path(post, path = "/api/auth/login", tag = "accounts", request_body(content = LoginBody, description = "Name and password"),
    responses((status = 200, description = "A token", body = Token), LoginProblems))]
pub(crate) async fn login(
    State(state): State<AppState>,
    context: RequestContext,
    Json(form): Json<Login>,
) -> Result<axum::Json<Token>, Error> {
    let attempt = state
        .limiter
        .login(&form.username, address_of(&context), Instant::now())
        .map_err(rate_limited)?;
    let (user, check) = match check_password(&state, &attempt, form).await {
        Ok(checked) => checked,
        Err(error) => {
            state.limiter.cancel_attempt(&attempt, Instant::now());
            return Err(error);
        }
    };
    let (Some(user), PasswordCheck::Correct | PasswordCheck::Outdated(_)) = (user, &check) else {
        metrics::counter!("rushes_logins_total", "outcome" => "refused").increment(1);
        return Err(Code::CredentialsWrong.into());
    };
    state.limiter.record_success(&attempt, Instant::now());
    if let PasswordCheck::Outdated(hash) = check {
        user::set_password_hash(&state.db, user.user_id(), hash).await?;
    }
    metrics::counter!("rushes_logins_total", "outcome" => "accepted").increment(1);
    let token = state.tokens.issue(user.user_id(), Utc::now())?;
    Ok(axum::Json(Token {
        token,
        token_type: "Bearer",
        expires_in: state.tokens.ttl().as_secs(),
    }))
}

/// Checks that sign-up is reachable.
///
/// Does not check other parts.
#[utoipa::path(get, path = "/api/auth/signup/ping", tag = "health", responses((status = 200, description = "Sign-up is reachable", body = Message)))]
pub(crate) async fn sign_up_ping() -> axum::Json<Message> {
    axum::Json(Message { message: "pong" })
}

/// Checks that login is reachable.
///
/// Does not check other parts.
#[utoipa::path(get, path = "/api/auth/login/ping", tag = "health", responses((status = 200, description = "Login is reachable", body = Message)))]
pub(crate) async fn login_ping() -> axum::Json<Message> {
    axum::Json(Message { message: "pong" })
}

/// Checks the password of a login. An account that does not exist takes the same time.
async fn check_password(
    state: &AppState,
    attempt: &LoginAttempt,
    form: Login,
) -> Result<(Option<user::Model>, PasswordCheck), Error> {
    let slot = state.hasher.reserve(attempt.priority()).map_err(hasher_busy)?;
    let user = user::find_by_username(&state.db, &form.username).await?;
    let stored = user.as_ref().map(|user| user.password_hash.clone());
    let check = state.hasher.verify(slot, form.password.into_bytes(), stored).await?;
    Ok((user, check))
}

/// The address of the client. Requests without a socket, as in tests, share one address.
fn address_of(context: &RequestContext) -> IpAddr {
    context.client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn rate_limited(wait: Duration) -> Refusal {
    metrics::counter!("rushes_logins_total", "outcome" => "slowed_down").increment(1);
    // Rounded up, because `Retry-After` has whole seconds.
    Refusal::new(Code::RateLimited).retry_after(wait + Duration::from_millis(999))
}

fn hasher_busy(_: QueueFull) -> Refusal {
    rate_limited(Duration::from_millis(1))
}
