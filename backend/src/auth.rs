//! Authentication: password hashes, access tokens, and rate limits of sign-up and login.

mod common_passwords;
mod expiring_map;
mod password;
mod pool;
mod throttle;
mod token;

pub(crate) use common_passwords::is_common;
pub(crate) use password::{Hasher, PasswordCheck, QueueFull};
pub(crate) use pool::Priority;
pub(crate) use throttle::{AttemptLimiter, LoginAttempt};
pub(crate) use token::Tokens;
