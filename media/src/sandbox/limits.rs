//! Resource limits of the child. They bound what a codec can waste, not what it can do.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;

/// Descriptors: the source, three standard streams, and the outputs of the largest plan with room to spare.
const MAX_DESCRIPTORS: u64 = 256;
/// Address space beyond the memory: libraries, and what `malloc` reserves for each thread and never touches.
const RESERVED_BYTES: u64 = 32 << 30;
/// Seconds between the signal that tells "time is up" (`SIGXCPU`) and the one that cannot be caught.
const CPU_GRACE_S: u64 = 5;

/// What one session may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory that is its own: heap, stacks, and whatever else can be written to.
    pub memory_bytes: u64,
    /// Seconds of processor time.
    pub cpu_s: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
}

impl Limits {
    /// Sets them for this process, never above what it has already.
    pub(super) fn apply(self) -> io::Result<()> {
        lower(Resource::RLIMIT_CORE, 0, 0)?;
        lower(Resource::RLIMIT_NOFILE, MAX_DESCRIPTORS, MAX_DESCRIPTORS)?;
        lower(Resource::RLIMIT_FSIZE, self.file_bytes, self.file_bytes)?;
        lower(Resource::RLIMIT_CPU, self.cpu_s, self.cpu_s.saturating_add(CPU_GRACE_S))?;
        let space = self.memory_bytes.saturating_add(RESERVED_BYTES);
        lower(Resource::RLIMIT_AS, space, space)?;
        lower(Resource::RLIMIT_DATA, self.memory_bytes, self.memory_bytes)
    }
}

fn lower(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let (_, ceiling) = getrlimit(resource)?;
    Ok(setrlimit(resource, soft.min(ceiling), hard.min(ceiling))?)
}
