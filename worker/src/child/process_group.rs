//! The process group of a child: signaled as a whole, and reaped only after it was killed.
//!
//! The leader is reaped last. Until then its process ID, which is also the ID of the group, cannot be reused, so a
//! signal can never reach a foreign process.

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Time for the kernel to end a killed process; after that it is left to the runtime.
const REAP_TIMEOUT: Duration = Duration::from_secs(2);
/// First pause between two polls of an ending process; it doubles up to [`POLL_PAUSE_MAX`].
const POLL_PAUSE: Duration = Duration::from_millis(1);
const POLL_PAUSE_MAX: Duration = Duration::from_millis(10);

/// A process group and its leader.
#[derive(Debug)]
pub(super) struct ProcessGroup {
    leader: tokio::process::Child,
    id: Pid,
    is_reaped: bool,
}

impl ProcessGroup {
    /// Takes a process that was started as the leader of its own group.
    pub(super) const fn new(leader: tokio::process::Child, id: Pid) -> Self {
        Self {
            leader,
            id,
            is_reaped: false,
        }
    }

    /// ID of the group and of its leader.
    #[cfg(test)]
    pub(super) const fn id(&self) -> Pid {
        self.id
    }

    /// Sends SIGTERM to the group.
    pub(super) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Waits until the leader has ended, at most `time`. Does not reap it.
    pub(super) async fn wait(&self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut pause = POLL_PAUSE;
        while !self.has_ended() && Instant::now() < deadline {
            sleep(pause).await;
            pause = POLL_PAUSE_MAX.min(pause * 2);
        }
    }

    /// Kills the group and reaps the leader. `None` when the leader was reaped before, or does not end in time.
    pub(super) async fn kill(&mut self) -> Option<ExitStatus> {
        if self.is_reaped {
            return None;
        }
        self.signal(Signal::SIGKILL);
        let status = timeout(REAP_TIMEOUT, self.leader.wait()).await.ok()?.ok();
        self.is_reaped = status.is_some();
        status
    }

    /// True when the leader has ended.
    pub(super) fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(
            waitid(Id::Pid(self.id), flags),
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR)
        )
    }

    fn signal(&self, signal: Signal) {
        if !self.is_reaped {
            // Fails only when the group has no process left.
            let _ = killpg(self.id, signal);
        }
    }
}

impl Drop for ProcessGroup {
    /// Kills the group. The runtime reaps the leader (`kill_on_drop`).
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
