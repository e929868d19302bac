//! A process group and its leader: signalled together, and reaped only when nobody is left to signal.

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A killed process that the kernel does not let go within this time is left to the runtime.
const REAP: Duration = Duration::from_secs(2);
/// Longest nap between two looks at a process that is about to end.
const NAP: Duration = Duration::from_millis(10);

/// The leader is not reaped before the group was killed: until then its number cannot belong to anybody else.
#[derive(Debug)]
pub(super) struct Group {
    leader: tokio::process::Child,
    id: Pid,
    reaped: bool,
}

impl Group {
    /// Takes a process that was started as the leader of its own group.
    pub(super) const fn new(leader: tokio::process::Child, id: Pid) -> Self {
        Self {
            leader,
            id,
            reaped: false,
        }
    }

    /// Its number, which is also the leader's.
    #[cfg(test)]
    pub(super) const fn id(&self) -> Pid {
        self.id
    }

    /// Asks the whole group to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Waits until the leader has ended, at most `patience`; it stays there to be reaped.
    pub(super) async fn wait(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut nap = Duration::from_millis(1);
        while !self.has_ended() && Instant::now() < until {
            sleep(nap).await;
            nap = NAP.min(nap * 2);
        }
    }

    /// Kills the whole group and reaps the leader; `None` when the kernel does not let it go, or it is reaped already.
    pub(super) async fn kill(&mut self) -> Option<ExitStatus> {
        if self.reaped {
            return None;
        }
        self.signal(Signal::SIGKILL);
        let status = timeout(REAP, self.leader.wait()).await.ok()?.ok();
        self.reaped = status.is_some();
        status
    }

    /// Whether the leader has ended by itself, or somebody killed it.
    pub(super) fn has_ended(&self) -> bool {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(
            waitid(Id::Pid(self.id), look),
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR)
        )
    }

    fn signal(&self, signal: Signal) {
        if !self.reaped {
            // Refused only when nobody is left.
            let _ = killpg(self.id, signal);
        }
    }
}

impl Drop for Group {
    /// The runtime reaps the leader afterwards, see `kill_on_drop`.
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
