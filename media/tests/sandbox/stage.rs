//! Two neighboring tasks: the scratch directory of one, a file of the other, and a link from here to there.

use domain::protocol::{Depth, SandboxMode, Session};
use std::path::PathBuf;
use tempfile::TempDir;

/// What the other task would not like to see elsewhere.
pub(crate) const SECRET: &str = "the film of somebody else";

pub(crate) struct Stage {
    /// Removed at the end.
    root: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let stage = Self {
            root: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(stage.scratch()).unwrap();
        std::fs::create_dir(stage.root.path().join("neighbor")).unwrap();
        std::fs::write(stage.secret(), SECRET).unwrap();
        std::fs::write(stage.source(), "no film at all").unwrap();
        std::os::unix::fs::symlink(stage.secret(), stage.scratch().join("link")).unwrap();
        stage
    }

    /// The child's own directory.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.path().join("scratch")
    }

    /// The child's own source.
    pub(crate) fn source(&self) -> PathBuf {
        self.root.path().join("source")
    }

    /// A file of another task.
    pub(crate) fn secret(&self) -> PathBuf {
        self.root.path().join("neighbor/secret")
    }

    /// A session with generous limits.
    pub(crate) fn session(&self) -> Session {
        Session {
            sources: vec![self.source()],
            images: Vec::new(),
            scratch: self.scratch(),
            sandbox: SandboxMode::Require,
            max_memory_bytes: 8 << 30,
            max_cpu_s: 600,
            max_file_bytes: 1 << 30,
            threads: 2,
            depth: Depth::Fast,
        }
    }
}
