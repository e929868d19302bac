//! One request, one answer. A panic is an answer too.

use super::{infrastructure, wire::Events};
use crate::engine::{self, Cancel};
use domain::protocol::{Event, Phase, Progress, Request};
use domain::{Code, Failure, FailureKind};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// What the session gave to work with.
#[derive(Debug)]
pub(super) struct Work {
    source: Option<File>,
    scratch: PathBuf,
    threads: u32,
}

impl Work {
    pub(super) const fn new(source: Option<File>, scratch: PathBuf, threads: u32) -> Self {
        Self {
            source,
            scratch,
            threads,
        }
    }

    /// Does what is asked; progress goes out while it lasts.
    pub(super) fn answer(&self, request: Request, events: &mut Events, cancel: &Cancel) -> Event {
        let crash = || Failure::new(FailureKind::MediaCrash, Code::MediaCrash, "panic in the media engine");
        catch_unwind(AssertUnwindSafe(|| self.obey(request, events, cancel)))
            .unwrap_or_else(|_| Err(crash()))
            .unwrap_or_else(Event::Failed)
    }

    fn obey(&self, request: Request, events: &mut Events, cancel: &Cancel) -> Result<Event, Failure> {
        let mut progress = |progress| events.send(&Event::Progress(progress));
        match request {
            Request::Probe => Ok(Event::Probed(Box::new(engine::probe(self.source()?, cancel)?))),
            Request::Transcode(plan) => {
                let report = engine::transcode(
                    self.source()?,
                    &plan,
                    &self.scratch,
                    self.threads,
                    &mut progress,
                    cancel,
                )?;
                Ok(Event::Transcoded(Box::new(report)))
            }
            Request::Verify(files) => {
                let mut checked = Vec::with_capacity(files.len());
                for file in &files {
                    progress(verifying(checked.len(), files.len()));
                    checked.push(engine::verify(&self.scratch, file, cancel)?);
                }
                Ok(Event::Verified(checked))
            }
        }
    }

    fn source(&self) -> Result<&File, Failure> {
        let missing = || infrastructure(Code::Internal, "the session has no source");
        self.source.as_ref().ok_or_else(missing)
    }
}

fn verifying(done: usize, all: usize) -> Progress {
    Progress {
        phase: Phase::Verify,
        percent: u8::try_from(done * 100 / all.max(1)).unwrap_or(100),
        ..Progress::default()
    }
}
