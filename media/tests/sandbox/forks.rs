//! Children of the fork server: each is confined, can end alone, and dies with the server.

use crate::fixture::{Fixture, Test};
use crate::skip;
use domain::protocol::{Event, ForkReply, ForkRequest, MAX_PACKET_BYTES, Session};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv,
    sendmsg, socketpair,
};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::File;
use std::io::{BufRead, BufReader, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    ("forked_children_are_confined", forked_children_are_confined),
    (
        "a_forked_child_ends_alone_and_is_reaped_on_request",
        a_forked_child_ends_alone_and_is_reaped_on_request,
    ),
    (
        "forked_children_die_with_the_server",
        forked_children_die_with_the_server,
    ),
    ("a_start_without_streams_is_refused", a_start_without_streams_is_refused),
];

struct Server {
    process: std::process::Child,
    socket: OwnedFd,
}

struct Forked {
    id: i32,
    input: File,
    output: BufReader<File>,
}

impl Server {
    fn start() -> Self {
        let kind = SocketType::SEQPACKET;
        let (socket, other) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
        let process = Command::new(std::env::current_exe().unwrap())
            .arg("mode:fork-server")
            .env_clear()
            .stdin(Stdio::from(other))
            .spawn()
            .unwrap();
        Self { process, socket }
    }

    fn ask(&self, request: ForkRequest, streams: &[BorrowedFd<'_>]) -> ForkReply {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !streams.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(streams)));
        }
        let packet = serde_json::to_vec(&request).unwrap();
        sendmsg(
            &self.socket,
            &[IoSlice::new(&packet)],
            &mut control,
            SendFlags::NOSIGNAL,
        )
        .unwrap();
        let mut packet = [0; MAX_PACKET_BYTES];
        let (length, _) = recv(&self.socket, &mut packet, RecvFlags::empty()).unwrap();
        serde_json::from_slice(&packet[..length]).unwrap()
    }

    /// Starts a child and opens a session in it.
    fn fork(&self, session: &Session) -> Forked {
        let (stdin, input) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (output, stdout) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let stderr = File::options().write(true).open("/dev/null").unwrap();
        let reply = self.ask(ForkRequest::Start, &[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]);
        let ForkReply::Started(id) = reply else {
            panic!("{reply:?}")
        };
        let mut forked = Forked {
            id,
            input: input.into(),
            output: BufReader::new(output.into()),
        };
        let session = serde_json::to_string(session).unwrap();
        writeln!(forked.input, "{session}").unwrap();
        forked
    }

    /// Reaps a child, which is about to end.
    fn reap(&self, id: i32) -> ForkReply {
        let since = Instant::now();
        loop {
            match self.ask(ForkRequest::Reap(id), &[]) {
                ForkReply::Running if since.elapsed() < Duration::from_secs(10) => std::thread::yield_now(),
                reply => return reply,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Forked {
    /// The next line; `None` at the end of output.
    fn receive(&mut self) -> Option<Event> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    fn assert_ready(&mut self) {
        let event = self.receive();
        assert!(
            matches!(event, Some(Event::Ready(ref status)) if status.is_full()),
            "{event:?}"
        );
    }
}

fn forked_children_are_confined() {
    let (fixture, server) = (Fixture::new(), Server::start());
    let mut children = [server.fork(&fixture.session()), server.fork(&fixture.session())];
    for child in &mut children {
        child.assert_ready();
        // It leads a group of its own.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id)).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        assert_eq!(fields[2], child.id.to_string());
        // The socket of the server is not among the descriptors of a child. Root may read them.
        let Ok(descriptors) = std::fs::read_dir(format!("/proc/{}/fd", child.id)) else {
            return skip::missing("the right to list the descriptors of a child (root)");
        };
        let targets = descriptors.map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap());
        for target in targets {
            assert!(!target.to_str().unwrap().starts_with("socket:"), "{target:?}");
        }
    }
}

fn a_forked_child_ends_alone_and_is_reaped_on_request() {
    let (fixture, server) = (Fixture::new(), Server::start());
    let mut first = server.fork(&fixture.session());
    let mut second = server.fork(&fixture.session());
    first.assert_ready();
    assert_eq!(server.ask(ForkRequest::Reap(first.id), &[]), ForkReply::Running);
    let kill = |id: i32| Command::new("kill").args(["-KILL", &id.to_string()]).status();
    assert!(kill(first.id).unwrap().success());
    assert_eq!(server.reap(first.id), ForkReply::Killed(9));
    assert!(matches!(server.reap(first.id), ForkReply::Failed(_)));
    second.assert_ready();
    // The end of its input ends it with success.
    let Forked { id, input, .. } = second;
    drop(input);
    assert_eq!(server.reap(id), ForkReply::Exited(0));
    server.fork(&fixture.session()).assert_ready();
}

fn forked_children_die_with_the_server() {
    let (fixture, server) = (Fixture::new(), Server::start());
    let mut child = server.fork(&fixture.session());
    child.assert_ready();
    drop(server);
    assert_eq!(child.receive(), None);
}

fn a_start_without_streams_is_refused() {
    let (fixture, server) = (Fixture::new(), Server::start());
    assert!(matches!(server.ask(ForkRequest::Start, &[]), ForkReply::Failed(_)));
    assert!(matches!(server.ask(ForkRequest::Reap(-1), &[]), ForkReply::Failed(_)));
    server.fork(&fixture.session()).assert_ready();
}
