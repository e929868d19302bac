//! The role of a process.

/// The role of a process: its subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs API and worker.
    Up,
    /// Runs the API.
    Backend,
    /// Runs a worker.
    Worker,
    /// Watches a folder.
    Watch,
    /// Runs migrations, then ends.
    Migrate,
    /// Copies database and files, then ends.
    Backup,
}

impl Role {
    /// Name of the subcommand.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Backend => "backend",
            Self::Worker => "worker",
            Self::Watch => "watch",
            Self::Migrate => "migrate",
            Self::Backup => "backup",
        }
    }
}
