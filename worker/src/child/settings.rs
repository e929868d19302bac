//! Executable and timeouts of children.

use std::path::PathBuf;
use std::time::Duration;

/// The executable that starts children, and their timeouts.
#[derive(Clone, Debug)]
pub struct ChildSettings {
    /// The executable, normally `rushes-media`.
    pub executable: PathBuf,
    /// The arguments that make it a fork server.
    pub args: Vec<String>,
    /// Time from the start to [`domain::protocol::Event::Ready`].
    pub start_timeout: Duration,
    /// Time without any event, or in which a working stage moves no packet and no frame.
    pub stall_timeout: Duration,
    /// Time for a probe, and for a verification that does not decode everything.
    pub probe_timeout: Duration,
    /// Time between SIGTERM and SIGKILL.
    pub kill_grace: Duration,
}

impl ChildSettings {
    /// `<executable> fork-server` with the default timeouts: 10 s to start, 60 s of stall, 5 min to probe, 2 s to
    /// terminate.
    #[must_use]
    pub fn new(executable: PathBuf) -> Self {
        Self {
            executable,
            args: vec!["fork-server".into()],
            start_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_mins(1),
            probe_timeout: Duration::from_mins(5),
            kill_grace: Duration::from_secs(2),
        }
    }
}
