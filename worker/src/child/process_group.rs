//! The process group of a child: signaled as a whole, and reaped only after it was killed.
//!
//! The leader is reaped last. Until then its process ID, which is also the ID of the group, cannot be reused, so a
//! signal can never reach a foreign process. The leader is a child of the fork server, which reaps it on request. When
//! the server has ended, the kernel has killed the leader, and only the leader is signaled.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// Time for the kernel to end a killed process; after that it is left to the fork server.
const REAP_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between two polls of an ending process that cannot be watched.
const POLL_PAUSE: Duration = Duration::from_millis(1);

/// A request to reap a leader that was killed.
pub(super) struct ReapRequest {
    pub(super) leader: Pid,
    /// Dropped without a value when the leader cannot be reaped, so that its status is unknown.
    pub(super) reply: oneshot::Sender<ExitStatus>,
}

/// The fork server that started a leader.
#[derive(Clone)]
pub(super) struct Parent {
    /// Becomes readable when the server ends.
    pub(super) pidfd: Arc<OwnedFd>,
    /// Passes a request to the server.
    pub(super) reap: Arc<dyn Fn(ReapRequest) + Send + Sync>,
}

/// A process group and its leader.
pub(super) struct ProcessGroup {
    id: Pid,
    /// Becomes readable when the leader ends (`pidfd_open(2)`).
    leader: OwnedFd,
    parent: Parent,
    /// The leader is reaped, or will be.
    is_reaped: bool,
}

impl Parent {
    fn reap(&self, leader: Pid) -> oneshot::Receiver<ExitStatus> {
        let (reply, status) = oneshot::channel();
        (self.reap)(ReapRequest { leader, reply });
        status
    }
}

impl ProcessGroup {
    /// Takes a process that the server has started as the leader of its own group.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub(super) fn new(id: Pid, parent: Parent) -> io::Result<Self> {
        match pidfd_open(id, PidfdFlags::empty()) {
            Ok(leader) => Ok(Self {
                id,
                leader,
                parent,
                is_reaped: false,
            }),
            Err(error) => {
                let _ = kill_process_group(id, Signal::KILL);
                drop(parent.reap(id));
                Err(error.into())
            }
        }
    }

    /// ID of the group and of its leader.
    #[cfg(test)]
    pub(super) const fn id(&self) -> Pid {
        self.id
    }

    /// True when the leader has ended.
    pub(super) fn has_ended(&self) -> bool {
        has_ended(&self.leader)
    }

    /// Sends SIGTERM to the group.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits until the leader has ended, at most `time`. Does not reap it.
    #[allow(unsafe_code, reason = "a leaf module: a descriptor is registered")]
    pub(super) async fn wait(&self, time: Duration) {
        let ended = async {
            // SAFETY: the descriptor is borrowed, so it stays open as long as this watches it.
            match unsafe { AsyncFd::register_with_interest(self.leader.as_fd(), Interest::READABLE) } {
                Ok(leader) => drop(leader.readable().await),
                // The kernel watches no more descriptors for this process, or has no memory.
                Err(_) => {
                    while !self.has_ended() {
                        sleep(POLL_PAUSE).await;
                    }
                }
            }
        };
        // The caller sees if it has ended.
        let _ = timeout(time, ended).await;
    }

    /// Kills the group and reaps the leader. `None` when the leader was reaped before or does not end in time.
    pub(super) async fn kill(&mut self) -> Option<ExitStatus> {
        if self.is_reaped {
            return None;
        }
        self.signal(Signal::KILL);
        self.wait(REAP_TIMEOUT).await;
        let Some(status) = self.reap() else {
            // The kernel has killed it when the server ended.
            return Some(ExitStatus::from_raw(Signal::KILL.as_raw()));
        };
        timeout(REAP_TIMEOUT, status).await.ok()?.ok()
    }

    /// Requests that the leader is reaped; `None` when it ended with the server.
    fn reap(&mut self) -> Option<oneshot::Receiver<ExitStatus>> {
        self.is_reaped = true;
        let is_child = !has_ended(&self.parent.pidfd);
        is_child.then(|| self.parent.reap(self.id))
    }

    fn signal(&self, signal: Signal) {
        // Both fail only when there is no process left.
        if has_ended(&self.parent.pidfd) {
            let _ = pidfd_send_signal(&self.leader, signal);
        } else if !self.is_reaped {
            let _ = kill_process_group(self.id, signal);
        }
    }
}

impl fmt::Debug for ProcessGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessGroup")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Drop for ProcessGroup {
    /// Kills the group. The server reaps the leader when it has ended.
    fn drop(&mut self) {
        if !self.is_reaped {
            self.signal(Signal::KILL);
            drop(self.reap());
        }
    }
}

/// True when the process of a `pidfd` has ended.
fn has_ended(pidfd: &impl AsFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
}
