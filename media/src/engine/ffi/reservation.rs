//! Reserved memory that is never written to. It needs no heap, so that signal handlers can use it.

use std::ptr::{self, NonNull};

/// Private memory of this process. Released on drop.
pub(crate) struct Reservation {
    start: NonNull<libc::c_void>,
    bytes: usize,
}

impl Reservation {
    /// Reserves memory; `None` if the kernel refuses it.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        let (rights, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping at an address that the kernel chooses.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, rights, kind, -1, 0) };
        let start = Some(start).filter(|start| *start != libc::MAP_FAILED);
        start.and_then(NonNull::new).map(|start| Self { start, bytes })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the mapping is that of `new`, and nothing refers to it.
        unsafe { libc::munmap(self.start.as_ptr(), self.bytes) };
    }
}
