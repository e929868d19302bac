//! The system calls that no safe wrapper covers.
#![allow(unsafe_code, reason = "a leaf that only wraps system calls")]

use std::io;

/// Closes every descriptor from `first` on.
///
/// # Errors
/// The descriptor table is out of the range that can be walked.
pub(super) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: takes three integers. The caller runs before anything in this process owns a descriptor above 2.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if answer == 0 {
        return Ok(());
    }
    // Kernels before 5.9: walk the table.
    let (_, most) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    for fd in i64::from(first)..i64::try_from(most.min(1 << 20)).map_err(io::Error::other)? {
        // SAFETY: as above; a number that is no descriptor gives an error that means nothing.
        unsafe { libc::syscall(libc::SYS_close, fd) };
    }
    Ok(())
}

/// Gives up every capability, so that root in a container is a user like any other.
///
/// # Errors
/// What the kernel refused.
pub(super) fn drop_capabilities() -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h: two words of 32 bits a set.
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let none = [0_u32; 6];
    // SAFETY: both pointers are to live arrays of the size that version 3 asks for; the kernel only reads them.
    let answer = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets every other process have the processors first: `niceness` more than this thread has, and the policy `SCHED_BATCH`, by
/// which its threads never interrupt others when they wake up (sched(7)). Threads that it starts inherit both.
///
/// Raising the niceness needs no right; where a container refuses, the thread keeps its priority.
pub(super) fn yield_processors(niceness: i32) {
    let batch = libc::sched_param { sched_priority: 0 };
    // SAFETY: `nice` takes an integer. The second call gets a pointer to a live structure, which the kernel only reads.
    unsafe {
        libc::nice(niceness);
        libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const batch);
    }
}

/// Ends the process at once: no destructors of libraries whose threads still run.
pub(crate) fn die_now(code: i32) -> ! {
    // SAFETY: `_exit` takes an integer and never returns.
    unsafe { libc::_exit(code) }
}
