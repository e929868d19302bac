//! User names, e-mail addresses and passwords. A value of these types is valid.

use crate::code::Code;
use std::fmt;

/// A user name: 1 to 80 characters, no control characters, no white space around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

/// An e-mail address: one `@` between two non-empty parts, at most 254 bytes (RFC 5321 §4.5.3.1), no white space. The
/// check is loose on purpose: only a delivered message proves that an address exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

/// A password of at least 8 characters and at most 1,024 bytes. `Debug` does not print it.
#[derive(Clone)]
pub struct Password(String);

impl Username {
    /// Parses a user name and removes white space around it.
    ///
    /// # Errors
    /// [`Code::UsernameInvalid`].
    pub fn parse(text: &str) -> Result<Self, Code> {
        let name = text.trim();
        let is_valid = (1..=80).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if is_valid {
            Ok(Self(name.to_owned()))
        } else {
            Err(Code::UsernameInvalid)
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Email {
    /// Parses an address, removes white space around it, and converts the host to lower case.
    ///
    /// # Errors
    /// [`Code::EmailInvalid`].
    pub fn parse(text: &str) -> Result<Self, Code> {
        let text = text.trim();
        let is_printable = text.len() <= 254 && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        let parts = text.rsplit_once('@').filter(|(local, host)| {
            !local.is_empty() && local.len() <= 64 && !local.contains('@') && !host.is_empty() && !host.starts_with('.')
        });
        match parts {
            // Hosts are case-insensitive; the meaning of the local part is up to the receiving host (RFC 5321 §2.4).
            Some((local, host)) if is_printable => Ok(Self(format!("{local}@{}", host.to_lowercase()))),
            _ => Err(Code::EmailInvalid),
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Password {
    /// Checks the length of a password.
    ///
    /// # Errors
    /// [`Code::PasswordTooShort`] below 8 characters, [`Code::PasswordTooLong`] over 1,024 bytes.
    pub fn parse(text: String) -> Result<Self, Code> {
        match text.len() {
            _ if text.chars().count() < 8 => Err(Code::PasswordTooShort),
            1_025.. => Err(Code::PasswordTooLong),
            _ => Ok(Self(text)),
        }
    }

    /// Returns the password, to be hashed only.
    #[must_use]
    pub const fn secret(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_loosely_and_hosts_become_lower_case() {
        assert_eq!(Email::parse(" Ana@Example.COM ").unwrap().as_str(), "Ana@example.com");
        for invalid in ["", "a", "@b", "a@", "a b@c", "a@b@c", "a\n@b", "a@.b"] {
            assert_eq!(Email::parse(invalid), Err(Code::EmailInvalid), "{invalid:?}");
        }
    }

    #[test]
    fn a_password_is_counted_in_characters_and_never_printed() {
        assert_eq!(
            Password::parse("ñandú77".to_owned()).unwrap_err(),
            Code::PasswordTooShort
        );
        assert_eq!(Password::parse("x".repeat(1_025)).unwrap_err(), Code::PasswordTooLong);
        assert_eq!(
            format!("{:?}", Password::parse("12345678".to_owned()).unwrap()),
            "Password(…)"
        );
    }
}
