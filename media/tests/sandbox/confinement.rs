//! What the child cannot do, what it still can, and that it is the sandbox that makes the difference.

use crate::Story;
use crate::attempts::{Attempts, Targets};
use crate::child::Child;
use crate::films;
use crate::stage::Stage;
use domain::Code;
use domain::protocol::{Event, SandboxMode, SandboxStatus, Session};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::{self, File};
use std::path::Path;

pub(crate) const STORIES: &[Story] = &[
    (
        "every_attempt_is_refused_while_it_encodes",
        every_attempt_is_refused_while_it_encodes,
    ),
    (
        "without_the_sandbox_the_attempts_work",
        without_the_sandbox_the_attempts_work,
    ),
    (
        "the_kernel_shows_what_was_taken_away",
        the_kernel_shows_what_was_taken_away,
    ),
    ("a_child_yields_the_processors", a_child_yields_the_processors),
    (
        "a_call_of_another_architecture_is_the_last",
        a_call_of_another_architecture_is_the_last,
    ),
    (
        "a_thread_that_was_there_before_is_no_secret",
        a_thread_that_was_there_before_is_no_secret,
    ),
    (
        "an_old_kernel_is_reported_or_refused",
        an_old_kernel_is_reported_or_refused,
    ),
    (
        "a_small_memory_limit_ends_the_child",
        a_small_memory_limit_ends_the_child,
    ),
];

/// Lets a child try everything, with a descriptor of ours left open on purpose.
fn attempts(stage: &Stage, confined: bool) -> Attempts {
    let leak = File::open(stage.secret()).unwrap();
    // A high number, so that nothing of the child's own gets it, and without "close on exec".
    let leaked = fcntl(&leak, FcntlArg::F_DUPFD(200)).unwrap();
    let targets = Targets {
        confined,
        scratch: stage.scratch(),
        source: stage.source(),
        secret: stage.secret(),
        leaked,
        outsider: i32::try_from(std::process::id()).unwrap(),
    };
    let mut child = Child::start(&["as:attempts", &serde_json::to_string(&targets).unwrap()]);
    let line = child.hear_line().expect("the attempts");
    assert_eq!(child.end(), Some(0));
    serde_json::from_str(&line).unwrap()
}

fn every_attempt_is_refused_while_it_encodes() {
    let stage = Stage::new();
    films::make(&stage.source(), 2, "-c:v libx264 -pix_fmt yuv420p -c:a aac -f mp4");
    let attempts = attempts(&stage, true);
    assert!(attempts.landlock && attempts.seccomp, "this machine has no sandbox");

    let refusals = [Errno::EPERM, Errno::EACCES, Errno::EXDEV].map(|errno| Some(errno as i32));
    for (name, outcome) in attempts.forbidden.iter().chain(&attempts.calls) {
        let refused = match name.as_str() {
            "use a descriptor of the parent" => *outcome == Some(Errno::EBADF as i32),
            // Said to be absent, so that libc falls back on `clone`, whose flags a filter can see.
            "clone3" => *outcome == Some(Errno::ENOSYS as i32),
            _ => refusals.contains(outcome),
        };
        assert!(refused, "{name}: {outcome:?}");
    }
    for (name, outcome) in &attempts.needed {
        assert_eq!(*outcome, None, "{name}");
    }
    let secret = fs::read_to_string(stage.secret()).unwrap();
    assert_eq!(secret, crate::stage::SECRET);
    assert_eq!(fs::read_dir(stage.secret().parent().unwrap()).unwrap().count(), 1);
    assert_eq!(attempts.encoding, "2 outputs");
}

fn without_the_sandbox_the_attempts_work() {
    let attempts = attempts(&Stage::new(), false);
    for (name, outcome) in &attempts.forbidden {
        assert_eq!(*outcome, None, "{name}");
    }
}

fn the_kernel_shows_what_was_taken_away() {
    let stage = Stage::new();
    let session = Session {
        max_cpu_s: 77,
        ..stage.session()
    };
    let mut child = Child::start(&["as:media"]);
    child.say(&session);
    assert!(matches!(child.hear(), Event::Ready(_)));

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
    assert_eq!(child.end(), Some(0));
}

/// Every thread of a child weighs less than this process and never interrupts others when it wakes up (`proc(5)`, `stat`).
fn a_child_yields_the_processors() {
    let scheduling = |process: &Path| {
        let tasks = fs::read_dir(process.join("task")).unwrap();
        let of = |path: std::path::PathBuf| {
            let stat = fs::read_to_string(path.join("stat")).unwrap();
            // The name in parentheses may hold spaces; behind it, `state` is field 3, `nice` 19 and `policy` 41.
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
    let stage = Stage::new();
    let mut child = Child::start(&["as:media"]);
    child.say(&stage.session());
    assert!(matches!(child.hear(), Event::Ready(_)));
    for thread in scheduling(&Path::new("/proc").join(child.id().to_string())) {
        assert_eq!(thread, ((own + 10).min(19), libc::SCHED_BATCH));
    }
    assert_eq!(child.end(), Some(0));
}

/// The numbers of the other architecture mean other calls, which no list of ours has looked at.
fn a_call_of_another_architecture_is_the_last() {
    if cfg!(target_arch = "x86_64") {
        let signal = Child::start(&["as:foreign"]).signal();
        // `SIGSEGV` comes from a kernel that knows no other architecture.
        assert!(matches!(signal, Some(libc::SIGSYS | libc::SIGSEGV)), "{signal:?}");
    }
}

/// As a library may start one when it is loaded: the filter of system calls reaches it, Landlock does not.
fn a_thread_that_was_there_before_is_no_secret() {
    let line = Child::start(&["as:company"]).hear_line().unwrap();
    let (status, socket): (SandboxStatus, Option<i32>) = serde_json::from_str(&line).unwrap();
    assert_eq!((status.landlock, status.seccomp), (false, true));
    assert_eq!(socket, Some(libc::EPERM));
}

fn an_old_kernel_is_reported_or_refused() {
    let stage = Stage::new();
    for (missing, granted) in [("landlock", (false, true)), ("seccomp", (true, false))] {
        let begin = |sandbox| {
            let mut child = Child::start(&["as:old", missing]);
            child.say(&Session {
                sandbox,
                ..stage.session()
            });
            child
        };
        let Event::Ready(status) = begin(SandboxMode::BestEffort).hear() else {
            panic!("not ready")
        };
        assert_eq!((status.landlock, status.seccomp), granted);
        let mut refused = begin(SandboxMode::Require);
        let Event::Failed(failure) = refused.hear() else {
            panic!("not refused")
        };
        assert_eq!(failure.code, Code::SandboxUnavailable);
        assert_eq!(refused.end(), Some(1));
    }
}

/// The libraries alone need more than this, so nothing that has to be mapped later fits in.
fn a_small_memory_limit_ends_the_child() {
    let stage = Stage::new();
    let session = Session {
        max_memory_bytes: 1 << 20,
        sandbox: SandboxMode::BestEffort,
        ..stage.session()
    };
    let mut child = Child::start(&["as:media"]);
    child.say(&session);
    while child.hear_line().is_some() {}
    assert_ne!(child.end(), Some(0));
}
