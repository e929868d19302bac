//! One request, one answer. A panic is an answer too.

use super::{infrastructure, wire::Events};
use crate::engine::{self, Cancel, Images, Inputs};
use domain::protocol::{Depth, Event, Phase, Progress, Request};
use domain::{Code, Failure, FailureKind};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Time between two words about work that reports nothing by itself.
const EVERY: Duration = Duration::from_millis(500);

/// What the session gave to work with.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) sources: Vec<File>,
    pub(super) images: Images,
    pub(super) scratch: PathBuf,
    pub(super) threads: u32,
    pub(super) depth: Depth,
}

impl Work {
    /// Does what is asked; progress goes out while it lasts.
    pub(super) fn answer(&self, request: Request, events: &mut Events, cancel: &Cancel) -> Event {
        let crash = || Failure::new(FailureKind::MediaCrash, Code::MediaCrash, "panic in the media engine");
        catch_unwind(AssertUnwindSafe(|| self.obey(request, events, cancel)))
            .unwrap_or_else(|_| Err(crash()))
            .unwrap_or_else(Event::Failed)
    }

    fn obey(&self, request: Request, events: &mut Events, cancel: &Cancel) -> Result<Event, Failure> {
        match request {
            Request::Probe(place) => {
                let source = self.sources.get(place).ok_or_else(no_source)?;
                let probe = watched(events, cancel, Progress::default, || engine::probe(source, cancel))?;
                Ok(Event::Probed(Box::new(probe)))
            }
            Request::Transcode(plan) => {
                let inputs = Inputs {
                    sources: &self.sources,
                    images: &self.images,
                };
                let mut progress = |progress| events.send(&Event::Progress(progress));
                let report = engine::transcode(&inputs, &plan, &self.scratch, self.threads, &mut progress, cancel)?;
                Ok(Event::Transcoded(Box::new(report)))
            }
            Request::Verify(outputs) => {
                let done = AtomicUsize::new(0);
                let verify = || {
                    let checked = outputs.iter().map(|(planned, made)| {
                        let checked = engine::verify(&self.scratch, planned, made, self.depth, cancel)?;
                        done.fetch_add(1, Ordering::Relaxed);
                        Ok(checked)
                    });
                    checked.collect::<Result<Vec<_>, Failure>>()
                };
                let step = || verifying(done.load(Ordering::Relaxed), outputs.len());
                events.send(&Event::Progress(step()));
                Ok(Event::Verified(watched(events, cancel, step, verify)?))
            }
        }
    }
}

/// Does a piece of work on a thread of its own, and tells meanwhile how many packets it has read.
fn watched<T: Send>(
    events: &mut Events,
    cancel: &Cancel,
    step: impl Fn() -> Progress,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let before = cancel.moved();
    thread::scope(|scope| {
        let (done, finished) = sync_channel::<()>(1);
        let worker = scope.spawn(move || {
            let result = work();
            // Dropped by a panic as well.
            drop(done);
            result
        });
        while finished.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            let moved = cancel.moved() - before;
            events.send(&Event::Progress(Progress { moved, ..step() }));
        }
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn no_source() -> Failure {
    infrastructure(Code::Internal, "the session has no such source")
}

fn verifying(done: usize, all: usize) -> Progress {
    Progress {
        phase: Phase::Verify,
        percent: u8::try_from(done * 100 / all.max(1)).unwrap_or(100),
        ..Progress::default()
    }
}
