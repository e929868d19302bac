//! Executes the requests of a session, one at a time. Each request gets exactly one closing event; a panic of the
//! engine becomes [`Event::Failed`].

use super::protocol::EventWriter;
use crate::engine::{self, Cancel, Images, Inputs, shortage};
use domain::protocol::{Event, Phase, Progress, Request, VerifyDepth};
use domain::{Code, Failure};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Interval between progress events of probes and verifications, which report none by themselves.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// The open files and the settings of a session.
#[derive(Debug)]
pub(super) struct Executor {
    /// The source, then the clips of intro and outro.
    pub(super) sources: Vec<File>,
    /// The image files by name, not yet decoded.
    pub(super) images: Images,
    /// The only writable directory; also the working directory.
    pub(super) scratch: PathBuf,
    /// Threads for decoding and encoding.
    pub(super) threads: u32,
    /// The part of an output that is decoded to verify it.
    pub(super) depth: VerifyDepth,
}

impl Executor {
    /// Executes a request, sends its progress to `events`, and returns its closing event. If the machine lacked a
    /// resource, that is the result, because any other may be a consequence of it.
    pub(super) fn execute(&self, request: Request, events: &mut EventWriter, cancel: &Cancel) -> Event {
        shortage::clear();
        let crash = || Failure::new(Code::MediaCrash, "panic in the media engine");
        let result = catch_unwind(AssertUnwindSafe(|| self.try_execute(request, events, cancel)))
            .unwrap_or_else(|_| Err(crash()));
        if result.is_err() {
            shortage::check_machine();
        }
        let result = shortage::found().map_or(result, Err);
        result.unwrap_or_else(Event::Failed)
    }

    fn try_execute(&self, request: Request, events: &mut EventWriter, cancel: &Cancel) -> Result<Event, Failure> {
        match request {
            Request::Probe(index) => {
                let source = self.sources.get(index).ok_or_else(no_such_source)?;
                let probe = with_progress(events, cancel, Progress::default, || engine::probe(source, cancel));
                let probe = probe.map_err(|failure| if index > 0 { of_clip(failure) } else { failure })?;
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
                let verified = AtomicUsize::new(0);
                let verify_all = || {
                    let checked = outputs.iter().map(|(planned, report)| {
                        let checked = engine::verify(&self.scratch, planned, report, self.depth, cancel)?;
                        verified.fetch_add(1, Ordering::Relaxed);
                        Ok(checked)
                    });
                    checked.collect::<Result<Vec<_>, Failure>>()
                };
                let progress = || verify_progress(verified.load(Ordering::Relaxed), outputs.len());
                // The first event tells the worker the phase; the next one follows after `PROGRESS_INTERVAL` only.
                events.send(&Event::Progress(progress()));
                Ok(Event::Verified(with_progress(events, cancel, progress, verify_all)?))
            }
        }
    }
}

/// Runs `work` on a thread of its own. Until it returns, sends a progress event every [`PROGRESS_INTERVAL`]: the value
/// of `progress` with the number of packets that the work has read so far.
fn with_progress<T: Send>(
    events: &mut EventWriter,
    cancel: &Cancel,
    progress: impl Fn() -> Progress,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let read_before = cancel.packets_read();
    thread::scope(|scope| {
        let (done, finished) = sync_channel::<()>(1);
        let worker = thread::Builder::new().spawn_scoped(scope, move || {
            let result = work();
            // Disconnects the channel, which ends the loop below. A panic drops the sender as well.
            drop(done);
            result
        });
        let worker = worker.map_err(|error| shortage::thread_failure(&error))?;
        while finished.recv_timeout(PROGRESS_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            let items_processed = cancel.packets_read() - read_before;
            events.send(&Event::Progress(Progress {
                items_processed,
                ..progress()
            }));
        }
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// The failure of a bumper clip, told apart from that of the source.
fn of_clip(mut failure: Failure) -> Failure {
    failure.detail.insert_str(0, "the bumper clip: ");
    failure
}

fn no_such_source() -> Failure {
    Failure::new(Code::Internal, "the session has no such source")
}

fn verify_progress(verified: usize, total: usize) -> Progress {
    Progress {
        phase: Phase::Verify,
        percent: u8::try_from(verified * 100 / total.max(1)).unwrap_or(100),
        ..Progress::default()
    }
}
