//! Scopes: what the holder of a credential may do in its account.

/// One permission of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Reading tasks, outputs, images and presets.
    Read,
    /// Creating, changing and removing them.
    Write,
}

/// The set of permissions of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every permission. The token of a login has it.
    pub const ALL: Self = Self(Scope::Read.bit() | Scope::Write.bit());

    /// Returns `true` if the set has this permission.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

impl Scope {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_scopes_contain_each_one() {
        for scope in [Scope::Read, Scope::Write] {
            assert!(Scopes::ALL.contains(scope), "{scope:?}");
        }
        assert!(!Scopes(0).contains(Scope::Read));
    }
}
