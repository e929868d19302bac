//! The confined child: forbidden operations fail, needed operations succeed, and without the sandbox the forbidden ones
//! succeed, too.

use crate::attacks::{AttackReport, Targets};
use crate::child::Child;
use crate::fixture::{Fixture, Test};
use crate::transcodes;
use domain::Code;
use domain::protocol::{Event, SandboxMode, SandboxStatus, Session};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::{self, File};
use std::path::Path;

pub(crate) const TESTS: &[Test] = &[
    (
        "forbidden_operations_fail_while_the_child_transcodes",
        forbidden_operations_fail_while_the_child_transcodes,
    ),
    (
        "forbidden_operations_succeed_without_the_sandbox",
        forbidden_operations_succeed_without_the_sandbox,
    ),
    (
        "procfs_shows_the_limits_and_dropped_rights_of_the_child",
        procfs_shows_the_limits_and_dropped_rights_of_the_child,
    ),
    (
        "every_thread_of_the_child_has_a_lower_priority",
        every_thread_of_the_child_has_a_lower_priority,
    ),
    (
        "a_system_call_of_another_architecture_kills_the_process",
        a_system_call_of_another_architecture_kills_the_process,
    ),
    (
        "an_earlier_thread_is_filtered_and_landlock_is_reported_as_missing",
        an_earlier_thread_is_filtered_and_landlock_is_reported_as_missing,
    ),
    (
        "a_kernel_without_landlock_or_seccomp_is_reported_or_refused",
        a_kernel_without_landlock_or_seccomp_is_reported_or_refused,
    ),
    (
        "a_small_memory_limit_ends_the_child",
        a_small_memory_limit_ends_the_child,
    ),
];

/// Runs all operations of `attacks.rs` in a child that inherits an open descriptor.
fn run_attacks(fixture: &Fixture, confined: bool) -> AttackReport {
    let secret = File::open(fixture.secret()).unwrap();
    // `F_DUPFD` clears the close-on-exec flag. The number is high, so that the child does not reuse it.
    let inherited_fd = fcntl(&secret, FcntlArg::F_DUPFD(200)).unwrap();
    let targets = Targets {
        confined,
        scratch: fixture.scratch(),
        source: fixture.source(),
        secret: fixture.secret(),
        inherited_fd,
        outside_pid: i32::try_from(std::process::id()).unwrap(),
    };
    let mut child = Child::start(&["mode:attacks", &serde_json::to_string(&targets).unwrap()]);
    let line = child.receive_line().expect("a report");
    assert_eq!(child.close(), Some(0));
    serde_json::from_str(&line).unwrap()
}

fn forbidden_operations_fail_while_the_child_transcodes() {
    let fixture = Fixture::new();
    transcodes::make(&fixture.source(), 2, "-c:v libx264 -pix_fmt yuv420p -c:a aac -f mp4");
    let report = run_attacks(&fixture, true);
    assert!(
        report.landlock && report.seccomp,
        "the kernel of this machine has no sandbox"
    );

    let refusals = [Errno::EPERM, Errno::EACCES, Errno::EXDEV].map(|errno| Some(errno as i32));
    for (name, outcome) in report.forbidden.iter().chain(&report.calls) {
        let refused = match name.as_str() {
            "use an inherited descriptor" => *outcome == Some(Errno::EBADF as i32),
            // Reported as absent, so that libc falls back to `clone`.
            "clone3" => *outcome == Some(Errno::ENOSYS as i32),
            _ => refusals.contains(outcome),
        };
        assert!(refused, "{name}: {outcome:?}");
    }
    for (name, outcome) in &report.needed {
        assert_eq!(*outcome, None, "{name}");
    }
    let secret = fs::read_to_string(fixture.secret()).unwrap();
    assert_eq!(secret, crate::fixture::SECRET);
    assert_eq!(fs::read_dir(fixture.secret().parent().unwrap()).unwrap().count(), 1);
    assert_eq!(report.transcode, "2 outputs");
}

fn forbidden_operations_succeed_without_the_sandbox() {
    let report = run_attacks(&Fixture::new(), false);
    for (name, outcome) in &report.forbidden {
        assert_eq!(*outcome, None, "{name}");
    }
}

fn procfs_shows_the_limits_and_dropped_rights_of_the_child() {
    let fixture = Fixture::new();
    let session = Session {
        max_cpu_s: 77,
        ..fixture.session()
    };
    let mut child = Child::start(&["mode:media"]);
    child.send(&session);
    assert!(matches!(child.receive(), Event::Ready(_)));

    let process = Path::new("/proc").join(child.id().to_string());
    let status = fs::read_to_string(process.join("status")).unwrap();
    let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim();
    assert_eq!(value("NoNewPrivs:"), "1");
    assert_eq!(value("Seccomp:"), "2");
    for set in ["CapInh:", "CapPrm:", "CapEff:"] {
        assert_eq!(value(set), "0000000000000000", "{set}");
    }
    let limits = fs::read_to_string(process.join("limits")).unwrap();
    let limit = |key: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(limit("Max cpu time"), "77");
    assert_eq!(limit("Max file size"), session.max_file_bytes.to_string());
    assert_eq!(limit("Max data size"), session.max_memory_bytes.to_string());
    assert_eq!(limit("Max open files"), "256");
    assert_eq!(child.close(), Some(0));
}

/// Compares niceness and scheduling policy of all threads with those of this process (`/proc/PID/task/TID/stat`,
/// proc(5)).
fn every_thread_of_the_child_has_a_lower_priority() {
    let scheduling = |process: &Path| {
        let tasks = fs::read_dir(process.join("task")).unwrap();
        let of = |path: std::path::PathBuf| {
            let stat = fs::read_to_string(path.join("stat")).unwrap();
            // The name in parentheses may contain spaces. The fields after it are `state` (3) and following, among them
            // `nice` (19) and `policy` (41).
            let fields: Vec<i32> = stat
                .rsplit_once(')')
                .unwrap()
                .1
                .split_whitespace()
                .skip(1)
                .map(|field| field.parse().unwrap_or(-1))
                .collect();
            (fields[19 - 4], fields[41 - 4])
        };
        tasks.map(|task| of(task.unwrap().path())).collect::<Vec<_>>()
    };
    let own = scheduling(Path::new("/proc/self"))[0].0;
    let fixture = Fixture::new();
    let mut child = Child::start(&["mode:media"]);
    child.send(&fixture.session());
    assert!(matches!(child.receive(), Event::Ready(_)));
    for thread in scheduling(&Path::new("/proc").join(child.id().to_string())) {
        assert_eq!(thread, ((own + 10).min(19), libc::SCHED_BATCH));
    }
    assert_eq!(child.close(), Some(0));
}

/// Numbers of system calls differ between architectures, so the allow-list cannot apply to calls of another one.
fn a_system_call_of_another_architecture_kills_the_process() {
    if cfg!(target_arch = "x86_64") {
        let signal = Child::start(&["mode:foreign-architecture"]).wait_for_signal();
        // `SIGSEGV` comes from a kernel without support for 32-bit programs.
        assert!(matches!(signal, Some(libc::SIGSYS | libc::SIGSEGV)), "{signal:?}");
    }
}

/// A library may start a thread when it is loaded. seccomp filters apply to all threads, Landlock to the calling one.
fn an_earlier_thread_is_filtered_and_landlock_is_reported_as_missing() {
    let line = Child::start(&["mode:second-thread"]).receive_line().unwrap();
    let (status, socket): (SandboxStatus, Option<i32>) = serde_json::from_str(&line).unwrap();
    assert_eq!((status.landlock, status.seccomp), (false, true));
    assert_eq!(socket, Some(libc::EPERM));
}

fn a_kernel_without_landlock_or_seccomp_is_reported_or_refused() {
    let fixture = Fixture::new();
    for (missing, granted) in [("landlock", (false, true)), ("seccomp", (true, false))] {
        let begin = |sandbox| {
            let mut child = Child::start(&["mode:old-kernel", missing]);
            child.send(&Session {
                sandbox,
                ..fixture.session()
            });
            child
        };
        let Event::Ready(status) = begin(SandboxMode::BestEffort).receive() else {
            panic!("not ready")
        };
        assert_eq!((status.landlock, status.seccomp), granted);
        let mut refused = begin(SandboxMode::Require);
        let Event::Failed(failure) = refused.receive() else {
            panic!("not refused")
        };
        assert_eq!(failure.code, Code::SandboxUnavailable);
        assert_eq!(refused.close(), Some(1));
    }
}

/// The libraries alone need more memory than the limit allows.
fn a_small_memory_limit_ends_the_child() {
    let fixture = Fixture::new();
    let session = Session {
        max_memory_bytes: 1 << 20,
        sandbox: SandboxMode::BestEffort,
        ..fixture.session()
    };
    let mut child = Child::start(&["mode:media"]);
    child.send(&session);
    while child.receive_line().is_some() {}
    assert_ne!(child.close(), Some(0));
}
