//! Starts children by asking the fork server, `rushes-media fork-server`. One thread talks to it.
//!
//! The thread starts the server for the first child, and again when it has ended. A server that ends takes its children
//! with it: each asks the kernel for a signal when its parent dies (`PR_SET_PDEATHSIG`, prctl(2)). The server asks for
//! the same signal. For the kernel its parent is the *thread* that started it, and threads of the runtime end when
//! idle. So one thread starts the server; it lives as long as a handle or a process group exists.

use super::ChildSettings;
use super::process_group::{Parent, ProcessGroup, ReapRequest};
use domain::protocol::{ForkReply, ForkRequest, MAX_PACKET_BYTES};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv,
    sendmsg, socketpair, sockopt,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Time for the server to answer. It only forks, but before the first answer it loads FFmpeg, perhaps from a cold disk.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// Interval between two tries to reap children that were killed and have not ended.
const REAP_INTERVAL: Duration = Duration::from_millis(10);
/// Maximum length of the message of a server that cannot start.
const MESSAGE_BYTES: u64 = 4_096;

/// A child that was started and has no session yet.
#[derive(Debug)]
pub(super) struct StartedChild {
    pub(super) group: ProcessGroup,
    pub(super) pipes: Pipes,
}

/// The worker's ends of the three standard streams of a child.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: pipe::Sender,
    pub(super) stdout: pipe::Receiver,
    pub(super) stderr: pipe::Receiver,
}

/// Sends requests to the thread that talks to the fork server.
#[derive(Clone, Debug)]
pub(super) struct ServerHandle(mpsc::Sender<Request>);

enum Request {
    Start(StartRequest),
    Reap(ReapRequest),
}

struct StartRequest {
    /// Goes into the new process group, which requests the reaping through it and keeps the thread alive.
    server: ServerHandle,
    /// The runtime that polls the pipes.
    runtime: Handle,
    reply: oneshot::Sender<io::Result<StartedChild>>,
}

impl ServerHandle {
    /// Starts the thread. The server is started for the first child.
    ///
    /// # Errors
    /// The machine has no thread left.
    pub(super) fn new(settings: &ChildSettings) -> io::Result<Self> {
        let (requests, receiver) = mpsc::channel();
        let mut thread = ServerThread {
            settings: settings.clone(),
            server: None,
            unreaped: Vec::new(),
        };
        let run = move || thread.handle_all(&receiver);
        std::thread::Builder::new().name("fork-server".into()).spawn(run)?;
        Ok(Self(requests))
    }

    /// Starts a child in a process group of its own, with an empty environment and pipes for its standard streams. It
    /// is killed when the future is dropped.
    ///
    /// # Errors
    /// Those of the operating system, also from the server; [`io::ErrorKind::BrokenPipe`] when the server ends at its
    /// start. Its message is logged.
    pub(super) async fn start(&self) -> io::Result<StartedChild> {
        let (reply, started) = oneshot::channel();
        let request = StartRequest {
            server: self.clone(),
            runtime: Handle::current(),
            reply,
        };
        self.0.send(Request::Start(request)).map_err(|_| thread_ended())?;
        started.await.map_err(|_| thread_ended())?
    }
}

fn thread_ended() -> io::Error {
    io::Error::other("the thread that starts media children ended")
}

/// The state of the thread.
struct ServerThread {
    settings: ChildSettings,
    server: Option<ForkServer>,
    unreaped: Vec<ReapRequest>,
}

impl ServerThread {
    /// Handles requests until the last handle is dropped.
    fn handle_all(&mut self, requests: &mpsc::Receiver<Request>) {
        loop {
            let request = if self.unreaped.is_empty() {
                requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                requests.recv_timeout(REAP_INTERVAL)
            };
            match request {
                Ok(Request::Start(request)) => self.start(request),
                Ok(Request::Reap(request)) => self.unreaped.push(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.reap_all();
        }
    }

    /// Starts a child. A panic fails only this request: if it ended the thread, the kernel would kill all children.
    fn start(&mut self, request: StartRequest) {
        let StartRequest { server, runtime, reply } = request;
        let _entered = runtime.enter();
        let started = catch_unwind(AssertUnwindSafe(|| self.fork(&server)));
        let started = started.unwrap_or_else(|_| Err(io::Error::other("starting a media child panicked")));
        let _ = reply.send(started);
    }

    /// Starts a child. If the server had ended, starts a new one and tries once more.
    fn fork(&mut self, handle: &ServerHandle) -> io::Result<StartedChild> {
        match self.try_fork(handle) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.try_fork(handle),
            started => started,
        }
    }

    fn try_fork(&mut self, handle: &ServerHandle) -> io::Result<StartedChild> {
        let (child_stdin, stdin) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stdout, child_stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, child_stderr) = pipe_with(PipeFlags::CLOEXEC)?;
        let streams = [child_stdin.as_fd(), child_stdout.as_fd(), child_stderr.as_fd()];
        let leader = match self.ask(ForkRequest::Start, &streams)? {
            ForkReply::Started(id) => Pid::from_raw(id).ok_or_else(unexpected_reply)?,
            ForkReply::Failed(number) => return Err(io::Error::from_raw_os_error(number)),
            _ => return Err(unexpected_reply()),
        };
        let server = self.server.as_ref().ok_or_else(unexpected_reply)?;
        let requests = handle.0.clone();
        let parent = Parent {
            pidfd: server.pidfd.clone(),
            // Fails only when the thread has ended, and with it the server and the child.
            reap: Arc::new(move |request| drop(requests.send(Request::Reap(request)))),
        };
        Ok(StartedChild {
            group: ProcessGroup::new(leader, parent)?,
            pipes: Pipes {
                stdin: pipe::Sender::from_owned_fd(stdin)?,
                stdout: pipe::Receiver::from_owned_fd(stdout)?,
                stderr: pipe::Receiver::from_owned_fd(stderr)?,
            },
        })
    }

    /// Reaps the killed children that have ended.
    fn reap_all(&mut self) {
        for request in std::mem::take(&mut self.unreaped) {
            let reply = if self.server.is_some() {
                self.ask(ForkRequest::Reap(request.leader.as_raw_pid()), &[])
            } else {
                continue;
            };
            match reply {
                Ok(ForkReply::Running) => self.unreaped.push(request),
                // The status in the format of wait(2).
                Ok(ForkReply::Exited(status)) => drop(request.reply.send(ExitStatus::from_raw(status << 8))),
                Ok(ForkReply::Killed(signal)) => drop(request.reply.send(ExitStatus::from_raw(signal))),
                _ => {}
            }
        }
    }

    /// Sends a request with descriptors and waits for the reply. Starts the server when there is none.
    ///
    /// # Errors
    /// Those of starting the server. After any other error the server was killed, and the next request starts a new
    /// one. [`io::ErrorKind::BrokenPipe`]: it had ended before it read the request.
    fn ask(&mut self, request: ForkRequest, descriptors: &[BorrowedFd<'_>]) -> io::Result<ForkReply> {
        if self.server.is_none() {
            self.server = Some(ForkServer::start(&self.settings)?);
        }
        let server = self.server.as_ref().ok_or_else(unexpected_reply)?;
        let reply = server.exchange(request, descriptors);
        if let Err(error) = &reply {
            let message = self.server.take().map(ForkServer::end).unwrap_or_default();
            tracing::warn!(%error, message, "the fork server of media children ended");
        }
        reply
    }
}

fn unexpected_reply() -> io::Error {
    io::Error::other("the fork server sent an unexpected reply")
}

/// A fork server. Dropping it kills it and its children.
struct ForkServer {
    process: std::process::Child,
    /// Becomes readable when the server ends.
    pidfd: Arc<OwnedFd>,
    socket: OwnedFd,
}

impl ForkServer {
    #[expect(clippy::disallowed_methods, reason = "the only place that starts processes")]
    fn start(settings: &ChildSettings) -> io::Result<Self> {
        let (socket, server_socket) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        let mut process = Command::new(&settings.executable)
            .args(&settings.args)
            .env_clear()
            .process_group(0)
            .stdin(Stdio::from(server_socket))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        match pidfd_open(Pid::from_child(&process), PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self {
                pidfd: Arc::new(pidfd),
                process,
                socket,
            }),
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                Err(error.into())
            }
        }
    }

    fn exchange(&self, request: ForkRequest, descriptors: &[BorrowedFd<'_>]) -> io::Result<ForkReply> {
        let packet = serde_json::to_vec(&request)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        sendmsg(
            &self.socket,
            &[IoSlice::new(&packet)],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
        let mut packet = [0; MAX_PACKET_BYTES];
        let received = rustix::io::retry_on_intr(|| recv(&self.socket, &mut packet, RecvFlags::empty()));
        let length = match received {
            Ok((length, _)) => length,
            // The server ended before it had read the request.
            Err(Errno::CONNRESET) => 0,
            // The receive timeout. Passed on, `EAGAIN` would count as a lack of processes (`domain::is_exhaustion`),
            // and the task would be postponed without limit.
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        };
        match packet.get(..length) {
            Some([]) | None => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
            Some(packet) => Ok(serde_json::from_slice(packet)?),
        }
    }

    /// Kills the server and returns what it wrote to standard error, as the dynamic linker does about a missing
    /// library.
    fn end(mut self) -> String {
        let _ = self.process.kill();
        let mut message = Vec::new();
        if let Some(stderr) = self.process.stderr.take() {
            let _ = stderr.take(MESSAGE_BYTES).read_to_end(&mut message);
        }
        String::from_utf8_lossy(&message).trim_end().to_owned()
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
