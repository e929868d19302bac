//! Accounts: sign-up and login, with hashed passwords and limits on guessing.

mod common_passwords;
mod expiring_map;
pub(crate) mod password;
pub(crate) mod policy;
pub(crate) mod pool;
pub(crate) mod throttle;

pub use policy::{PasswordPolicy, Rate, RateLimits};

use crate::app::App;
use crate::{Error, Refusal};
use common_passwords::is_common;
use domain::account::{Email, Password, Username};
use domain::{Code, UserId};
use entity::library_change::{self, Subject};
use entity::user;
use password::{PasswordCheck, QueueFull};
use pool::Priority;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use throttle::LoginAttempt;

/// A new account.
#[derive(Debug)]
pub struct SignUp {
    /// The name of the account.
    pub username: Username,
    /// The address as given. It is parsed late, because a taken name is reported before an invalid address.
    pub email: String,
    /// The password.
    pub password: Password,
}

/// A name and a password of any form.
pub struct Login {
    /// The name of the account.
    pub username: String,
    /// The password.
    pub password: String,
}

/// Creates an account. `address` is that of the client.
///
/// # Errors
/// `rate_limited`, `password_common`, `username_taken`, `email_invalid`, `email_taken`.
pub async fn sign_up(app: &App, new: SignUp, address: IpAddr) -> Result<user::Model, Error> {
    app.limiter.sign_up(address, Instant::now()).map_err(rate_limited)?;
    if app.settings.password_policy == PasswordPolicy::Strict && is_common(new.password.secret()) {
        return Err(Refusal::of_field("password1", Code::PasswordCommon).into());
    }
    let SignUp {
        username,
        email,
        password,
    } = new;
    let slot = app.hasher.reserve(Priority::Other).map_err(hasher_busy)?;
    if user::has_name(&app.db, &username).await? {
        return Err(Refusal::of_field("username", Code::UsernameTaken).into());
    }
    let email = Email::parse(&email).map_err(|code| Refusal::of_field("email", code))?;
    if user::has_email(&app.db, &email).await? {
        return Err(Refusal::of_field("email", Code::EmailTaken).into());
    }
    let hash = app.hasher.hash(slot, password).await?;
    let created = entity::write(&app.db, async |db| {
        let user = user::create(db, &username, &email, hash).await?;
        library_change::append(db, &[Subject::Account(user.id)]).await?;
        Ok(user)
    });
    let user = match created.await {
        // Another sign-up took the name or the address after the checks above.
        Err(error) if entity::is_duplicate(&error) => {
            let is_name_taken = user::has_name(&app.db, &username).await?;
            let (field, code) = if is_name_taken {
                ("username", Code::UsernameTaken)
            } else {
                ("email", Code::EmailTaken)
            };
            return Err(Refusal::of_field(field, code).into());
        }
        created => created?,
    };
    app.limiter.record_sign_up(&user.username, address, Instant::now());
    tracing::info!(user = user.id, "signed up");
    Ok(user)
}

/// Time within which the database must know an account before the catalog is asked as well.
const VIEWER_FIRST_TIMEOUT: Duration = Duration::from_millis(400);

/// Time within which the database must know an account that the catalog does not know.
const VIEWER_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Checks that the account of a valid token exists, for reads that the catalog answers. While the database is away or
/// slow, the catalog tells it.
///
/// # Errors
/// `token_invalid`; `unavailable` when the database is away for too long.
pub async fn check_viewer(app: &App, account: UserId) -> Result<(), Error> {
    let is_known = async || app.library.has_account(account).await;
    if !app.library.is_degraded() {
        let exists = entity::with_timeout(VIEWER_TIMEOUT, user::exists(&app.db, account));
        let mut exists = std::pin::pin!(exists);
        let exists = match tokio::time::timeout(VIEWER_FIRST_TIMEOUT, &mut exists).await {
            Ok(exists) => exists,
            // The circuit breaker has not noticed the outage yet, or the database is busy.
            Err(_) if matches!(is_known().await, Ok(true)) => return Ok(()),
            Err(_) => exists.await,
        };
        match exists {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(Code::TokenInvalid.into()),
            Err(error) if entity::is_unavailable(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // An account that signed up just before the outage is not in the catalog, but its token is valid.
    is_known().await?.then_some(()).ok_or_else(|| Code::Unavailable.into())
}

/// Checks a name and a password, and returns the account. `address` is that of the client.
///
/// # Errors
/// `rate_limited`, `credentials_wrong`: the same for an unknown name and a wrong password.
pub async fn login(app: &App, login: Login, address: IpAddr) -> Result<UserId, Error> {
    let attempt = app
        .limiter
        .login(&login.username, address, Instant::now())
        .map_err(rate_limited)?;
    let (user, check) = match check_password(app, &attempt, login).await {
        Ok(checked) => checked,
        Err(error) => {
            app.limiter.cancel_attempt(&attempt, Instant::now());
            return Err(error);
        }
    };
    let (Some(user), PasswordCheck::Correct | PasswordCheck::Outdated(_)) = (user, &check) else {
        metrics::counter!("rushes_logins_total", "outcome" => "refused").increment(1);
        return Err(Code::CredentialsWrong.into());
    };
    app.limiter.record_success(&attempt, Instant::now());
    if let PasswordCheck::Outdated(hash) = check {
        user::set_password_hash(&app.db, user.user_id(), hash).await?;
    }
    metrics::counter!("rushes_logins_total", "outcome" => "accepted").increment(1);
    Ok(user.user_id())
}

/// Checks the password of a login. An account that does not exist takes the same time.
async fn check_password(
    app: &App,
    attempt: &LoginAttempt,
    login: Login,
) -> Result<(Option<user::Model>, PasswordCheck), Error> {
    let slot = app.hasher.reserve(attempt.priority()).map_err(hasher_busy)?;
    let user = user::find_by_username(&app.db, &login.username).await?;
    let stored = user.as_ref().map(|user| user.password_hash.clone());
    let check = app.hasher.verify(slot, login.password.into_bytes(), stored).await?;
    Ok((user, check))
}

pub(crate) fn rate_limited(wait: Duration) -> Refusal {
    metrics::counter!("rushes_logins_total", "outcome" => "slowed_down").increment(1);
    // Rounded up, because clients get whole seconds.
    Refusal::new(Code::RateLimited).retry_after(wait + Duration::from_millis(999))
}

pub(crate) fn hasher_busy(_: QueueFull) -> Refusal {
    rate_limited(Duration::from_millis(1))
}
