//! Lines in and lines out, each at most [`MAX_LINE_BYTES`] long.

use super::{STUCK, infrastructure};
use crate::engine::Cancel;
use crate::sandbox;
use domain::protocol::{Event, MAX_LINE_BYTES, Request};
use domain::{Code, Failure, FailureKind};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// How long work may go on after the input has ended.
const GRACE: Duration = Duration::from_secs(2);

/// Reads one value from one line; `None` at the end of input.
///
/// # Errors
/// The line is too long, or no such value.
pub(super) fn read<T: DeserializeOwned>(input: &mut impl BufRead) -> Result<Option<T>, Failure> {
    let unreadable = |what: String| infrastructure(Code::Internal, format!("unreadable line: {what}"));
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
        return Err(unreadable(format!("{} bytes without an end", line.len())));
    }
    // The error names a place in the line, never its content.
    let place = |error: serde_json::Error| unreadable(format!("{:?} at column {}", error.classify(), error.column()));
    serde_json::from_slice(&line).map(Some).map_err(place)
}

/// Passes requests on until the input ends, then raises the flag, and ends the process if that is not enough.
pub(super) fn listen(requests: Sender<Result<Request, Failure>>, cancel: &Cancel) {
    loop {
        let request = match read(&mut io::stdin().lock()) {
            Ok(Some(request)) => Ok(request),
            Ok(None) => break,
            Err(failure) => Err(failure),
        };
        let lost = request.is_err();
        if requests.send(request).is_err() || lost {
            break;
        }
    }
    cancel.raise();
    // Lets `serve` see the end once it is through with what it does.
    drop(requests);
    let since = Instant::now();
    while since.elapsed() < GRACE {
        std::thread::park_timeout(GRACE);
    }
    sandbox::die_now(STUCK);
}

/// The way out. Standard output itself becomes standard error, so that a library that prints disturbs nothing.
#[derive(Debug)]
pub(super) struct Events {
    out: File,
    cancel: Cancel,
}

impl Events {
    /// Takes standard output away from everybody else.
    pub(super) fn take_stdout(cancel: Cancel) -> io::Result<Self> {
        let out = File::from(nix::unistd::dup(io::stdout())?);
        nix::unistd::dup2_stdout(io::stderr())?;
        Ok(Self { out, cancel })
    }

    /// Writes one line. When nobody reads any more, the work is called off.
    pub(super) fn send(&mut self, event: &Event) {
        let mut line = encode(event);
        line.push(b'\n');
        if self.out.write_all(&line).is_err() {
            self.cancel.raise();
        }
    }
}

/// One line without its end; an event that does not fit becomes a failure that does.
fn encode(event: &Event) -> Vec<u8> {
    let fits = |line: &Vec<u8>| line.len() < MAX_LINE_BYTES;
    let failed = |detail: &str| Event::Failed(Failure::new(FailureKind::MediaCrash, Code::MediaCrash, detail));
    serde_json::to_vec(event)
        .ok()
        .filter(fits)
        .or_else(|| serde_json::to_vec(&failed("the answer does not fit into a line")).ok())
        .unwrap_or_default()
}
