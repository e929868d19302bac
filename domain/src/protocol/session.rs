//! The first line to a child: its files, its sandbox and its limits.

use crate::recipe::Name;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use utoipa::ToSchema;

/// The files, the sandbox and the limits of a child. The child opens the sources, locks itself in, and answers
/// [`Event::Ready`](super::Event::Ready).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The files to read: the source, then the clips of intro and outro. Empty for a child that only verifies the files
    /// in `scratch`.
    pub sources: Vec<PathBuf>,
    /// The images that the recipe names, except the built-in one.
    #[serde(default)]
    pub images: Vec<Image>,
    /// The only directory that the child may write to.
    pub scratch: PathBuf,
    /// Behavior if the kernel cannot sandbox the child completely.
    pub sandbox: SandboxMode,
    /// Maximum private writable memory in bytes: heap, stacks and other writable mappings (`RLIMIT_DATA`).
    pub max_memory_bytes: u64,
    /// Maximum CPU time in seconds.
    pub max_cpu_s: u64,
    /// Maximum size of a written file in bytes.
    pub max_file_bytes: u64,
    /// Number of threads for decoding and encoding.
    pub threads: u32,
    /// The part of an output that is decoded to verify it.
    #[serde(default)]
    pub depth: VerifyDepth,
}

/// The part of an output that is decoded to verify it. All packets are read in both cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyDepth {
    /// The first and the last GOP.
    #[default]
    Fast,
    /// All frames.
    Full,
}

/// An image of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The name in the recipe.
    pub name: Name,
    /// Path of the PNG or JPEG file.
    pub path: PathBuf,
}

/// Behavior if the kernel cannot sandbox a child completely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// The session fails.
    Require,
    /// The child continues with the available restrictions, and the report has a warning.
    #[default]
    BestEffort,
}

/// The active restrictions of a sandboxed child.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SandboxStatus {
    /// Landlock restricts access to files.
    pub landlock: bool,
    /// Seccomp filters system calls.
    pub seccomp: bool,
}

impl SandboxStatus {
    /// Returns `true` if all restrictions are active.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.landlock && self.seccomp
    }
}
