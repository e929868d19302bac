//! The fork server: starts media children from a process that has loaded FFmpeg already.
//!
//! *Problem.* FFmpeg depends on some 160 shared libraries. Loading them takes longer than probing a file or copying a
//! short one, and a task needs two children.
//!
//! *Mechanism.* The worker starts one fork server and keeps it. Its libraries are loaded when `main` begins, and the
//! tables of two decoders are filled. For each [`ForkRequest::Start`] it forks: the child takes the descriptors of the
//! request as its standard streams and then is an ordinary media child ([`crate::run`]). The parent answers with the
//! process ID. The worker reaps its children through the server, since only a parent can.
//!
//! *Invariants.* The server opens no file of a user and reads nothing but requests of its worker, so a child starts
//! with a memory that no file of a user has influenced. It has a single thread, so `fork` copies a consistent process.
//! A child closes the socket of the server before it reads its session. When the worker dies, the server is killed, and
//! with it its children (parent-death signal, prctl(2)).
//!
//! *Cost.* All children of a server have the same layout of memory. An address that one hostile file learns is valid
//! for the next one, until the worker is restarted. The sandbox does not depend on the layout: what a child may do is
//! decided by the kernel.
//!
//! *Rejected.* A new process for each child: it costs the loading every time. One child started ahead: it hides the
//! time of the loading, but not its cost. A child for several tasks: a file could change the outputs of the next task.
#![allow(unsafe_code, reason = "a leaf module: `fork`")]

use crate::{engine, sandbox, session};
use domain::protocol::{ForkReply, ForkRequest, MAX_PACKET_BYTES};
use nix::unistd::{ForkResult, fork};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::process::{Pid, WaitOptions, setpgid, waitpid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::io::{IoSliceMut, Write, stdin};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

/// Exit code: the server could not be hardened, its socket failed, or a child could not take its streams.
const EXIT_FAILED: u8 = 3;

/// Standard input, output and error of a child.
type Streams = [OwnedFd; 3];

/// Serves requests on the socket that is standard input, until it is closed. In each child it returns the exit code of
/// [`crate::run`].
///
/// Call it first in `main`, before any thread or runtime exists.
#[must_use]
pub fn serve_forks() -> ExitCode {
    let prepared = sandbox::harden_process().and_then(|()| sandbox::reset_child_signal());
    if let Err(error) = prepared {
        let _ = writeln!(std::io::stderr(), "the fork server could not be hardened: {error}");
        return ExitCode::from(EXIT_FAILED);
    }
    engine::fill_decoder_tables();
    loop {
        let (request, streams) = match receive() {
            Ok(Some(received)) => received,
            Ok(None) => return ExitCode::SUCCESS,
            Err(_) => return ExitCode::from(EXIT_FAILED),
        };
        let reply = match request {
            ForkRequest::Start => match start(streams) {
                Ok(Some(child)) => ForkReply::Started(child.as_raw_pid()),
                Ok(None) => return session::run(),
                Err(error) => ForkReply::Failed(error.raw_os_error()),
            },
            ForkRequest::Reap(child) => reap(child),
        };
        if answer(reply).is_err() {
            return ExitCode::from(EXIT_FAILED);
        }
    }
}

/// Receives a request and the descriptors that it carries; `None` when the worker has closed the socket.
fn receive() -> rustix::io::Result<Option<(ForkRequest, Vec<OwnedFd>)>> {
    let mut packet = [0; MAX_PACKET_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut packet)];
    let length =
        rustix::io::retry_on_intr(|| recvmsg(stdin(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC))?.bytes;
    let mut streams = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            streams.extend(descriptors);
        }
    }
    if length == 0 {
        return Ok(None);
    }
    let request = packet.get(..length).map(serde_json::from_slice);
    let request = request.and_then(Result::ok).ok_or(Errno::BADMSG)?;
    Ok(Some((request, streams)))
}

/// Forks. Returns the process ID in the server, and `None` in the child, whose standard streams are then `streams`.
fn start(streams: Vec<OwnedFd>) -> rustix::io::Result<Option<Pid>> {
    // The kernel leaves out descriptors for which the table of this process or of the system has no space (unix(7)).
    let streams: Streams = streams.try_into().map_err(|_| Errno::MFILE)?;
    let server = nix::unistd::getpid();
    // SAFETY: this process has a single thread, so the child may do everything that this process may.
    match unsafe { fork() }.map_err(|error| Errno::from_raw_os_error(error as i32))? {
        ForkResult::Child => {
            // Such a child cannot report anything; its worker finds its pipes closed.
            if sandbox::die_with_parent(server).is_err() || use_streams(&streams).is_err() {
                sandbox::exit_now(EXIT_FAILED.into());
            }
            Ok(None)
        }
        ForkResult::Parent { child } => {
            let child = Pid::from_raw(child.as_raw()).ok_or(Errno::SRCH)?;
            // The child does the same later. The worker may signal the group before.
            let _ = setpgid(Some(child), Some(child));
            Ok(Some(child))
        }
    }
}

/// Replaces the standard streams; this closes the socket of the server in the child.
fn use_streams([input, output, error]: &Streams) -> rustix::io::Result<()> {
    dup2_stdin(input)?;
    dup2_stdout(output)?;
    dup2_stderr(error)
}

/// Reaps a child if it has ended.
fn reap(child: i32) -> ForkReply {
    // Process IDs that are not positive stand for groups of processes.
    let Some(child) = Some(child).filter(|child| *child > 0).and_then(Pid::from_raw) else {
        return ForkReply::Failed(Errno::SRCH.raw_os_error());
    };
    let status = match waitpid(Some(child), WaitOptions::NOHANG) {
        Ok(Some((_, status))) => status,
        Ok(None) => return ForkReply::Running,
        Err(error) => return ForkReply::Failed(error.raw_os_error()),
    };
    match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => ForkReply::Exited(status),
        (None, Some(signal)) => ForkReply::Killed(signal),
        (None, None) => ForkReply::Running,
    }
}

fn answer(reply: ForkReply) -> rustix::io::Result<()> {
    let packet = serde_json::to_vec(&reply).map_err(|_| Errno::BADMSG)?;
    send(stdin(), &packet, SendFlags::NOSIGNAL).map(drop)
}
