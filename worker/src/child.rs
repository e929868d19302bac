//! One media child: its start, its calls, its end. The only place that starts processes.
//!
//! The child is `rushes media`, a sandboxed process that opens a stranger's file. Nothing it says is believed before
//! it was parsed and bounded, and nothing of it outlives a [`Child`].

mod group;
mod lines;
mod settings;
mod spare;
mod starter;
mod tail;
mod trouble;
mod watch;

pub use settings::ChildSettings;
pub use spare::Spare;

use domain::plan::PlannedOutput;
use domain::protocol::{
    Checked, Event, MAX_LINE_BYTES, Made, Progress, Report, Request, SandboxMode, SandboxStatus, Session,
};
use domain::{Code, Failure, FailureKind, Plan, Probe};
use group::Group;
use lines::Lines;
use serde::Serialize;
use starter::Pipes;
use std::time::Duration;
use tail::Tail;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::time::{Instant, timeout};
use trouble::{OomKills, Trouble};
use watch::Watch;

/// Progress events that a call may bring at once, and on top of that in each second.
const EVENT_BURST: u64 = 100;

/// A child that is locked in and waits for requests. Dropping it kills its whole process group.
#[derive(Debug)]
pub struct Child {
    group: Group,
    input: Option<ChildStdin>,
    events: Lines<ChildStdout>,
    stderr: Tail<ChildStderr>,
    status: SandboxStatus,
    /// What the kernel had killed for memory before it began.
    oom: OomKills,
    settings: ChildSettings,
    /// A call is under way, or was abandoned half-way: the next answer would belong to it.
    busy: bool,
}

impl Child {
    /// Starts a child and waits until it is locked in.
    ///
    /// # Errors
    /// What the child says when it refuses the session (source or scratch unreadable, sandbox unavailable);
    /// [`FailureKind::Infrastructure`] when it cannot be started or dies before it is ready; [`FailureKind::Postponed`] when
    /// the machine has nothing left to start it with.
    pub async fn spawn(settings: &ChildSettings, session: Session) -> Result<Self, Failure> {
        let (group, pipes) = starter::start(settings).await.map_err(|error| {
            tracing::warn!(%error, program = %settings.program.display(), "failed to start a media child");
            if domain::is_exhaustion(&error) {
                let detail = "no descriptors, processes or memory left to start a media child";
                return Failure::new(FailureKind::Postponed, Code::Unavailable, detail);
            }
            infrastructure("the media child could not be started")
        })?;
        Self::begin(settings, group, pipes, session).await
    }

    /// Tells a started child its session and waits until it is locked in.
    async fn begin(settings: &ChildSettings, group: Group, pipes: Pipes, session: Session) -> Result<Self, Failure> {
        metrics::counter!("rushes_child_starts_total").increment(1);
        let mut child = Self {
            group,
            input: Some(pipes.input),
            events: Lines::new(pipes.output),
            stderr: Tail::new(pipes.stderr),
            status: SandboxStatus::default(),
            oom: OomKills::now(),
            settings: settings.clone(),
            busy: false,
        };
        let ready = timeout(settings.start, child.greet(&session)).await;
        match ready.unwrap_or(Err(Trouble::Silent(settings.start))) {
            Ok(status) if session.sandbox == SandboxMode::Require && !status.is_full() => {
                let detail = format!("landlock: {}, seccomp: {}", status.landlock, status.seccomp);
                Err(Failure::new(
                    FailureKind::Infrastructure,
                    Code::SandboxUnavailable,
                    detail,
                ))
            }
            Ok(status) => {
                child.status = status;
                Ok(child)
            }
            Err(Trouble::Said(failure)) => Err(failure),
            // Not a byte of the source was decoded: whatever this was, the file is not to blame.
            Err(trouble) => Err(infrastructure(child.end_with(trouble).await.detail)),
        }
    }

    /// What the kernel granted to lock the child in.
    #[must_use]
    pub const fn status(&self) -> &SandboxStatus {
        &self.status
    }

    /// The end of what the child wrote to standard error, at most 8 KiB. For our logs only.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        self.stderr.text()
    }

    /// Reads the facts of the source at this place of the session.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn probe(&mut self, place: usize) -> Result<Probe, Failure> {
        match self.call(Request::Probe(place), self.settings.look, |_| ()).await? {
            Event::Probed(probe) => Ok(*probe),
            other => Err(unasked(&other)),
        }
    }

    /// Makes the outputs of `plan` in the scratch directory within `wall`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn transcode(
        &mut self,
        plan: Plan,
        wall: Duration,
        on_progress: impl FnMut(Progress) + Send,
    ) -> Result<Report, Failure> {
        match self.call(Request::Transcode(Box::new(plan)), wall, on_progress).await? {
            Event::Transcoded(report) => Ok(*report),
            other => Err(unasked(&other)),
        }
    }

    /// Opens these outputs in the scratch directory again, for at most `wall`; facts come in the same order.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn verify(
        &mut self,
        outputs: Vec<(PlannedOutput, Made)>,
        wall: Duration,
    ) -> Result<Vec<Checked>, Failure> {
        match self.call(Request::Verify(outputs), wall, |_| ()).await? {
            Event::Verified(checked) => Ok(checked),
            other => Err(unasked(&other)),
        }
    }

    /// Asks for one piece of work and waits at most `wall` for the closing event, which fits the request.
    ///
    /// # Errors
    /// The failure that the child reports, or [`Code::MediaMemory`] when an allocation failed although it answers; then
    /// it may be asked again. Otherwise it is gone:
    /// [`FailureKind::ResourceLimit`] with [`Code::MediaTimeout`] (wall clock, processor time), [`Code::MediaStalled`]
    /// (no event for too long, or a stage at work that moved nothing), [`Code::MediaMemory`] or [`Code::OutputTooLarge`]; [`FailureKind::MediaCrash`] when it
    /// died otherwise or sent garbage.
    pub async fn call(
        &mut self,
        request: Request,
        wall: Duration,
        on_progress: impl FnMut(Progress) + Send,
    ) -> Result<Event, Failure> {
        if std::mem::replace(&mut self.busy, true) {
            return Err(self.end_with(Trouble::Garbage("an answer to an abandoned call")).await);
        }
        let outcome = timeout(wall, self.exchange(&request, on_progress)).await;
        let answer = match outcome.unwrap_or(Err(Trouble::Late(wall))) {
            Ok(event) => Ok(event),
            Err(Trouble::Said(failure)) => Err(failure),
            Err(trouble) => return Err(self.end_with(trouble).await),
        };
        self.busy = false;
        self.stderr.catch_up().await;
        if trouble::starved(self.stderr.bytes()) {
            Err(trouble::no_memory())
        } else {
            answer
        }
    }

    /// Ends a child that has answered all it was asked: when this returns, nothing of it is left that could touch a file.
    pub async fn finish(mut self) {
        self.group.kill().await;
    }

    async fn greet(&mut self, session: &Session) -> Result<SandboxStatus, Trouble> {
        self.send(session).await?;
        match self.next_event().await? {
            Event::Ready(status) => Ok(status),
            Event::Failed(failure) => Err(Trouble::said(failure)),
            _ => Err(Trouble::Garbage("an event before it was ready")),
        }
    }

    async fn exchange(
        &mut self,
        request: &Request,
        mut on_progress: impl FnMut(Progress) + Send,
    ) -> Result<Event, Trouble> {
        let silence = self.settings.silence;
        let mut watch = Watch::new(silence);
        let silent = |_| Trouble::Silent(silence);
        timeout(silence, self.send(request)).await.map_err(silent)??;
        let began = Instant::now();
        let mut events = 0;
        loop {
            match timeout(silence, self.next_event()).await.map_err(silent)?? {
                Event::Progress(progress) => {
                    watch.look(&progress)?;
                    on_progress(progress);
                }
                Event::Failed(failure) => return Err(Trouble::said(failure)),
                event if answers(&event, request) => return Ok(event),
                _ => return Err(Trouble::Garbage("an answer to another question")),
            }
            events += 1;
            if events > EVENT_BURST * (1 + began.elapsed().as_secs()) {
                return Err(Trouble::Garbage("far too many events"));
            }
        }
    }

    async fn send(&mut self, message: &impl Serialize) -> Result<(), Trouble> {
        let mut line = serde_json::to_vec(message).map_err(|_| Trouble::Unsayable)?;
        line.push(b'\n');
        if line.len() > MAX_LINE_BYTES {
            return Err(Trouble::Unsayable);
        }
        let input = self.input.as_mut().ok_or(Trouble::Closed)?;
        tokio::select! {
            written = input.write_all(&line) => written.map_err(|_| Trouble::Closed),
            never = self.stderr.drain() => match never {},
        }
    }

    async fn next_event(&mut self) -> Result<Event, Trouble> {
        let line = tokio::select! {
            line = self.events.next() => line?,
            never = self.stderr.drain() => match never {},
        };
        serde_json::from_slice(&line).map_err(|_| Trouble::Garbage("a line that is no event"))
    }

    /// Ends the child and says why it had to end.
    async fn end_with(&mut self, trouble: Trouble) -> Failure {
        self.input = None;
        if matches!(trouble, Trouble::Closed) {
            // It is dying already; how it dies is the reason.
            self.group.wait(self.settings.kill_grace).await;
        } else {
            self.group.terminate();
            self.group.wait(self.settings.kill_grace).await;
        }
        let status = self.group.kill().await;
        self.stderr.rest().await;
        let failure = trouble.verdict(status, self.stderr.bytes(), &self.oom);
        tracing::warn!(?trouble, ?status, %failure, stderr = self.stderr.text(), "media child ended badly");
        failure
    }
}

fn answers(event: &Event, request: &Request) -> bool {
    match (request, event) {
        (Request::Probe(_), Event::Probed(_)) | (Request::Transcode(_), Event::Transcoded(_)) => true,
        (Request::Verify(outputs), Event::Verified(checked)) => outputs.len() == checked.len(),
        _ => false,
    }
}

fn infrastructure(detail: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Infrastructure, Code::Internal, detail)
}

/// Cannot happen after [`answers`]; said instead of panicking.
fn unasked(_: &Event) -> Failure {
    Failure::new(
        FailureKind::MediaCrash,
        Code::MediaCrash,
        "an answer to another question",
    )
}

#[cfg(test)]
mod tests;
