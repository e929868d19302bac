//! Sessions of media children: the files that a child may open, and its limits.

use crate::child::Unconfirmed;
use crate::env::Env;
use domain::Failure;
use domain::protocol::{Image, SandboxStatus, Session};
use std::path::PathBuf;

/// Paths of the files that a child reads. Empty for a child that only verifies outputs.
#[derive(Clone, Default)]
pub(crate) struct InputFiles {
    /// The source, then the clips of intro and outro.
    pub(crate) sources: Vec<PathBuf>,
    /// Images, under the names of the recipe.
    pub(crate) images: Vec<Image>,
}

/// Number of attempts to start a child in [`Env::sandbox`]. A machine may lack processes or memory for a moment.
const SANDBOX_ATTEMPTS: u32 = 3;
/// Wall clock limit of a transcode: this factor times the length of the media, but at least [`WALL_LIMIT_MIN_S`].
const WALL_LIMIT_FACTOR: u64 = 30;
const WALL_LIMIT_MIN_S: u64 = 60;

impl Env {
    /// The session of a child that reads `files` and writes into `scratch`.
    pub(crate) fn session(&self, files: InputFiles, scratch: PathBuf) -> Session {
        let settings = &self.settings;
        Session {
            sources: files.sources,
            images: files.images,
            scratch,
            sandbox: settings.sandbox,
            max_memory_bytes: settings.child_memory_bytes,
            max_cpu_s: wall_limit_s(settings.limits.max_duration_us) * u64::from(settings.threads.max(1)),
            max_file_bytes: settings.limits.max_upload_bytes.saturating_mul(4),
            threads: settings.threads,
            depth: settings.verify_depth,
        }
    }

    /// Starts a child to find out which parts of the sandbox the kernel supports.
    ///
    /// # Errors
    /// When no child can be started, so that no task can be processed.
    pub async fn sandbox(&self) -> Result<SandboxStatus, Failure> {
        for _ in 1..SANDBOX_ATTEMPTS {
            match self.try_sandbox().await {
                Ok(status) => return Ok(status),
                Err(error) => tracing::warn!(%error, "failed to start a media child"),
            }
        }
        self.try_sandbox().await
    }

    async fn try_sandbox(&self) -> Result<SandboxStatus, Failure> {
        let session = self.session(InputFiles::default(), self.scratch.path().to_owned());
        let child = self.children.start(session, Unconfirmed::Postpone).await?;
        let status = child.status().clone();
        child.finish().await;
        if !status.is_full() {
            tracing::warn!(
                ?status,
                "this kernel does not support the whole sandbox of media children"
            );
        }
        Ok(status)
    }
}

/// Wall clock limit in seconds for media of this length.
pub(crate) const fn wall_limit_s(length_us: u64) -> u64 {
    let seconds = WALL_LIMIT_FACTOR * (length_us / 1_000_000);
    if seconds > WALL_LIMIT_MIN_S {
        seconds
    } else {
        WALL_LIMIT_MIN_S
    }
}
