//! The media child: a process that executes the requests of one task.
//!
//! *Problem.* Demuxers and decoders parse files of strangers in C. A bug in them must not reach the database, the
//! network, the secrets of the service, or files of other tasks; and a crash or an endless loop must not stop the
//! worker.
//!
//! *Mechanism.* The worker has a child started by the fork server ([`crate::serve_forks`]) and talks to it over pipes
//! (`domain::protocol`), one JSON value per line. The steps are in this order, because each removes rights that the
//! steps before it need:
//!
//! 1. Lower the scheduling priority and harden the process ([`sandbox::harden_process`]).
//! 2. Read the [`Session`] from standard input: it names the files to read, the scratch directory and the limits.
//! 3. Open the sources, read the images, and change to the scratch directory.
//! 4. Confine the process ([`sandbox::confine`]). From here on it opens files below the scratch directory only.
//! 5. Send [`Event::Ready`], then execute [`Request`]s in order until the input ends.
//!
//! *Invariants.* FFmpeg parses no byte of a source before step 4. Each request gets exactly one closing event. The end
//! of input cancels the work and ends the process within two seconds, so a worker stops a child by closing the pipe.
//! When a worker is killed, the parent-death signal kills its children.
//!
//! *Rejected.* Decoding on a thread of the worker: memory, crashes and rights would be shared with it. Passing paths
//! with each request: the sandbox would have to allow opening them later.

mod executor;
mod failure;
mod protocol;

use crate::engine::{self, Cancel, shortage};
use crate::sandbox::{self, Limits};
use domain::limits::MAX_IMAGE_BYTES;
use domain::protocol::{Event, Image, Request, SandboxMode, SandboxStatus, Session};
use domain::recipe::Name;
use domain::{Code, Failure};
use executor::Executor;
use failure::{from_io_error, storage};
use protocol::EventWriter;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;

/// Exit code: no request was executed; the last event has the reason.
const EXIT_REFUSED: u8 = 1;
/// Exit code: standard input or output is unusable.
const EXIT_NO_STDIO: u8 = 3;

/// Runs the media child: one [`Session`] and then [`Request`]s on standard input, [`Event`]s on standard output, log
/// messages of FFmpeg on standard error.
///
/// Call it first in `main`, before any thread or runtime exists: it closes all descriptors above 2 and drops rights
/// that other threads would keep.
///
/// Exit codes: 0 when the input ended; 1 when no request was executed (the last event has the reason); 2 when the input
/// ended and the work did not stop within two seconds; 3 without a usable standard input and output; 4 when the machine
/// has no memory left.
#[must_use]
pub fn run() -> ExitCode {
    sandbox::lower_priority();
    let hardened = sandbox::harden_process();
    let cancel = Cancel::new();
    let Ok(mut events) = EventWriter::take_stdout(cancel.clone()) else {
        return ExitCode::from(EXIT_NO_STDIO);
    };
    if let Err(error) = hardened {
        let detail = format!("the media child could not be hardened: {}", error.kind());
        events.send(&Event::Failed(Failure::new(Code::SandboxUnavailable, detail)));
        return ExitCode::from(EXIT_REFUSED);
    }
    match open_session() {
        Ok((executor, status)) => serve(&executor, status, &mut events, &cancel),
        Err(failure) => {
            events.send(&Event::Failed(failure));
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

/// Reads the session, opens its files, and confines the process.
fn open_session() -> Result<(Executor, SandboxStatus), Failure> {
    let session = protocol::read::<Session>(&mut std::io::stdin().lock())?
        .ok_or_else(|| Failure::new(Code::Internal, "the input ended before the session"))?;
    let sources = session.sources.iter().map(|path| open_source(path));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let images = session.images.iter().map(read_image).collect::<Result<_, _>>()?;
    let scratch = enter_scratch(&session.scratch)?;
    shortage::prepare();
    let status = sandbox::confine(&scratch, &Limits::from(&session)).map_err(|error| {
        if domain::is_exhaustion(&error) {
            return from_io_error(&error, "the sandbox could not be set up");
        }
        let detail = format!("limits could not be set: {}", error.kind());
        Failure::new(Code::SandboxUnavailable, detail)
    })?;
    if session.sandbox == SandboxMode::Require && !status.is_full() {
        let detail = format!("landlock: {}, seccomp: {}", status.landlock, status.seccomp);
        return Err(Failure::new(Code::SandboxUnavailable, detail));
    }
    let executor = Executor {
        sources,
        images,
        scratch,
        threads: session.threads.max(1),
        depth: session.depth,
    };
    Ok((executor, status))
}

/// Opens a regular file for reading. Symbolic links, pipes and devices are refused.
fn open_source(path: &Path) -> Result<File, Failure> {
    let unreadable = |error: std::io::Error| from_io_error(&error, "the source could not be opened");
    let source = File::options()
        .read(true)
        // `O_NONBLOCK`: opening a pipe without a writer must not block.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(unreadable)?;
    if source.metadata().map_err(unreadable)?.is_file() {
        Ok(source)
    } else {
        Err(storage("the source is not a regular file"))
    }
}

/// Reads the bytes of an image. They are decoded after the process is confined.
fn read_image(image: &Image) -> Result<(Name, Vec<u8>), Failure> {
    let mut bytes = Vec::new();
    let read = open_source(&image.path)?.take(MAX_IMAGE_BYTES).read_to_end(&mut bytes);
    read.map_err(|error| from_io_error(&error, "an image could not be read"))?;
    Ok((image.name.clone(), bytes))
}

/// Makes the scratch directory the working directory, and returns its canonical path.
fn enter_scratch(path: &Path) -> Result<PathBuf, Failure> {
    let unusable = |error: std::io::Error| from_io_error(&error, "the scratch directory could not be entered");
    let scratch = path.canonicalize().map_err(unusable)?;
    std::env::set_current_dir(&scratch).map_err(unusable)?;
    Ok(scratch)
}

/// Executes requests in order until the input ends.
fn serve(executor: &Executor, status: SandboxStatus, events: &mut EventWriter, cancel: &Cancel) -> ExitCode {
    events.send(&Event::Ready(status));
    engine::init();
    let (send, requests) = mpsc::channel::<Result<Request, Failure>>();
    let reader_cancel = cancel.clone();
    let reader = std::thread::Builder::new()
        .name("request reader".into())
        .spawn(move || protocol::read_requests(send, &reader_cancel));
    if let Err(error) = reader {
        events.send(&Event::Failed(shortage::thread_failure(&error)));
        return ExitCode::from(EXIT_REFUSED);
    }
    for request in requests {
        let event = match request {
            Ok(request) => executor.execute(request, events, cancel),
            Err(failure) => Event::Failed(failure),
        };
        events.send(&event);
    }
    ExitCode::SUCCESS
}
