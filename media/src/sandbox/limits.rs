//! Resource limits of the media child (setrlimit(2)).

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;

/// Descriptors: the standard streams, the sources, and more than the outputs of the largest plan need.
const MAX_DESCRIPTORS: u64 = 256;
/// Address space beyond the limit of memory, for libraries and for the arenas that `malloc` reserves per thread and
/// never writes to.
const RESERVED_BYTES: u64 = 32 << 30;
/// Seconds of processor time between `SIGXCPU`, which can be caught, and `SIGKILL`.
const CPU_GRACE_S: u64 = 5;

/// Resource limits of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Private writable memory in bytes: heap, stacks and writable mappings (`RLIMIT_DATA`).
    pub memory_bytes: u64,
    /// Processor time in seconds (`RLIMIT_CPU`).
    pub cpu_s: u64,
    /// Size of each file in bytes (`RLIMIT_FSIZE`).
    pub file_bytes: u64,
}

impl Limits {
    /// Applies the limits to this process. Limits that are lower already stay as they are.
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

/// Lowers a limit, but not above the current hard limit: raising it would need a capability.
fn lower(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let (_, ceiling) = getrlimit(resource)?;
    Ok(setrlimit(resource, soft.min(ceiling), hard.min(ceiling))?)
}
