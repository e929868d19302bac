//! Stand-in.

/// Stand-in.
#[derive(Clone, Debug, Default)]
pub struct Sealing;

impl Sealing {
    /// Stand-in.
    ///
    /// # Errors
    /// None.
    pub fn seal(&self, text: &str) -> anyhow::Result<String> {
        Ok(text.chars().rev().collect())
    }

    /// Stand-in.
    ///
    /// # Errors
    /// None.
    pub fn open(&self, sealed: &str) -> anyhow::Result<String> {
        Ok(sealed.chars().rev().collect())
    }
}
