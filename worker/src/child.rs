//! A media child: start, requests and end.
//!
//! *Problem.* FFmpeg parses untrusted files. A file may crash it, hang it, use up memory, or take it over.
//!
//! *Mechanism.* The fork server (`fork_server.rs`) starts a child, which enters a sandbox and then answers requests.
//! Requests and events are lines of JSON on standard input and output ([`domain::protocol`]). Each call has a wall
//! clock limit, and a limit for the time without an event and without progress. A child serves one pass of one task
//! (probe and transcode, or verify) and is then killed with its process group.
//!
//! *Invariants.* Everything a child writes is parsed, bounded in size and bounded in rate. No process of a child
//! outlives its [`Child`]. A call that was abandoned makes the child unusable, since the next answer would belong to
//! it.
//!
//! *Rejected.* FFmpeg in the worker process: one bad file would end all tasks. Long-lived children for several tasks:
//! one file could change the outputs of the next one.

mod error;
mod fork_server;
mod line_reader;
mod process_group;
mod settings;
mod shortage;
mod stall;
mod stderr_tail;

pub use settings::ChildSettings;
pub use shortage::Unconfirmed;

use domain::plan::PlannedOutput;
use domain::protocol::{
    Event, MAX_LINE_BYTES, OutputFacts, OutputReport, Progress, Request, SHORTAGE_NOTE, SandboxMode, SandboxStatus,
    Session, TranscodeReport,
};
use domain::{Code, Failure, FailureClass, Plan, Probe};
use error::{ChildError, OomKills};
use fork_server::{ServerHandle, StartedChild};
use line_reader::LineReader;
use process_group::ProcessGroup;
use serde::Serialize;
use stall::StallDetector;
use std::time::Duration;
use stderr_tail::StderrTail;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::time::{Instant, timeout};

/// Maximum number of progress events: so many at once, and so many more in each second.
const EVENT_BURST: u64 = 100;

/// A child in its sandbox that waits for requests. Dropping it kills its process group.
#[derive(Debug)]
pub struct Child {
    group: ProcessGroup,
    input: Option<pipe::Sender>,
    events: LineReader<pipe::Receiver>,
    stderr: StderrTail<pipe::Receiver>,
    status: SandboxStatus,
    /// OOM kills that the kernel counted before the child started.
    oom: OomKills,
    settings: ChildSettings,
    max_memory_bytes: u64,
    /// Consequence of a shortage of the machine that the child reports.
    unconfirmed: Unconfirmed,
    /// A call is in progress or was abandoned.
    is_busy: bool,
}

/// Starts media children. Cheap to clone; the fork server ends with the last clone and the last child.
#[derive(Clone, Debug)]
pub struct ChildStarter {
    settings: ChildSettings,
    server: ServerHandle,
}

impl ChildStarter {
    /// Creates the starter of children; starts no process yet.
    ///
    /// # Errors
    /// The machine has no thread left.
    pub fn new(settings: ChildSettings) -> std::io::Result<Self> {
        Ok(Self {
            server: ServerHandle::new(&settings)?,
            settings,
        })
    }

    /// Starts a child and waits until it is in its sandbox.
    ///
    /// # Errors
    /// The failure that the child reports when it cannot open a source or scratch, or lacks a required sandbox;
    /// [`Code::Internal`] when it cannot be started or ends before it is ready; [`Code::Unavailable`] when the machine
    /// has no file descriptors, processes or memory left (see `shortage.rs`).
    pub async fn start(&self, session: Session, unconfirmed: Unconfirmed) -> Result<Child, Failure> {
        let started = self.server.start().await.map_err(|error| {
            let executable = self.settings.executable.display();
            tracing::warn!(%error, %executable, "failed to start a media child");
            if domain::is_exhaustion(&error) {
                let detail = "no file descriptors, processes or memory left to start a media child";
                return Failure::new(Code::Unavailable, detail);
            }
            internal("the media child could not be started")
        })?;
        let mut child = Child::new(&self.settings, started, session.max_memory_bytes, unconfirmed);
        child.open_session(&session).await?;
        Ok(child)
    }
}

impl Child {
    fn new(settings: &ChildSettings, started: StartedChild, max_memory_bytes: u64, unconfirmed: Unconfirmed) -> Self {
        metrics::counter!("rushes_child_starts_total").increment(1);
        let StartedChild { group, pipes } = started;
        Self {
            group,
            input: Some(pipes.stdin),
            events: LineReader::new(pipes.stdout),
            stderr: StderrTail::new(pipes.stderr),
            status: SandboxStatus::default(),
            oom: OomKills::now(),
            settings: settings.clone(),
            max_memory_bytes,
            unconfirmed,
            is_busy: false,
        }
    }

    /// Sends the session and waits until the child is in its sandbox.
    async fn open_session(&mut self, session: &Session) -> Result<(), Failure> {
        let start_timeout = self.settings.start_timeout;
        let ready = timeout(start_timeout, self.handshake(session)).await;
        match ready.unwrap_or(Err(ChildError::Silent(start_timeout))) {
            Ok(status) if session.sandbox == SandboxMode::Require && !status.is_full() => {
                let detail = format!("landlock: {}, seccomp: {}", status.landlock, status.seccomp);
                Err(Failure::new(Code::SandboxUnavailable, detail))
            }
            Ok(status) => {
                self.status = status;
                Ok(())
            }
            Err(ChildError::Reported(failure)) => Err(failure),
            Err(error) => match self.end_after(error).await {
                failure if failure.class() == FailureClass::Postponed => Err(failure),
                // No byte of the source was decoded yet, so the file cannot be the cause.
                failure => Err(internal(failure.detail)),
            },
        }
    }

    /// The parts of the sandbox that the kernel supports.
    #[must_use]
    pub const fn status(&self) -> &SandboxStatus {
        &self.status
    }

    /// The end of standard error, at most 8 KiB. For logs only.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        self.stderr.text()
    }

    /// Probes the source at this index of the session.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn probe(&mut self, index: usize) -> Result<Probe, Failure> {
        let timeout = self.settings.probe_timeout;
        match self.call(Request::Probe(index), timeout, |_| ()).await? {
            Event::Probed(probe) => Ok(*probe),
            other => Err(unexpected(&other)),
        }
    }

    /// Renders the outputs of `plan` into the scratch directory within the wall clock limit `wall`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn transcode(
        &mut self,
        plan: Plan,
        wall: Duration,
        on_progress: impl FnMut(Progress) + Send,
    ) -> Result<TranscodeReport, Failure> {
        match self.call(Request::Transcode(Box::new(plan)), wall, on_progress).await? {
            Event::Transcoded(report) => Ok(*report),
            other => Err(unexpected(&other)),
        }
    }

    /// Opens outputs in the scratch directory and returns their facts in the same order, within the wall clock limit
    /// `wall`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn verify(
        &mut self,
        outputs: Vec<(PlannedOutput, OutputReport)>,
        wall: Duration,
    ) -> Result<Vec<OutputFacts>, Failure> {
        match self.call(Request::Verify(outputs), wall, |_| ()).await? {
            Event::Verified(checked) => Ok(checked),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a request and waits for its closing event, at most `wall`.
    ///
    /// # Errors
    /// The failure that the child reports, or [`Code::MediaMemory`] when an allocation failed although the child
    /// answered; the child can be called again. After any other error it has ended:
    ///
    /// - [`Code::MediaTimeout`] (wall clock or processor time), [`Code::MediaStalled`] (no event, or a stage without
    ///   progress), [`Code::MediaMemory`] or [`Code::OutputTooLarge`] when it reached a limit;
    /// - [`Code::MediaCrash`] when it died for another reason or violated the protocol;
    /// - [`Code::MediaKilled`] when it was killed from outside;
    /// - [`Code::Unavailable`] when it died of a lack of memory and the machine is short of it.
    pub async fn call(
        &mut self,
        request: Request,
        wall: Duration,
        on_progress: impl FnMut(Progress) + Send,
    ) -> Result<Event, Failure> {
        if std::mem::replace(&mut self.is_busy, true) {
            return Err(self
                .end_after(ChildError::Protocol("an answer to an abandoned call"))
                .await);
        }
        let result = timeout(wall, self.exchange(&request, on_progress)).await;
        let answer = match result.unwrap_or(Err(ChildError::TimedOut(wall))) {
            Ok(event) => Ok(event),
            Err(ChildError::Reported(failure)) => Err(failure),
            Err(error) => return Err(self.end_after(error).await),
        };
        self.is_busy = false;
        self.stderr.catch_up().await;
        let is_postponed = matches!(&answer, Err(failure) if failure.class() == FailureClass::Postponed);
        if error::is_out_of_memory(self.stderr.bytes()) && !is_postponed {
            Err(self.limit_or_shortage(error::out_of_memory()))
        } else {
            answer
        }
    }

    /// A failure that the child reported.
    fn reported(&self, failure: Failure) -> ChildError {
        ChildError::reported(failure, || {
            self.unconfirmed == Unconfirmed::Postpone || shortage::is_confirmed(self.max_memory_bytes)
        })
    }

    /// Replaces a failure for which the machine is the cause: libraries that get no memory may crash or hang.
    fn limit_or_shortage(&self, failure: Failure) -> Failure {
        let may_be_shortage = matches!(failure.code, Code::MediaMemory | Code::MediaCrash | Code::MediaStalled);
        if may_be_shortage && (self.has_noted_shortage() || shortage::is_confirmed(self.max_memory_bytes)) {
            shortage::failure()
        } else {
            failure
        }
    }

    /// True when the child wrote that the machine has no memory left, and is believed.
    fn has_noted_shortage(&self) -> bool {
        self.unconfirmed == Unconfirmed::Postpone
            && String::from_utf8_lossy(self.stderr.bytes()).contains(SHORTAGE_NOTE)
    }

    /// True when the process has ended, as when it was killed from outside.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.group.has_ended()
    }

    /// Ends a child that has answered all requests. No process of it is left when this returns.
    pub async fn finish(mut self) {
        self.group.kill().await;
    }

    async fn handshake(&mut self, session: &Session) -> Result<SandboxStatus, ChildError> {
        self.send(session).await?;
        match self.next_event().await? {
            Event::Ready(status) => Ok(status),
            Event::Failed(failure) => Err(self.reported(failure)),
            _ => Err(ChildError::Protocol("an event before it was ready")),
        }
    }

    /// Sends a request and reads events until the closing one.
    async fn exchange(
        &mut self,
        request: &Request,
        mut on_progress: impl FnMut(Progress) + Send,
    ) -> Result<Event, ChildError> {
        let stall_timeout = self.settings.stall_timeout;
        let mut stall = StallDetector::new(stall_timeout);
        let silent = |_| ChildError::Silent(stall_timeout);
        timeout(stall_timeout, self.send(request)).await.map_err(silent)??;
        let started = Instant::now();
        let mut events = 0;
        loop {
            match timeout(stall_timeout, self.next_event()).await.map_err(silent)?? {
                Event::Progress(progress) => {
                    stall.check(&progress)?;
                    on_progress(progress);
                }
                Event::Failed(failure) => return Err(self.reported(failure)),
                event if is_answer(&event, request) => return Ok(event),
                _ => return Err(ChildError::Protocol("an answer to another question")),
            }
            events += 1;
            if events > EVENT_BURST * (1 + started.elapsed().as_secs()) {
                return Err(ChildError::Protocol("far too many events"));
            }
        }
    }

    async fn send(&mut self, message: &impl Serialize) -> Result<(), ChildError> {
        let mut line = serde_json::to_vec(message).map_err(|_| ChildError::RequestTooLong)?;
        line.push(b'\n');
        if line.len() > MAX_LINE_BYTES {
            return Err(ChildError::RequestTooLong);
        }
        let input = self.input.as_mut().ok_or(ChildError::Closed)?;
        // Standard error is read all the time: a child that blocks on a full pipe would not read its input.
        tokio::select! {
            written = input.write_all(&line) => written.map_err(|_| ChildError::Closed),
            never = self.stderr.drain() => match never {},
        }
    }

    async fn next_event(&mut self) -> Result<Event, ChildError> {
        let line = tokio::select! {
            line = self.events.next() => line?,
            never = self.stderr.drain() => match never {},
        };
        serde_json::from_slice(&line).map_err(|_| ChildError::Protocol("a line that is no event"))
    }

    /// Ends the child after an error and returns the failure of the task.
    async fn end_after(&mut self, error: ChildError) -> Failure {
        self.input = None;
        if matches!(error, ChildError::Closed) {
            // The child is ending by itself. Its exit status tells the reason, so no signal may change it.
            self.group.wait(self.settings.kill_grace).await;
        } else {
            self.group.terminate();
            self.group.wait(self.settings.kill_grace).await;
        }
        let status = self.group.kill().await;
        self.stderr.read_rest().await;
        let failure = self.limit_or_shortage(error.to_failure(status, self.stderr.bytes(), &self.oom));
        tracing::warn!(?error, ?status, %failure, stderr = self.stderr.text(), "a media child failed");
        failure
    }
}

/// True when `event` is the closing event of `request`.
fn is_answer(event: &Event, request: &Request) -> bool {
    match (request, event) {
        (Request::Probe(_), Event::Probed(_)) | (Request::Transcode(_), Event::Transcoded(_)) => true,
        (Request::Verify(outputs), Event::Verified(checked)) => outputs.len() == checked.len(),
        _ => false,
    }
}

fn internal(detail: impl Into<String>) -> Failure {
    Failure::new(Code::Internal, detail)
}

/// A failure instead of a panic for an event that [`is_answer`] excludes.
fn unexpected(_: &Event) -> Failure {
    Failure::new(Code::MediaCrash, "an answer to another question")
}

#[cfg(test)]
mod tests;
