//! Starts children from one thread, which lives as long as the process.
//!
//! A child asks the kernel for a signal when its parent dies (`PR_SET_PDEATHSIG`, prctl(2)). For the kernel, the parent
//! is the *thread* that started the child. Threads of the runtime come and go (`block_in_place`, `spawn_blocking`),
//! so a child that one of them started would be killed when that thread ends.

use super::{ChildSettings, process_group::ProcessGroup};
use nix::unistd::Pid;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError, mpsc};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A child that was started and has no session yet.
#[derive(Debug)]
pub(super) struct StartedChild {
    pub(super) group: ProcessGroup,
    pub(super) pipes: Pipes,
}

/// The three standard streams of a child.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// A requested start; dropping it kills the child.
pub(super) type PendingStart = oneshot::Receiver<io::Result<StartedChild>>;

/// A request to the thread.
struct StartRequest {
    command: Command,
    /// The runtime that watches the child.
    runtime: Handle,
    reply: oneshot::Sender<io::Result<StartedChild>>,
}

/// Sends requests to the thread, once it is started.
static STARTER: Mutex<Option<mpsc::Sender<StartRequest>>> = Mutex::new(None);

/// Starts a child in a process group of its own, with an empty environment and pipes for its three standard streams.
///
/// # Errors
/// Those of the operating system.
pub(super) async fn start(settings: &ChildSettings) -> io::Result<StartedChild> {
    wait(request(settings)?).await
}

/// Requests a start without waiting for it.
///
/// # Errors
/// When the thread cannot be started.
pub(super) fn request(settings: &ChildSettings) -> io::Result<PendingStart> {
    let (reply, pending) = oneshot::channel();
    send(StartRequest {
        command: command(settings),
        runtime: Handle::current(),
        reply,
    })?;
    Ok(pending)
}

/// Waits for a requested start.
///
/// # Errors
/// Those of the operating system.
pub(super) async fn wait(pending: PendingStart) -> io::Result<StartedChild> {
    pending.await.map_err(|_| thread_ended())?
}

fn thread_ended() -> io::Error {
    io::Error::other("the thread that starts children ended")
}

#[expect(clippy::disallowed_methods, reason = "the only place that starts processes")]
fn command(settings: &ChildSettings) -> Command {
    let mut command = Command::new(&settings.executable);
    command
        .args(&settings.args)
        .env_clear()
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Sends a request to the thread, and starts the thread if it is not running.
fn send(mut request: StartRequest) -> io::Result<()> {
    let mut starter = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(requests) = starter.as_ref() {
        match requests.send(request) {
            Ok(()) => return Ok(()),
            Err(mpsc::SendError(returned)) => request = returned,
        }
    }
    let (requests, receiver) = mpsc::channel::<StartRequest>();
    std::thread::Builder::new()
        .name("child-starter".into())
        .spawn(move || handle_all(receiver))?;
    let sent = requests.send(request);
    *starter = Some(requests);
    sent.map_err(|_| thread_ended())
}

/// Handles requests until all senders are dropped. A panic fails only its request: if it ended the thread, the kernel
/// would kill all children.
fn handle_all(requests: mpsc::Receiver<StartRequest>) {
    for request in requests {
        // A panic drops the reply channel, so that the requester gets an error.
        let _ = catch_unwind(AssertUnwindSafe(|| handle(request)));
    }
}

/// Starts a child. It is dropped, and so killed, when the requester no longer waits.
fn handle(mut request: StartRequest) {
    let _entered = request.runtime.enter();
    let _ = request.reply.send(spawn(&mut request.command));
}

fn spawn(command: &mut Command) -> io::Result<StartedChild> {
    let mut leader = command.spawn()?;
    let pipes = (leader.stdin.take(), leader.stdout.take(), leader.stderr.take());
    let id = leader.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let (Some(id), (Some(stdin), Some(stdout), Some(stderr))) = (id, pipes) else {
        return Err(io::Error::other("a child without pipes"));
    };
    Ok(StartedChild {
        group: ProcessGroup::new(leader, id),
        pipes: Pipes { stdin, stdout, stderr },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails at the first error")]

    use super::*;
    use tokio::runtime::Builder;

    #[test]
    fn a_panic_fails_one_request_and_not_the_thread() {
        // Starting a child panics in a runtime without signal driver.
        let without_drivers = Builder::new_current_thread().build().unwrap();
        let complete = Builder::new_current_thread().enable_all().build().unwrap();
        let settings = ChildSettings {
            args: Vec::new(),
            ..ChildSettings::new("/bin/cat".into())
        };
        let (requests, receiver) = mpsc::channel();
        let request = |runtime: &Handle| {
            let (reply, pending) = oneshot::channel();
            let request = StartRequest {
                command: command(&settings),
                runtime: runtime.clone(),
                reply,
            };
            requests.send(request).unwrap();
            pending
        };
        let mut panicking = request(without_drivers.handle());
        let mut working = request(complete.handle());
        drop(requests);
        handle_all(receiver);
        assert!(panicking.try_recv().is_err());
        working.try_recv().unwrap().unwrap();
    }
}
