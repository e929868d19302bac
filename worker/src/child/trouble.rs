//! What can go wrong with a child, and what that means for the task.

use domain::{Code, Failure, FailureKind};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// Longest detail that is taken from a child, in characters.
const MAX_DETAIL: usize = 300;

/// Why a conversation with a child came to its end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The child reported a failure; it is well itself.
    Said(Failure),
    /// It closed its output, most likely by dying.
    Closed,
    /// It said something that cannot be.
    Garbage(&'static str),
    /// No event for this long.
    Silent(Duration),
    /// A stage at work moved no packet and no frame for this long.
    Still(Duration),
    /// No closing event within this time.
    Late(Duration),
    /// Our own message does not fit into a line.
    Unsayable,
}

impl Trouble {
    /// A failure in the child's words, bounded: the child may be in a stranger's hands. That the machine has nothing left is
    /// believed while it is so for this process, too: such a task is tried again for as long as it takes.
    pub(super) fn said(mut failure: Failure) -> Self {
        let is_short = || File::open("/dev/null").is_err_and(|error| domain::is_exhaustion(&error));
        if failure.kind == FailureKind::Postponed && !is_short() {
            failure.kind = FailureKind::Infrastructure;
        }
        let chars = failure.detail.chars().filter(|c| !c.is_control());
        failure.detail = chars.take(MAX_DETAIL).collect();
        Self::Said(failure)
    }

    /// What it means for the task, given how the child ended (`None`: unknown) and its last words.
    pub(super) fn verdict(&self, status: Option<ExitStatus>, stderr: &[u8], oom: &OomKills) -> Failure {
        let limit = |code, detail| Failure::new(FailureKind::ResourceLimit, code, detail);
        let crash = |detail| Failure::new(FailureKind::MediaCrash, Code::MediaCrash, detail);
        match self {
            Self::Said(failure) => failure.clone(),
            Self::Silent(time) => limit(
                Code::MediaStalled,
                format!("nothing heard for {} s", time.as_secs_f32()),
            ),
            Self::Still(time) => limit(
                Code::MediaStalled,
                format!("nothing moved for {} s", time.as_secs_f32()),
            ),
            Self::Late(time) => limit(Code::MediaTimeout, format!("not done after {} s", time.as_secs_f32())),
            Self::Garbage(what) => crash(format!("the media child sent {what}")),
            Self::Unsayable => Failure::new(FailureKind::Infrastructure, Code::Internal, "the request is too long"),
            Self::Closed => match status {
                Some(status) => died(status, stderr, oom),
                None => crash("the media child ended, nobody knows how".into()),
            },
        }
    }
}

/// The number of processes that the kernel had killed for memory when the child started.
#[derive(Debug)]
pub(super) struct OomKills(Option<u64>);

impl OomKills {
    /// As many as by now.
    pub(super) fn now() -> Self {
        Self(Self::count())
    }

    /// Whether there were more since.
    fn have_grown(&self) -> bool {
        matches!((self.0, Self::count()), (Some(before), Some(now)) if now > before)
    }

    /// Those of the control group of this process, in which its children are, too (Linux 4.13 and later). Where it cannot be
    /// read, those of the whole machine.
    fn count() -> Option<u64> {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut files = counters(&groups).into_iter().chain(["/proc/vmstat".to_owned()]);
        files.find_map(|file| oom_kills(&fs::read_to_string(file).ok()?))
    }
}

/// Paths of the files in which the kernel counts OOM kills of a control group, from the text of `/proc/PID/cgroup`
/// (cgroups(7)): version 2, then version 1.
fn counters(groups: &str) -> Vec<String> {
    let group = |controller: &str| {
        groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let same = controllers.split(',').any(|name| name == controller);
            same.then(|| path.trim_end_matches('/'))
        })
    };
    let root = "/sys/fs/cgroup";
    let second = group("").map(|path| format!("{root}{path}/memory.events"));
    let first = group("memory").map(|path| format!("{root}/memory{path}/memory.oom_control"));
    second.into_iter().chain(first).collect()
}

fn oom_kills(counters: &str) -> Option<u64> {
    let mut lines = counters.lines();
    lines.find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

/// What the way of dying tells. `SIGKILL` that we did not send comes from a kernel short of memory, which counts it, or from
/// outside.
fn died(status: ExitStatus, stderr: &[u8], oom: &OomKills) -> Failure {
    let limit = |code, detail: &str| Failure::new(FailureKind::ResourceLimit, code, detail);
    let crash = |detail| Failure::new(FailureKind::MediaCrash, Code::MediaCrash, detail);
    let Some(number) = status.signal() else {
        // Not only those that abort: the C library ends a process that has no room for a thread's own variables.
        if starved(stderr) {
            return no_memory();
        }
        let code = status.code().unwrap_or(-1);
        return crash(format!("the media child ended with status {code}"));
    };
    match Signal::try_from(number) {
        Ok(Signal::SIGKILL) if oom.have_grown() => limit(Code::MediaMemory, "killed by the kernel for memory"),
        Ok(Signal::SIGKILL) => {
            let detail = "the media child was killed from outside";
            Failure::new(FailureKind::Infrastructure, Code::MediaKilled, detail)
        }
        Ok(Signal::SIGXCPU) => limit(Code::MediaTimeout, "processor time used up"),
        Ok(Signal::SIGXFSZ) => limit(Code::OutputTooLarge, "a file over the limit"),
        Ok(Signal::SIGABRT) if starved(stderr) => no_memory(),
        Ok(signal) => crash(format!("the media child died of {signal}")),
        Err(_) => crash(format!("the media child died of signal {number}")),
    }
}

/// The child could not have the memory it asked for.
pub(super) fn no_memory() -> Failure {
    let detail = "no memory left within the limit";
    Failure::new(FailureKind::ResourceLimit, Code::MediaMemory, detail)
}

/// Whether an allocation failed, in the words of Rust, C++, FFmpeg or x264. Codecs that run out of memory go on as if
/// the film were damaged, or blame an encoder.
pub(super) fn starved(stderr: &[u8]) -> bool {
    const WORDS: [&str; 6] = [
        "memory allocation of",
        "bad_alloc",
        "malloc of size",
        "annot allocate memory",
        "ould not allocate memory",
        "out of memory",
    ];
    let text = String::from_utf8_lossy(stderr);
    WORDS.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn killed_by(signal: Signal, stderr: &str) -> (FailureKind, Code) {
        let status = ExitStatus::from_raw(signal as i32);
        let failure = Trouble::Closed.verdict(Some(status), stderr.as_bytes(), &OomKills::now());
        (failure.kind, failure.code)
    }

    #[test]
    fn the_way_of_dying_tells_a_limit_from_a_crash() {
        use FailureKind::{Infrastructure, MediaCrash, ResourceLimit};
        assert_eq!(killed_by(Signal::SIGKILL, ""), (Infrastructure, Code::MediaKilled));
        let killed = Some(ExitStatus::from_raw(Signal::SIGKILL as i32));
        // As if the kernel had killed one since.
        if let Some(before) = OomKills::count().and_then(|count| count.checked_sub(1)) {
            let failure = Trouble::Closed.verdict(killed, b"", &OomKills(Some(before)));
            assert_eq!(failure.code, Code::MediaMemory);
        }
        assert_eq!(killed_by(Signal::SIGXCPU, ""), (ResourceLimit, Code::MediaTimeout));
        assert_eq!(killed_by(Signal::SIGXFSZ, ""), (ResourceLimit, Code::OutputTooLarge));
        assert_eq!(killed_by(Signal::SIGSEGV, ""), (MediaCrash, Code::MediaCrash));
        assert_eq!(
            killed_by(Signal::SIGABRT, "assertion failed"),
            (MediaCrash, Code::MediaCrash)
        );
        let words = "memory allocation of 33177600 bytes failed";
        assert_eq!(killed_by(Signal::SIGABRT, words), (ResourceLimit, Code::MediaMemory));
        let ended = |stderr: &[u8]| {
            Trouble::Closed
                .verdict(Some(ExitStatus::from_raw(127 << 8)), stderr, &OomKills::now())
                .code
        };
        let words = b"cannot allocate memory for thread-local data: ABORT";
        assert_eq!((ended(words), ended(b"")), (Code::MediaMemory, Code::MediaCrash));
    }

    #[test]
    fn kills_for_memory_are_counted_for_the_control_group() {
        let second = "/sys/fs/cgroup/system.slice/rushes.service/memory.events";
        assert_eq!(counters("0::/system.slice/rushes.service\n"), [second]);
        // In a container with a namespace of its own.
        assert_eq!(counters("0::/\n"), ["/sys/fs/cgroup/memory.events"]);
        let first = "/sys/fs/cgroup/memory/pod/worker/memory.oom_control";
        let both = "5:cpu,cpuacct:/\n4:memory:/pod/worker\n0::/\n";
        assert_eq!(counters(both), ["/sys/fs/cgroup/memory.events", first]);
        assert!(counters("").is_empty());
        let events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n";
        assert_eq!(oom_kills(events), Some(2));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(oom_kills("oom_kill_disable 0\n"), None);
        assert!(OomKills::count().is_some());
    }

    #[test]
    fn what_a_child_says_is_cut_and_cleaned() {
        let failure = Failure::input(Code::SourceDamaged, "a\u{1b}[31m\n".repeat(200));
        let Trouble::Said(failure) = Trouble::said(failure) else {
            panic!()
        };
        assert_eq!(failure.detail.chars().count(), MAX_DETAIL);
        assert!(!failure.detail.chars().any(char::is_control));
    }
}
