//! System calls for which no crate has a safe wrapper.
#![allow(unsafe_code, reason = "a leaf module that wraps system calls")]

use std::io;

/// Closes every descriptor from `first` on.
///
/// # Errors
/// The size of the descriptor table cannot be read; on kernels before 5.9 only.
pub(super) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: takes three integers. The caller runs before anything in this process owns a descriptor above 2.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if answer == 0 {
        return Ok(());
    }
    // Kernels before 5.9 have no `close_range`: close the descriptors one by one.
    let (_, max) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    for fd in i64::from(first)..i64::try_from(max.min(1 << 20)).map_err(io::Error::other)? {
        // SAFETY: as above. `EBADF` for a number that is not open can be ignored.
        unsafe { libc::syscall(libc::SYS_close, fd) };
    }
    Ok(())
}

/// Drops all capabilities, so that root in a container has no more rights than any other user.
///
/// # Errors
/// The error of `capset`.
pub(super) fn drop_capabilities() -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h: two 32-bit words per set.
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

/// Lowers the priority of this thread and of the threads that it will start: adds `niceness`, and sets the policy
/// `SCHED_BATCH`, under which a thread that wakes up does not preempt others (sched(7)).
///
/// Errors are ignored: lowering a priority needs no rights, and where a container forbids it, the child still works.
pub(super) fn lower_priority(niceness: i32) {
    let batch = libc::sched_param { sched_priority: 0 };
    // SAFETY: `nice` takes an integer. The second call gets a pointer to a live structure, which the kernel only reads.
    unsafe {
        libc::nice(niceness);
        libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const batch);
    }
}

/// Exits at once, without running destructors and exit handlers of libraries whose threads still run.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes an integer and never returns.
    unsafe { libc::_exit(code) }
}

/// Sets the default action for `SIGCHLD`.
pub(super) fn reset_child_signal() -> io::Result<()> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: the default action runs no code of this process.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    Ok(())
}
