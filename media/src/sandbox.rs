//! Locks this process in before it opens a byte of a stranger's file: descriptors, limits, Landlock, seccomp.
//!
//! Everything here expects to run first in `main`, on the only thread. What it grants, threads started later inherit;
//! Landlock does not reach a thread that a library started before, and then it is not told to be there.

mod calls;
mod files;
mod limits;
mod sys;

pub use limits::Limits;
pub(crate) use sys::die_now;

use domain::protocol::{SandboxStatus, Session};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgrp, getpid, getppid, setpgid};
use std::io;
use std::path::Path;

/// How much less of a processor a media child gets than the API beside it: at 10 a thread weighs a ninth of one at 0 (sched(7)).
/// Enough that a login does not notice it, and not so much that a busy API stops the work for good.
const NICENESS: i32 = 10;

/// Lets the API and everything else on the machine have the processors first. Call it before any thread exists: priorities belong to
/// threads, and are inherited.
pub(crate) fn yield_processors() {
    sys::yield_processors(NICENESS);
}

/// Cuts what this process inherited: dies with its parent, gains no privileges, cannot be traced, leads its own
/// process group, and keeps no descriptor but 0, 1 and 2.
///
/// # Errors
/// What the kernel refused; nothing may be opened then.
pub fn cut_loose() -> io::Result<()> {
    sys::close_from(3)?;
    let parent = getppid();
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        return Err(io::Error::other("the parent is gone"));
    }
    prctl::set_no_new_privs()?;
    // While /proc still belongs to us: when memory runs out, this process goes before the one that started it.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
    prctl::set_dumpable(false)?;
    if getpgrp() != getpid() {
        // Fails only for a session leader, which leads its group already.
        let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    }
    Ok(())
}

/// Closes the door: limits, no capabilities, then files below `scratch` and the system calls that decoding and
/// encoding need, and nothing else. What was opened before stays open.
///
/// # Errors
/// What the kernel refused of the parts that every kernel has. Landlock and seccomp are in the status instead.
pub fn enter(scratch: &Path, limits: &Limits) -> io::Result<SandboxStatus> {
    limits.apply()?;
    sys::drop_capabilities()?;
    let landlock = is_alone() && files::confine(scratch).is_ok();
    let seccomp = calls::filter().is_ok();
    Ok(SandboxStatus { landlock, seccomp })
}

/// Whether this thread is the only one.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
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
