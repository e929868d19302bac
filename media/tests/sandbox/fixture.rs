//! Files of two tasks: source and scratch directory of the tested one, and a secret of the other one. A symbolic link
//! in the scratch directory points to the secret.

use domain::protocol::{SandboxMode, Session, VerifyDepth};
use std::path::PathBuf;
use tempfile::TempDir;

/// A test: name and function.
pub(crate) type Test = (&'static str, fn());

/// Content of the file of the other task.
pub(crate) const SECRET: &str = "the video of another account";

pub(crate) struct Fixture {
    /// Removed on drop.
    root: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let fixture = Self {
            root: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(fixture.scratch()).unwrap();
        std::fs::create_dir(fixture.root.path().join("neighbor")).unwrap();
        std::fs::write(fixture.secret(), SECRET).unwrap();
        std::fs::write(fixture.source(), "not a video").unwrap();
        std::os::unix::fs::symlink(fixture.secret(), fixture.scratch().join("link")).unwrap();
        fixture
    }

    /// The scratch directory of the child.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.path().join("scratch")
    }

    /// The source of the child.
    pub(crate) fn source(&self) -> PathBuf {
        self.root.path().join("source")
    }

    /// The file of the other task.
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
            depth: VerifyDepth::Fast,
        }
    }
}
