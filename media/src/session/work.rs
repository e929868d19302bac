//! One request, one answer. A panic is an answer too.

use super::{infrastructure, wire::Events};
use crate::engine::{self, Cancel, Footage, Images};
use domain::protocol::{Depth, Event, Phase, Progress, Request};
use domain::{Code, Failure, FailureKind};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

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
        let mut progress = |progress| events.send(&Event::Progress(progress));
        match request {
            Request::Probe(place) => {
                let source = self.sources.get(place).ok_or_else(no_source)?;
                Ok(Event::Probed(Box::new(engine::probe(source, cancel)?)))
            }
            Request::Transcode(plan) => {
                let footage = Footage {
                    sources: &self.sources,
                    images: &self.images,
                };
                let report = engine::transcode(&footage, &plan, &self.scratch, self.threads, &mut progress, cancel)?;
                Ok(Event::Transcoded(Box::new(report)))
            }
            Request::Verify(outputs) => {
                let mut checked = Vec::with_capacity(outputs.len());
                for (planned, made) in &outputs {
                    progress(verifying(checked.len(), outputs.len()));
                    checked.push(engine::verify(&self.scratch, planned, made, self.depth, cancel)?);
                }
                Ok(Event::Verified(checked))
            }
        }
    }
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
