//! What somebody would try who has taken over a decoder, and what a decoder must still be able to do.

use crate::raw;
use crate::stage::SECRET;
use domain::plan::Clips;
use media::engine;
use media::sandbox::{self, Limits};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;

pub(crate) const LIMITS: Limits = Limits {
    memory_bytes: 8 << 30,
    cpu_s: 600,
    file_bytes: 1 << 30,
};

/// What the attempts are about.
#[derive(Serialize, Deserialize)]
pub(crate) struct Targets {
    /// Whether to lock in first; without, the attempts show that they would work.
    pub(crate) confined: bool,
    pub(crate) scratch: PathBuf,
    pub(crate) source: PathBuf,
    pub(crate) secret: PathBuf,
    /// A descriptor of the parent that was not closed.
    pub(crate) leaked: i32,
    /// A process outside.
    pub(crate) outsider: i32,
}

/// Name of each attempt, and the error number it ended with; `None` when it went through.
pub(crate) type Outcomes = BTreeMap<String, Option<i32>>;

/// What came of it.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Attempts {
    pub(crate) landlock: bool,
    pub(crate) seccomp: bool,
    pub(crate) forbidden: Outcomes,
    pub(crate) calls: Outcomes,
    pub(crate) needed: Outcomes,
    /// How encoding went that was under way meanwhile.
    pub(crate) encoding: String,
}

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let targets: Targets = serde_json::from_str(&arguments[0]).unwrap();
    let source = File::open(&targets.source).unwrap();
    let mut attempts = Attempts::default();
    let scratch = targets.scratch.canonicalize().unwrap();
    std::env::set_current_dir(&scratch).unwrap();
    if targets.confined {
        drop(source);
        sandbox::cut_loose().unwrap();
        media::load().unwrap();
        let source = File::open(&targets.source).unwrap();
        let status = sandbox::enter(&scratch, &LIMITS).unwrap();
        (attempts.landlock, attempts.seccomp) = (status.landlock, status.seccomp);
        engine::init();
        attempts.encoding = while_encoding(source, &scratch, || attempt(&targets, &mut attempts));
    } else {
        attempts.forbidden = forbidden(&targets);
    }
    println!("{}", serde_json::to_string(&attempts).unwrap());
    ExitCode::SUCCESS
}

/// Locks itself in and makes a call that the filter knows only under another number.
pub(crate) fn call_as_a_foreigner() -> ExitCode {
    sandbox::cut_loose().unwrap();
    sandbox::enter(Path::new("/tmp"), &LIMITS).unwrap();
    raw::call_as_a_foreigner();
    ExitCode::SUCCESS
}

/// Locks itself in while another thread lives, and says what is granted, and with what a call of that thread ends.
pub(crate) fn run_in_company() -> ExitCode {
    sandbox::cut_loose().unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let other = std::thread::spawn(move || {
        wait.recv().unwrap();
        raw::refused_with(libc::SYS_socket)
    });
    let status = sandbox::enter(Path::new("/tmp"), &LIMITS).unwrap();
    go.send(()).unwrap();
    let socket = other.join().unwrap();
    println!("{}", serde_json::to_string(&(status, socket)).unwrap());
    ExitCode::SUCCESS
}

/// The child on a kernel that does not know `landlock` or `seccomp`.
pub(crate) fn run_without(what: &str) -> ExitCode {
    let call = match what {
        "landlock" => libc::SYS_landlock_create_ruleset,
        _ => libc::SYS_seccomp,
    };
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let rules = BTreeMap::from([(call, vec![])]);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, absent, architecture).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
    media::run()
}

fn attempt(targets: &Targets, attempts: &mut Attempts) {
    attempts.forbidden = forbidden(targets);
    attempts.needed = needed();
    for (name, call) in raw::CALLS {
        attempts.calls.insert((*name).into(), raw::refused_with(*call));
    }
}

/// Does as told while the engine works on the source, at least once, and says how that ended.
fn while_encoding(source: File, scratch: &Path, mut act: impl FnMut()) -> String {
    let (send, ended) = mpsc::channel();
    let scratch = scratch.to_path_buf();
    let engine = std::thread::spawn(move || send.send(encode(source, &scratch)));
    let outcome = loop {
        act();
        if let Ok(outcome) = ended.try_recv() {
            break outcome;
        }
    };
    engine.join().unwrap().unwrap();
    outcome
}

fn encode(source: File, scratch: &Path) -> String {
    let (cancel, sources) = (engine::Cancel::new(), [source]);
    let footage = engine::Inputs {
        sources: &sources,
        images: &engine::Images::new(),
    };
    let made = engine::probe(&sources[0], &cancel).and_then(|probe| {
        let recipe = domain::preset::find("web").expect("a preset of ours").recipe;
        let plan = domain::plan(&recipe, &probe, Clips::default(), &domain::Limits::default())?;
        engine::transcode(&footage, &plan, scratch, 2, &mut |_| (), &cancel)
    });
    made.map_or_else(
        |failure| failure.to_string(),
        |report| format!("{} outputs", report.outputs.len()),
    )
}

fn outcome<T>(result: io::Result<T>) -> Option<i32> {
    result.err().map(|error| error.raw_os_error().unwrap_or(0))
}

fn forbidden(targets: &Targets) -> Outcomes {
    let secret = &targets.secret;
    let neighbor = secret.parent().unwrap();
    let append = || File::options().append(true).open(secret);
    let mut outcomes = BTreeMap::from([
        ("read /etc/passwd", outcome(File::open("/etc/passwd"))),
        ("read another task's file", outcome(File::open(secret))),
        ("read it on a way around", outcome(File::open("../neighbor/secret"))),
        ("read it through a link", outcome(File::open("link"))),
        (
            "write through a link",
            outcome(File::options().append(true).open("link")),
        ),
        ("append to another task's file", outcome(append())),
        ("open the own source again", outcome(File::open(&targets.source))),
        ("list another task's directory", outcome(fs::read_dir(neighbor))),
        ("make a file there", outcome(File::create(neighbor.join("new")))),
        ("make a file in /tmp", outcome(make_and_remove())),
        (
            "make a directory there",
            outcome(fs::create_dir(neighbor.join("directory"))),
        ),
        ("move a file out", move_out(neighbor)),
        ("make a hard link to it", outcome(fs::hard_link(secret, "stolen"))),
        (
            "make a link to it",
            outcome(std::os::unix::fs::symlink(secret, "pointer")),
        ),
        (
            "change its rights",
            outcome(fs::set_permissions(secret, fs::metadata(secret).unwrap().permissions())),
        ),
        ("empty it while reading", raw::open_and_empty(secret)),
        (
            "read the memory of the parent",
            outcome(File::open(format!("/proc/{}/mem", targets.outsider))),
        ),
        ("read the own memory", outcome(File::open("/proc/self/mem"))),
        ("listen on TCP", outcome(std::net::TcpListener::bind("127.0.0.1:0"))),
        ("open UDP", outcome(std::net::UdpSocket::bind("127.0.0.1:0"))),
        (
            "open a pair of sockets",
            outcome(std::os::unix::net::UnixStream::pair()),
        ),
        (
            "listen on a socket in scratch",
            outcome(std::os::unix::net::UnixListener::bind("door")),
        ),
        (
            "start a program",
            outcome(std::process::Command::new("/bin/true").status()),
        ),
        ("fork", raw::fork()),
        ("signal the parent", raw::signal(targets.outsider)),
        ("map code", raw::map_code()),
        ("map shared memory", raw::map_shared()),
        ("use a descriptor of the parent", raw::is_open(targets.leaked)),
    ]);
    outcomes.insert("take another task's file away", outcome(fs::rename(secret, "taken")));
    outcomes.into_iter().map(|(name, errno)| (name.into(), errno)).collect()
}

fn make_and_remove() -> io::Result<()> {
    let path = format!("/tmp/rushes-attempt-{}", std::process::id());
    File::create(&path).and_then(|_| fs::remove_file(&path))
}

fn move_out(neighbor: &Path) -> Option<i32> {
    outcome(fs::write("goods", SECRET).and_then(|()| fs::rename("goods", neighbor.join("goods"))))
}

/// What FFmpeg does all day.
fn needed() -> Outcomes {
    let read = |path: &str| outcome(File::open(path).and_then(|mut file| file.read_exact(&mut [0])));
    let outcomes = [
        ("write a file", outcome(fs::write("made.tmp", "made"))),
        ("move it", outcome(fs::rename("made.tmp", "made.mp4"))),
        ("rewrite it in place", outcome(rewrite("made.mp4"))),
        ("list scratch", outcome(fs::read_dir("."))),
        ("remove it", outcome(fs::remove_file("made.mp4"))),
        ("make a directory", outcome(fs::create_dir("hls"))),
        ("remove the directory", outcome(fs::remove_dir("hls"))),
        ("read random numbers", read("/dev/urandom")),
        ("count processors", read("/proc/cpuinfo")),
        ("start a thread", outcome(thread())),
        (
            "learn the time",
            outcome(std::time::SystemTime::now().elapsed().map_err(io::Error::other)),
        ),
    ];
    outcomes.into_iter().map(|(name, errno)| (name.into(), errno)).collect()
}

fn rewrite(path: &str) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    file.write_all(b"more of it")?;
    file.set_len(4)?;
    file.sync_all()?;
    File::create(path).map(drop)
}

fn thread() -> io::Result<()> {
    let named = std::thread::Builder::new().name("worker of a codec".into());
    named.spawn(|| ())?.join().map_err(|_| io::Error::other("panic"))
}
