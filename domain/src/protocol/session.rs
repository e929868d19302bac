//! The first line to a child: what it may touch, and how it works.

use crate::recipe::Name;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The first line: what the child may touch. It opens the source, locks itself in, and answers [`Event::Ready`](super::Event::Ready).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The files to read: the source, then the clips of intro and outro; none for a child that only verifies what lies
    /// in `scratch`.
    pub sources: Vec<PathBuf>,
    /// The images that the recipe names, but for the built-in one.
    #[serde(default)]
    pub images: Vec<Image>,
    /// The only directory it may write to.
    pub scratch: PathBuf,
    /// What to do when the kernel cannot lock the child in.
    pub sandbox: SandboxMode,
    /// Most bytes of memory of its own: heap, stacks, and whatever else it can write to.
    pub max_memory_bytes: u64,
    /// Most seconds of processor time.
    pub max_cpu_s: u64,
    /// Largest file it may write, in bytes.
    pub max_file_bytes: u64,
    /// Threads for decoding and encoding.
    pub threads: u32,
    /// How much of an output is decoded to verify it.
    #[serde(default)]
    pub depth: Depth,
}

/// How much of an output is decoded to verify it. Its packets are all read in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// The first and the last group of pictures.
    #[default]
    Fast,
    /// Everything.
    Full,
}

/// An image of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its name in the recipe.
    pub name: Name,
    /// The PNG or JPEG file.
    pub path: PathBuf,
}

/// What to do when the kernel cannot lock the child in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// Refuse to open the source.
    Require,
    /// Go on with what there is, and say so.
    #[default]
    BestEffort,
}

/// What the kernel granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxStatus {
    /// File access is confined by Landlock.
    pub landlock: bool,
    /// System calls are filtered by seccomp.
    pub seccomp: bool,
}

impl SandboxStatus {
    /// Whether everything holds.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.landlock && self.seccomp
    }
}
