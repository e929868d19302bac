//! Passwords, tokens, and how often they may be tried.

mod known_passwords;
mod password;
mod pool;
mod table;
mod throttle;
mod token;

pub(crate) use known_passwords::is_common;
pub(crate) use password::{Busy, Hasher, Verdict};
pub(crate) use pool::Priority;
pub(crate) use throttle::{Attempt, Gate};
pub(crate) use token::Tokens;
