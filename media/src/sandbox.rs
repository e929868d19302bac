//! The sandbox of the media child: the process gives up rights before it opens a file of a user, and never gets them
//! back.
//!
//! *Problem.* FFmpeg parses files of strangers. An attacker who takes over a decoder must not be able to read or change
//! other files, use the network, start programs, signal processes, or use unlimited memory and processor time.
//!
//! *Mechanism.* Four layers, each of which works without the others:
//!
//! 1. [`harden_process`] drops what the process inherited: descriptors, privileges of set-user-ID programs, debuggers.
//! 2. Resource limits (`limits.rs`) bound memory, processor time, descriptors and file sizes.
//! 3. Landlock (`landlock.rs`) decides which paths can be opened: the scratch directory and a few files that describe
//!    the machine.
//! 4. seccomp (`seccomp.rs`) decides which system calls exist. It is last, because the other layers need calls that it
//!    forbids.
//!
//! *Invariants.* The process is single-threaded while it is confined, so every later thread inherits all layers. Files
//! that were opened before stay open; these are the only files outside of the scratch directory. A layer that the
//! kernel does not have is reported in [`SandboxStatus`] and never assumed. Under [`SandboxMode::Require`] the caller
//! then refuses to work.
//!
//! *Rejected.* Namespaces: container runtimes forbid creating them by default. A seccomp deny-list: new system
//! calls of later kernels would be allowed.
//!
//! [`SandboxMode::Require`]: domain::protocol::SandboxMode::Require

mod landlock;
mod limits;
mod seccomp;
mod sys;

pub use limits::Limits;
pub(crate) use sys::exit_now;

use domain::protocol::{SandboxStatus, Session};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgrp, getpid, getppid, setpgid};
use std::error::Error;
use std::io;
use std::path::Path;

/// Niceness of a media child, relative to the process that started it. At 10 a thread gets about a ninth of the
/// processor share of a thread at 0 (sched(7)): logins are not delayed, and a busy API does not stop the work entirely.
const NICENESS: i32 = 10;

/// Lowers the scheduling priority below that of the API. Call it before any thread exists: priorities belong to threads
/// and are inherited.
pub(crate) fn lower_priority() {
    sys::lower_priority(NICENESS);
}

/// Drops what this process inherited. It will die with its parent, gain no privileges, cannot be traced, leads its own
/// process group, and keeps no descriptors except 0, 1 and 2.
///
/// # Errors
/// A system call failed. The process must not open any file then.
pub fn harden_process() -> io::Result<()> {
    sys::close_from(3)?;
    die_with_parent(getppid())?;
    prctl::set_no_new_privs()?;
    // When memory runs out, the kernel kills this process before the worker. Written before `set_dumpable`, which makes
    // the files in /proc/self unwritable.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
    prctl::set_dumpable(false)?;
    if getpgrp() != getpid() {
        // Fails only for a session leader, which leads its group already.
        let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    }
    Ok(())
}

/// Asks the kernel to kill this process when `parent` dies (`PR_SET_PDEATHSIG`, prctl(2)).
///
/// # Errors
/// The parent is gone already: it sends no signal any more.
pub(crate) fn die_with_parent(parent: Pid) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() == parent {
        Ok(())
    } else {
        Err(io::Error::other("the parent is gone"))
    }
}

/// Lets this process reap its children: a service manager may have left `SIGCHLD` ignored, and then the kernel reaps
/// them.
///
/// # Errors
/// The system call failed.
pub(crate) fn reset_child_signal() -> io::Result<()> {
    sys::reset_child_signal()
}

/// Confines this process for good: resource limits, no capabilities, file access below `scratch` only, and only the
/// system calls that decoding and encoding need. Files that are open stay open.
///
/// # Errors
/// Limits or capabilities could not be set, or the machine lacks file descriptors or memory. A kernel without Landlock
/// or seccomp is no error: the status tells which of them are active.
pub fn confine(scratch: &Path, limits: &Limits) -> io::Result<SandboxStatus> {
    limits.apply()?;
    sys::drop_capabilities()?;
    // Landlock applies to the calling thread and its descendants. With other threads it would not confine the process.
    let landlock = is_single_threaded()? && is_active(landlock::restrict_to(scratch))?;
    let seccomp = is_active(seccomp::install_filters().map_err(Into::into))?;
    Ok(SandboxStatus { landlock, seccomp })
}

fn is_single_threaded() -> io::Result<bool> {
    match std::fs::read_dir("/proc/self/task") {
        Ok(threads) => Ok(threads.count() == 1),
        Err(error) if domain::is_exhaustion(&error) => Err(error),
        Err(_) => Ok(false),
    }
}

/// Returns `true` if a layer was installed. A shortage of the machine does not mean that the kernel lacks the layer.
fn is_active(installed: Result<(), Box<dyn Error>>) -> io::Result<bool> {
    let Err(error) = installed else {
        return Ok(true);
    };
    let mut cause: Option<&(dyn Error + 'static)> = Some(error.as_ref());
    while let Some(error) = cause {
        match error.downcast_ref::<io::Error>() {
            Some(io) if domain::is_exhaustion(io) => {
                return Err(io::Error::from_raw_os_error(io.raw_os_error().unwrap_or(0)));
            }
            _ => cause = error.source(),
        }
    }
    Ok(false)
}

impl From<&Session> for Limits {
    fn from(session: &Session) -> Self {
        Self {
            memory_bytes: session.max_memory_bytes,
            cpu_s: session.max_cpu_s,
            file_bytes: session.max_file_bytes,
        }
    }
}
