//! Scopes: what the holder of a credential may do in its account.

/// The permissions of a credential. The token of a login has all of them, and there is no other credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(());

impl Scopes {
    /// Every permission.
    pub const ALL: Self = Self(());
}
