//! Shortages of the machine, told apart from the limits of the child: the first are no failure of the task.
//!
//! A shortage is simulated: a limit of the address space below that of the memory, a kernel that starts no threads, or
//! a low limit of descriptors, set before the child begins.

use crate::child::Child;
use crate::fixture::{Fixture, Test};
use crate::memory;
use crate::transcodes::{answer, make};
use domain::plan::{Clips, CopyPolicy};
use domain::protocol::{Event, Request, SHORTAGE_NOTE, Session};
use domain::{Code, Failure, Limits, Recipe};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::io::Read;
use std::process::ExitCode;

pub(crate) const TESTS: &[Test] = &[
    (
        "memory_that_the_machine_lacks_is_told_apart_from_the_limit_of_the_child",
        memory_that_the_machine_lacks_is_told_apart_from_the_limit_of_the_child,
    ),
    (
        "a_machine_without_threads_is_no_failure_of_the_task",
        a_machine_without_threads_is_no_failure_of_the_task,
    ),
    (
        "a_machine_without_descriptors_is_no_failure_of_the_task",
        a_machine_without_descriptors_is_no_failure_of_the_task,
    ),
];

const MIB: u64 = 1 << 20;

/// Memory that is less than a frame of [`FRAME`] takes.
const TOO_LITTLE: u64 = 100 * MIB;

/// A GIF of 128 MiB per decoded frame.
const FRAME: &str = "-f lavfi -i color=red:s=8192x4096:r=2:d=0.5 -c:v gif";

const RECIPE: &str = r#"{"outputs":[{"kind":"poster"},{"kind":"gif"},{"kind":"sprite"}]}"#;

/// Runs the media child on a machine that lacks a resource; for `descriptors`, the second argument is their number.
pub(crate) fn run_on_short_machine(arguments: &[String]) -> ExitCode {
    match (arguments[0].as_str(), arguments.get(1)) {
        ("memory", _) => lower(Resource::RLIMIT_AS, address_space() + TOO_LITTLE),
        ("descriptors", Some(count)) => lower(Resource::RLIMIT_NOFILE, count.parse().unwrap()),
        _ => refuse_threads(),
    }
    media::run()
}

fn lower(resource: Resource, limit: u64) {
    let (_, hard) = getrlimit(resource).unwrap();
    setrlimit(resource, limit.min(hard), limit.min(hard)).unwrap();
}

/// Address space of this process in bytes.
fn address_space() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1_024
}

/// Answers the system call that starts threads as a machine does that has reached its maximum.
fn refuse_threads() {
    let refused = SeccompAction::Errno(libc::EAGAIN.unsigned_abs());
    let rules = BTreeMap::from([(libc::SYS_clone, vec![]), (libc::SYS_clone3, vec![])]);
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture).unwrap();
    let compiled: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&compiled).unwrap();
}

/// Opens a session in a child that was started with these arguments, probes and transcodes. Returns the failure
/// that the worker makes of it.
fn transcode(arguments: &[&str], session: &Session) -> Result<(), Failure> {
    let mut stderr = tempfile::NamedTempFile::new().unwrap();
    let mut child = Child::start_with_stderr(arguments, stderr.reopen().unwrap().into());
    let scratch = tempfile::tempdir().unwrap();
    child.send(&Session {
        scratch: scratch.path().to_owned(),
        ..session.clone()
    });
    let mut completed = |child: &mut Child| {
        let failure = match answer(child) {
            Some(Event::Failed(failure)) => failure,
            Some(event) => return Ok(event),
            None => Failure::new(Code::MediaCrash, "the child ended"),
        };
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        let code = if text.contains(SHORTAGE_NOTE) {
            Code::Unavailable
        } else if domain::is_failed_allocation(&text) {
            Code::MediaMemory
        } else {
            failure.code
        };
        Err(Failure::new(code, format!("{failure}, {text}")))
    };
    let ready = completed(&mut child)?;
    assert!(matches!(ready, Event::Ready(ref status) if status.is_full()));
    child.send(&Request::Probe(0));
    let Event::Probed(probe) = completed(&mut child)? else {
        panic!("no probe")
    };
    let (clips, copies) = (Clips::default(), CopyPolicy::default());
    let recipe = Recipe::parse(RECIPE).unwrap();
    let plan = domain::plan(&recipe, &probe, clips, &Limits::default(), copies).unwrap();
    child.send(&Request::Transcode(Box::new(plan)));
    completed(&mut child).map(drop)
}

fn memory_that_the_machine_lacks_is_told_apart_from_the_limit_of_the_child() {
    let fixture = Fixture::new();
    let source = fixture.source().with_extension("gif");
    memory::make(&source, FRAME);
    let session = Session {
        sources: vec![source],
        ..fixture.session()
    };
    let short = transcode(&["mode:short-machine", "memory"], &session).unwrap_err();
    assert_eq!(short.code, Code::Unavailable, "{short}");
    let limited = Session {
        max_memory_bytes: TOO_LITTLE,
        ..session
    };
    let over_limit = transcode(&["mode:media"], &limited).unwrap_err();
    assert_eq!(over_limit.code, Code::MediaMemory, "{over_limit}");
}

fn a_machine_without_threads_is_no_failure_of_the_task() {
    let fixture = Fixture::new();
    let mut child = Child::start(&["mode:short-machine", "threads"]);
    child.send(&fixture.session());
    assert!(matches!(child.receive(), Event::Ready(ref status) if status.is_full()));
    let Some(Event::Failed(failure)) = answer(&mut child) else {
        panic!("no failure")
    };
    assert_eq!(failure.code, Code::Unavailable, "{failure}");
    assert_eq!(failure.detail, "the machine has no threads left");
}

fn a_machine_without_descriptors_is_no_failure_of_the_task() {
    let fixture = Fixture::new();
    let source = fixture.source().with_extension("mp4");
    make(&source, 1, "-c:v libx264 -preset ultrafast -c:a aac");
    let session = Session {
        sources: vec![source],
        ..fixture.session()
    };
    let mut failures = 0;
    for limit in 5.. {
        match transcode(&["mode:short-machine", "descriptors", &limit.to_string()], &session) {
            Ok(()) => break,
            Err(failure) => assert_eq!(failure.code, Code::Unavailable, "{limit} descriptors: {failure}"),
        }
        failures += 1;
    }
    assert!(failures > 3, "{failures} limits");
}
