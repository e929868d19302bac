//! The life of `rushes media`: cut loose, read one session, lock in, then answer requests until the input ends.

mod wire;
mod work;

use crate::engine::{self, Cancel};
use crate::sandbox::{self, Limits};
use domain::protocol::{Event, Image, Request, SandboxMode, SandboxStatus, Session};
use domain::recipe::Name;
use domain::{Code, Failure, FailureKind};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use wire::Events;
use work::Work;

/// No work was begun; the last event is the reason.
const REFUSED: u8 = 1;
/// The input ended and the work did not stop within two seconds.
pub(crate) const STUCK: i32 = 2;
/// No image of an account is larger.
const MAX_IMAGE_BYTES: u64 = 4 << 20;
/// There is nobody to talk to: standard input or output are not there.
const MUTE: u8 = 3;

/// Runs the child of a worker: one [`Session`] and then [`Request`]s on standard input, [`Event`]s on standard output,
/// and whatever FFmpeg has to say on standard error.
///
/// Call it first in `main`, before any thread or runtime exists: it closes all descriptors above 2 and takes away
/// rights that threads started earlier would keep.
///
/// Exit codes: 0 when the input ended, 1 when no work was begun (the last event tells why), 2 when the input ended and
/// the work did not stop within two seconds, 3 without a usable standard input and output.
#[must_use]
pub fn run() -> ExitCode {
    sandbox::yield_processors();
    // Before anything is closed, as the dynamic linker would: what a library opens when it is loaded is closed again.
    let loaded = crate::load();
    let cut = sandbox::cut_loose();
    let cancel = Cancel::new();
    let Ok(mut events) = Events::take_stdout(cancel.clone()) else {
        return ExitCode::from(MUTE);
    };
    if let Err(error) = cut {
        let detail = format!("the child could not be cut loose: {}", error.kind());
        events.send(&Event::Failed(infrastructure(Code::SandboxUnavailable, detail)));
        return ExitCode::from(REFUSED);
    }
    match begin(loaded) {
        Ok((work, status)) => serve(&work, status, &mut events, &cancel),
        Err(failure) => {
            events.send(&Event::Failed(failure));
            ExitCode::from(REFUSED)
        }
    }
}

/// Reads the session, opens what it names, and closes the door.
fn begin(loaded: Result<(), &str>) -> Result<(Work, SandboxStatus), Failure> {
    let session = wire::read::<Session>(&mut std::io::stdin().lock())?
        .ok_or_else(|| infrastructure(Code::Internal, "the input ended before the session"))?;
    loaded.map_err(|error| infrastructure(Code::Internal, error))?;
    let sources = session.sources.iter().map(|path| open_source(path));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let images = session.images.iter().map(read_image).collect::<Result<_, _>>()?;
    let scratch = open_scratch(&session.scratch)?;
    let status = sandbox::enter(&scratch, &Limits::from(&session)).map_err(|error| {
        let detail = format!("limits could not be set: {}", error.kind());
        infrastructure(Code::SandboxUnavailable, detail)
    })?;
    if session.sandbox == SandboxMode::Require && !status.is_full() {
        let detail = format!("landlock: {}, seccomp: {}", status.landlock, status.seccomp);
        return Err(infrastructure(Code::SandboxUnavailable, detail));
    }
    let work = Work {
        sources,
        images,
        scratch,
        threads: session.threads.max(1),
        depth: session.depth,
    };
    Ok((work, status))
}

/// Opens a plain file for reading; never a link, a pipe or a device.
fn open_source(path: &Path) -> Result<File, Failure> {
    let unreadable = |error: std::io::Error| system(&error, "the source could not be opened");
    let source = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(unreadable)?;
    if source.metadata().map_err(unreadable)?.is_file() {
        Ok(source)
    } else {
        Err(storage("the source is no plain file"))
    }
}

/// Reads an image as it is; it is decoded when the door is closed.
fn read_image(image: &Image) -> Result<(Name, Vec<u8>), Failure> {
    let mut bytes = Vec::new();
    let read = open_source(&image.path)?.take(MAX_IMAGE_BYTES).read_to_end(&mut bytes);
    read.map_err(|error| system(&error, "an image could not be read"))?;
    Ok((image.name.clone(), bytes))
}

fn open_scratch(path: &Path) -> Result<PathBuf, Failure> {
    let unusable = |error: std::io::Error| system(&error, "the scratch directory could not be entered");
    let scratch = path.canonicalize().map_err(unusable)?;
    std::env::set_current_dir(&scratch).map_err(unusable)?;
    Ok(scratch)
}

/// Answers requests in order until the input ends.
fn serve(work: &Work, status: SandboxStatus, events: &mut Events, cancel: &Cancel) -> ExitCode {
    events.send(&Event::Ready(status));
    engine::init();
    let (send, requests) = mpsc::channel::<Result<Request, Failure>>();
    let watched = cancel.clone();
    let listener = std::thread::Builder::new()
        .name("listener".into())
        .spawn(move || wire::listen(send, &watched));
    if let Err(error) = listener {
        let detail = format!("no thread could be started: {}", error.kind());
        events.send(&Event::Failed(infrastructure(Code::Internal, detail)));
        return ExitCode::from(REFUSED);
    }
    for request in requests {
        let answer = match request {
            Ok(request) => work.answer(request, events, cancel),
            Err(failure) => Event::Failed(failure),
        };
        events.send(&answer);
    }
    ExitCode::SUCCESS
}

/// An error of the operating system at the start; a shortage of descriptors or memory says nothing about the task.
fn system(error: &std::io::Error, what: &str) -> Failure {
    let detail = format!("{what}: {}", error.kind());
    if domain::is_exhaustion(error) {
        Failure::new(FailureKind::Postponed, Code::Unavailable, detail)
    } else {
        storage(detail)
    }
}

fn infrastructure(code: Code, detail: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Infrastructure, code, detail)
}

fn storage(detail: impl Into<String>) -> Failure {
    infrastructure(Code::StorageFailed, detail)
}
