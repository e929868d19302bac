//! Limits of a geometry.

/// Limits of a geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of positions.
    pub positions: usize,
}

impl Default for Limits {
    /// 1,000,000 positions.
    fn default() -> Self {
        Self { positions: 1_000_000 }
    }
}
