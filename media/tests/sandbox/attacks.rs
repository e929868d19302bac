//! Operations that an attacker in a decoder would try, and operations that FFmpeg needs. Both run in a child, confined
//! or not, and are reported with their error numbers.

use crate::fixture::SECRET;
use crate::syscalls;
use domain::plan::{Clips, CopyPolicy};
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

/// Paths, descriptors and processes to attack.
#[derive(Serialize, Deserialize)]
pub(crate) struct Targets {
    /// `true` confines the process first. `false` shows that the operations succeed without the sandbox.
    pub(crate) confined: bool,
    pub(crate) scratch: PathBuf,
    pub(crate) source: PathBuf,
    pub(crate) secret: PathBuf,
    /// An open descriptor that the child inherits.
    pub(crate) inherited_fd: i32,
    /// Id of a process outside of the sandbox.
    pub(crate) outside_pid: i32,
}

/// Error number of each operation by its name; `None` when it succeeded.
pub(crate) type Outcomes = BTreeMap<String, Option<i32>>;

/// The outcome of all operations; printed as one line of JSON.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct AttackReport {
    pub(crate) landlock: bool,
    pub(crate) seccomp: bool,
    pub(crate) forbidden: Outcomes,
    pub(crate) calls: Outcomes,
    pub(crate) needed: Outcomes,
    /// Result of a transcode that ran at the same time.
    pub(crate) transcode: String,
}

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let targets: Targets = serde_json::from_str(&arguments[0]).unwrap();
    let source = File::open(&targets.source).unwrap();
    let mut report = AttackReport::default();
    let scratch = targets.scratch.canonicalize().unwrap();
    std::env::set_current_dir(&scratch).unwrap();
    if targets.confined {
        drop(source);
        sandbox::harden_process().unwrap();
        let source = File::open(&targets.source).unwrap();
        let status = sandbox::confine(&scratch, &LIMITS).unwrap();
        (report.landlock, report.seccomp) = (status.landlock, status.seccomp);
        engine::init();
        report.transcode = while_transcoding(source, &scratch, || record_outcomes(&targets, &mut report));
    } else {
        report.forbidden = forbidden(&targets);
    }
    println!("{}", serde_json::to_string(&report).unwrap());
    ExitCode::SUCCESS
}

/// Confines itself and makes a system call of another architecture, which has another number there.
pub(crate) fn call_foreign_architecture() -> ExitCode {
    sandbox::harden_process().unwrap();
    sandbox::confine(Path::new("/tmp"), &LIMITS).unwrap();
    syscalls::call_foreign_architecture();
    ExitCode::SUCCESS
}

/// Confines itself while another thread runs. Prints the status of the sandbox, and the error of a system call that the
/// other thread makes.
pub(crate) fn confine_beside_thread() -> ExitCode {
    sandbox::harden_process().unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let other = std::thread::spawn(move || {
        wait.recv().unwrap();
        syscalls::error_of(libc::SYS_socket)
    });
    let status = sandbox::confine(Path::new("/tmp"), &LIMITS).unwrap();
    go.send(()).unwrap();
    let socket = other.join().unwrap();
    println!("{}", serde_json::to_string(&(status, socket)).unwrap());
    ExitCode::SUCCESS
}

/// Runs the media child on a simulated kernel without `landlock` or `seccomp`.
pub(crate) fn run_on_old_kernel(missing: &str) -> ExitCode {
    let call = match missing {
        "landlock" => libc::SYS_landlock_create_ruleset,
        _ => libc::SYS_seccomp,
    };
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let rules = BTreeMap::from([(call, vec![])]);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, absent, architecture).unwrap();
    let compiled: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&compiled).unwrap();
    media::run()
}

/// Runs all operations and records their outcomes.
fn record_outcomes(targets: &Targets, report: &mut AttackReport) {
    report.forbidden = forbidden(targets);
    report.needed = needed();
    for (name, call) in syscalls::CALLS {
        report.calls.insert((*name).into(), syscalls::error_of(*call));
    }
}

/// Repeats `act` while the engine transcodes the source, and at least once. Returns the result of the transcode.
fn while_transcoding(source: File, scratch: &Path, mut act: impl FnMut()) -> String {
    let (send, ended) = mpsc::channel();
    let scratch = scratch.to_path_buf();
    let engine = std::thread::spawn(move || send.send(transcode(source, &scratch)));
    let outcome = loop {
        act();
        if let Ok(outcome) = ended.try_recv() {
            break outcome;
        }
    };
    engine.join().unwrap().unwrap();
    outcome
}

/// Runs the preset `web` on the source. Returns the number of outputs, or the failure.
fn transcode(source: File, scratch: &Path) -> String {
    let (cancel, sources) = (engine::Cancel::new(), [source]);
    let inputs = engine::Inputs {
        sources: &sources,
        images: &engine::Images::new(),
    };
    let report = engine::probe(&sources[0], &cancel).and_then(|probe| {
        let recipe = domain::preset::find("web").expect("a built-in preset").recipe;
        let (clips, copies) = (Clips::default(), CopyPolicy::default());
        let plan = domain::plan(&recipe, &probe, clips, &domain::Limits::default(), copies)?;
        engine::transcode(&inputs, &plan, scratch, 2, &mut |_| (), &cancel)
    });
    report.map_or_else(
        |failure| failure.to_string(),
        |report| format!("{} outputs", report.outputs.len()),
    )
}

fn outcome<T>(result: io::Result<T>) -> Option<i32> {
    result.err().map(|error| error.raw_os_error().unwrap_or(0))
}

/// Operations that the sandbox must prevent.
fn forbidden(targets: &Targets) -> Outcomes {
    let operations = [
        forbidden_in_files(&targets.source, &targets.secret),
        forbidden_elsewhere(targets),
    ];
    operations
        .into_iter()
        .flatten()
        .map(|(name, errno)| (name.into(), errno))
        .collect()
}

/// Name of an operation and its error number; `None` when it succeeded.
type Outcome = (&'static str, Option<i32>);

fn forbidden_in_files(source: &Path, secret: &Path) -> Vec<Outcome> {
    let neighbor = secret.parent().unwrap();
    let append = || File::options().append(true).open(secret);
    vec![
        ("read /etc/passwd", outcome(File::open("/etc/passwd"))),
        ("read another task's file", outcome(File::open(secret))),
        (
            "read it through a parent directory",
            outcome(File::open("../neighbor/secret")),
        ),
        ("read it through a link", outcome(File::open("link"))),
        (
            "write through a link",
            outcome(File::options().append(true).open("link")),
        ),
        ("append to another task's file", outcome(append())),
        ("reopen its own source", outcome(File::open(source))),
        ("list another task's directory", outcome(fs::read_dir(neighbor))),
        ("create a file beside it", outcome(File::create(neighbor.join("new")))),
        ("create a file in /tmp", outcome(make_and_remove())),
        (
            "create a directory beside it",
            outcome(fs::create_dir(neighbor.join("directory"))),
        ),
        ("move a file out of scratch", move_out(neighbor)),
        ("hard link to it", outcome(fs::hard_link(secret, "stolen"))),
        (
            "symbolic link to it",
            outcome(std::os::unix::fs::symlink(secret, "pointer")),
        ),
        (
            "change its permissions",
            outcome(fs::set_permissions(secret, fs::metadata(secret).unwrap().permissions())),
        ),
        ("truncate it on opening for reading", syscalls::open_truncating(secret)),
        // Last, because the other operations need the file.
        (
            "move another task's file into scratch",
            outcome(fs::rename(secret, "taken")),
        ),
    ]
}

/// Memory, sockets, programs and other processes.
fn forbidden_elsewhere(targets: &Targets) -> Vec<Outcome> {
    vec![
        (
            "read the memory of the parent",
            outcome(File::open(format!("/proc/{}/mem", targets.outside_pid))),
        ),
        ("read its own memory", outcome(File::open("/proc/self/mem"))),
        ("listen on TCP", outcome(std::net::TcpListener::bind("127.0.0.1:0"))),
        ("open a UDP socket", outcome(std::net::UdpSocket::bind("127.0.0.1:0"))),
        ("open a socket pair", outcome(std::os::unix::net::UnixStream::pair())),
        (
            "listen on a socket in scratch",
            outcome(std::os::unix::net::UnixListener::bind("socket")),
        ),
        (
            "start a program",
            outcome(std::process::Command::new("/bin/true").status()),
        ),
        ("fork", syscalls::fork()),
        (
            "send a signal to the parent",
            syscalls::send_signal_0(targets.outside_pid),
        ),
        ("map executable memory", syscalls::map_executable()),
        ("map shared memory", syscalls::map_shared()),
        (
            "use an inherited descriptor",
            syscalls::use_descriptor(targets.inherited_fd),
        ),
    ]
}

fn make_and_remove() -> io::Result<()> {
    let path = format!("/tmp/rushes-attack-{}", std::process::id());
    File::create(&path).and_then(|_| fs::remove_file(&path))
}

fn move_out(neighbor: &Path) -> Option<i32> {
    outcome(fs::write("loot", SECRET).and_then(|()| fs::rename("loot", neighbor.join("loot"))))
}

/// Operations that FFmpeg needs; all must succeed.
fn needed() -> Outcomes {
    let read = |path: &str| outcome(File::open(path).and_then(|mut file| file.read_exact(&mut [0])));
    let outcomes = [
        ("create a file", outcome(fs::write("made.tmp", "made"))),
        ("rename it", outcome(fs::rename("made.tmp", "made.mp4"))),
        ("rewrite it in place", outcome(rewrite("made.mp4"))),
        ("list the scratch directory", outcome(fs::read_dir("."))),
        ("remove it", outcome(fs::remove_file("made.mp4"))),
        ("make a directory", outcome(fs::create_dir("hls"))),
        ("remove the directory", outcome(fs::remove_dir("hls"))),
        ("read random numbers", read("/dev/urandom")),
        ("count processors", read("/proc/cpuinfo")),
        ("start a thread", outcome(thread())),
        (
            "read the clock",
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
    let named = std::thread::Builder::new().name("codec thread".into());
    named.spawn(|| ())?.join().map_err(|_| io::Error::other("panic"))
}
