//! The list of common passwords of eight and more characters, which attackers try first.

/// Returns `true` if a password is on the list, ignoring case.
pub(crate) fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    COMMON.split_ascii_whitespace().any(|common| common == lower)
}

const COMMON: &str = include_str!("common.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_passwords_are_recognized_in_any_case() {
        assert!(is_common("Password1"));
        assert!(is_common("123abc456"));
        assert!(!is_common("correct horse battery staple"));
        assert!(
            COMMON
                .split_ascii_whitespace()
                .all(|word| word.len() >= 8 && word == word.to_lowercase())
        );
    }
}
