//! Passwords, tokens, and how often they may be tried.

mod common;
mod password;
mod throttle;
mod token;

pub(crate) use common::is_common;
pub(crate) use password::{Busy, Hasher, Verdict};
pub(crate) use throttle::Gate;
pub(crate) use token::Tokens;
