//! Reads and writes the messages of `domain::protocol`: one JSON value per line, at most [`MAX_LINE_BYTES`] long.

use crate::engine::Cancel;
use crate::sandbox;
use domain::protocol::{Event, MAX_LINE_BYTES, Request};
use domain::{Code, Failure};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// Exit code: the input ended and the work did not stop within [`SHUTDOWN_GRACE`].
const EXIT_STUCK: i32 = 2;
/// Time that work has to stop after the end of input, before the process exits by force.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Reads one value from one line; `None` at the end of input.
///
/// # Errors
/// The line is too long, is not terminated, or does not parse as `T`.
pub(super) fn read<T: DeserializeOwned>(input: &mut impl BufRead) -> Result<Option<T>, Failure> {
    let unreadable = |reason: String| Failure::new(Code::Internal, format!("unreadable line: {reason}"));
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    input
        .by_ref()
        .take(limit)
        .read_until(b'\n', &mut line)
        .map_err(|error| unreadable(error.kind().to_string()))?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(unreadable(format!("{} bytes without a line feed", line.len())));
    }
    // The failure contains the position of the error and never the content of the line, which may hold data of users.
    let invalid = |error: serde_json::Error| unreadable(format!("{:?} at column {}", error.classify(), error.column()));
    serde_json::from_slice(&line).map(Some).map_err(invalid)
}

/// Passes requests to the executor until the input ends or a line is unreadable. Then cancels the work, and exits the
/// process if it does not end within [`SHUTDOWN_GRACE`].
///
/// Runs on a thread of its own, because the main thread cannot notice the end of input while it executes a request.
pub(super) fn read_requests(requests: Sender<Result<Request, Failure>>, cancel: &Cancel) {
    loop {
        let request = match read(&mut io::stdin().lock()) {
            Ok(Some(request)) => Ok(request),
            Ok(None) => break,
            Err(failure) => Err(failure),
        };
        let is_unreadable = request.is_err();
        if requests.send(request).is_err() || is_unreadable {
            break;
        }
    }
    cancel.raise();
    // Disconnects the channel, so that the main thread returns after the current request.
    drop(requests);
    let since = Instant::now();
    while since.elapsed() < SHUTDOWN_GRACE {
        std::thread::park_timeout(SHUTDOWN_GRACE);
    }
    sandbox::exit_now(EXIT_STUCK);
}

/// Writes events to the pipe that was standard output. Descriptor 1 becomes a copy of standard error, so that a library
/// that prints cannot corrupt the protocol.
#[derive(Debug)]
pub(super) struct EventWriter {
    pipe: File,
    cancel: Cancel,
}

impl EventWriter {
    /// Takes over standard output.
    pub(super) fn take_stdout(cancel: Cancel) -> io::Result<Self> {
        let pipe = File::from(nix::unistd::dup(io::stdout())?);
        nix::unistd::dup2_stdout(io::stderr())?;
        Ok(Self { pipe, cancel })
    }

    /// Writes one line. A closed pipe means that the worker no longer needs the result, so the work is canceled.
    pub(super) fn send(&mut self, event: &Event) {
        let mut line = encode(event);
        line.push(b'\n');
        if self.pipe.write_all(&line).is_err() {
            self.cancel.raise();
        }
    }
}

/// Encodes an event without the line feed. An event that exceeds [`MAX_LINE_BYTES`] is replaced by a failure.
fn encode(event: &Event) -> Vec<u8> {
    let fits = |line: &Vec<u8>| line.len() < MAX_LINE_BYTES;
    let failed = |detail: &str| Event::Failed(Failure::new(Code::MediaCrash, detail));
    serde_json::to_vec(event)
        .ok()
        .filter(fits)
        .or_else(|| serde_json::to_vec(&failed("the answer exceeds the maximum length of a line")).ok())
        .unwrap_or_default()
}
