//! How a child is started and how long it is waited for.

use std::path::PathBuf;
use std::time::Duration;

/// How a child is started and how long it is waited for.
#[derive(Clone, Debug)]
pub struct ChildSettings {
    /// The program: this very binary.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Longest time from the start to [`domain::protocol::Event::Ready`].
    pub start: Duration,
    /// Longest time without any event, or in which a stage at work moves no packet and no frame.
    pub silence: Duration,
    /// Longest time for a probe or a verification.
    pub look: Duration,
    /// Time between the request to end and `SIGKILL`.
    pub kill_grace: Duration,
}

impl ChildSettings {
    /// `<program> media` with the usual limits: 10 s to start, 60 s of silence, 5 min to look, 2 s to end.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            args: vec!["media".into()],
            start: Duration::from_secs(10),
            silence: Duration::from_mins(1),
            look: Duration::from_mins(5),
            kill_grace: Duration::from_secs(2),
        }
    }
}
