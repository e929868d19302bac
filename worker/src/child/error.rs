//! Errors of a child, and the failures that they are for the task.

use domain::{Code, Failure, FailureClass};
use rustix::process::Signal;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// Maximum length of a detail that a child reports, in characters.
const DETAIL_CHARS_MAX: usize = 300;

/// The reason why a call did not succeed.
#[derive(Debug)]
pub(super) enum ChildError {
    /// The child reported a failure and can be called again.
    Reported(Failure),
    /// It closed standard output, most likely because it ended.
    Closed,
    /// It violated the protocol; the text completes "the media child sent …".
    Protocol(&'static str),
    /// It sent no event for this time.
    Silent(Duration),
    /// A working stage processed no packet and no frame for this time.
    Stalled(Duration),
    /// It sent no closing event within the wall clock limit.
    TimedOut(Duration),
    /// Our own message is longer than a line may be.
    RequestTooLong,
}

impl ChildError {
    /// A failure that the child reported. Its detail is bounded and cleaned, because the child may be under the control
    /// of a hostile file. For the same reason, a code with which no task fails becomes [`Code::Internal`], and so does
    /// a shortage of the machine that is not believed.
    pub(super) fn reported(mut failure: Failure, believes_shortage: impl FnOnce() -> bool) -> Self {
        let is_accepted = match failure.code.class() {
            Some(FailureClass::Postponed) => believes_shortage(),
            class => class.is_some(),
        };
        if !is_accepted {
            failure.code = Code::Internal;
        }
        let chars = failure.detail.chars().filter(|c| !c.is_control());
        failure.detail = chars.take(DETAIL_CHARS_MAX).collect();
        Self::Reported(failure)
    }

    /// The failure of the task, given the exit status of the child (`None`: unknown) and the end of standard error.
    pub(super) fn to_failure(&self, status: Option<ExitStatus>, stderr: &[u8], oom: &OomKills) -> Failure {
        let crash = |detail| Failure::new(Code::MediaCrash, detail);
        match self {
            Self::Reported(failure) => failure.clone(),
            Self::Silent(time) => Failure::new(Code::MediaStalled, format!("no event for {} s", time.as_secs_f32())),
            Self::Stalled(time) => {
                Failure::new(Code::MediaStalled, format!("no progress for {} s", time.as_secs_f32()))
            }
            Self::TimedOut(time) => {
                Failure::new(Code::MediaTimeout, format!("not done after {} s", time.as_secs_f32()))
            }
            Self::Protocol(what) => crash(format!("the media child sent {what}")),
            Self::RequestTooLong => Failure::new(Code::Internal, "the request is too long"),
            Self::Closed => match status {
                Some(status) => exit_failure(status, stderr, oom),
                None => {
                    let detail = "the media child was killed from outside";
                    Failure::new(Code::MediaKilled, detail)
                }
            },
        }
    }
}

/// The number of OOM kills that the kernel had counted when the child started.
#[derive(Debug)]
pub(super) struct OomKills(Option<u64>);

impl OomKills {
    /// The current number.
    pub(super) fn now() -> Self {
        Self(Self::count())
    }

    /// True when the kernel has killed another process since.
    fn have_grown(&self) -> bool {
        matches!((self.0, Self::count()), (Some(before), Some(now)) if now > before)
    }

    /// OOM kills in the control group of this process, which is also that of its children (Linux 4.13 and later); those
    /// of the whole machine when the control group cannot be read.
    fn count() -> Option<u64> {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut files = counter_files(&groups).into_iter().chain(["/proc/vmstat".to_owned()]);
        files.find_map(|file| oom_kills(&fs::read_to_string(file).ok()?))
    }
}

/// Files in which the kernel counts the OOM kills of a control group, from the text of `/proc/PID/cgroup` (cgroups(7)):
/// version 2, then version 1.
fn counter_files(groups: &str) -> Vec<String> {
    let group = |controller: &str| {
        groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let is_listed = controllers.split(',').any(|name| name == controller);
            is_listed.then(|| path.trim_end_matches('/'))
        })
    };
    let root = "/sys/fs/cgroup";
    let version_2 = group("").map(|path| format!("{root}{path}/memory.events"));
    let version_1 = group("memory").map(|path| format!("{root}/memory{path}/memory.oom_control"));
    version_2.into_iter().chain(version_1).collect()
}

fn oom_kills(counters: &str) -> Option<u64> {
    let mut lines = counters.lines();
    lines.find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

/// The failure for a child that ended by itself or by a signal that this process did not send. `SIGKILL` comes from the
/// OOM killer, which counts it, or from outside. Clients see the detail; the log has the status.
fn exit_failure(status: ExitStatus, stderr: &[u8], oom: &OomKills) -> Failure {
    let Some(number) = status.signal() else {
        // Not every lack of memory is an abort: the C library exits when it has no memory for thread-local data.
        if is_out_of_memory(stderr) {
            return out_of_memory();
        }
        return Failure::new(Code::MediaCrash, "the media child ended without a result");
    };
    match Signal::from_named_raw(number) {
        Some(Signal::KILL) if oom.have_grown() => {
            Failure::new(Code::MediaMemory, "killed by the kernel, which was out of memory")
        }
        Some(Signal::KILL) => {
            let detail = "the media child was killed from outside";
            Failure::new(Code::MediaKilled, detail)
        }
        Some(Signal::XCPU) => Failure::new(Code::MediaTimeout, "processor time used up"),
        Some(Signal::XFSZ) => Failure::new(Code::OutputTooLarge, "a file over the limit"),
        Some(Signal::ABORT) if is_out_of_memory(stderr) => out_of_memory(),
        _ => Failure::new(Code::MediaCrash, "the media child crashed"),
    }
}

/// The child reached its memory limit.
pub(super) fn out_of_memory() -> Failure {
    let detail = "no memory left within the limit";
    Failure::new(Code::MediaMemory, detail)
}

/// True when standard error names a failed allocation.
pub(super) fn is_out_of_memory(stderr: &[u8]) -> bool {
    domain::is_failed_allocation(&String::from_utf8_lossy(stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn killed_by(signal: Signal, stderr: &str) -> Code {
        let status = ExitStatus::from_raw(signal.as_raw());
        ChildError::Closed
            .to_failure(Some(status), stderr.as_bytes(), &OomKills::now())
            .code
    }

    #[test]
    fn the_exit_status_tells_a_limit_from_a_crash() {
        assert_eq!(killed_by(Signal::KILL, ""), Code::MediaKilled);
        let killed = Some(ExitStatus::from_raw(Signal::KILL.as_raw()));
        // A lower count at the start, as if the kernel had killed a process since.
        if let Some(before) = OomKills::count().and_then(|count| count.checked_sub(1)) {
            let failure = ChildError::Closed.to_failure(killed, b"", &OomKills(Some(before)));
            assert_eq!(failure.code, Code::MediaMemory);
        }
        assert_eq!(killed_by(Signal::XCPU, ""), Code::MediaTimeout);
        assert_eq!(killed_by(Signal::XFSZ, ""), Code::OutputTooLarge);
        assert_eq!(killed_by(Signal::SEGV, ""), Code::MediaCrash);
        assert_eq!(killed_by(Signal::ABORT, "assertion failed"), Code::MediaCrash);
        let message = "memory allocation of 33177600 bytes failed";
        assert_eq!(killed_by(Signal::ABORT, message), Code::MediaMemory);
        let exited = |stderr: &[u8]| {
            ChildError::Closed
                .to_failure(Some(ExitStatus::from_raw(127 << 8)), stderr, &OomKills::now())
                .code
        };
        let message = b"cannot allocate memory for thread-local data: ABORT";
        assert_eq!((exited(message), exited(b"")), (Code::MediaMemory, Code::MediaCrash));
    }

    #[test]
    fn oom_kills_are_counted_in_the_control_group() {
        let version_2 = "/sys/fs/cgroup/system.slice/rushes.service/memory.events";
        assert_eq!(counter_files("0::/system.slice/rushes.service\n"), [version_2]);
        // In a container with its own cgroup namespace.
        assert_eq!(counter_files("0::/\n"), ["/sys/fs/cgroup/memory.events"]);
        let version_1 = "/sys/fs/cgroup/memory/pod/worker/memory.oom_control";
        let both = "5:cpu,cpuacct:/\n4:memory:/pod/worker\n0::/\n";
        assert_eq!(counter_files(both), ["/sys/fs/cgroup/memory.events", version_1]);
        assert!(counter_files("").is_empty());
        let events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n";
        assert_eq!(oom_kills(events), Some(2));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(oom_kills("oom_kill_disable 0\n"), None);
        assert!(OomKills::count().is_some());
    }

    #[test]
    fn a_shortage_is_believed_or_not_and_a_code_of_requests_never() {
        for (reported, is_believed, code) in [
            (Code::Unavailable, true, Code::Unavailable),
            (Code::Unavailable, false, Code::Internal),
            (Code::TokenExpired, true, Code::Internal),
            (Code::SourceDamaged, false, Code::SourceDamaged),
        ] {
            let ChildError::Reported(failure) = ChildError::reported(Failure::new(reported, ""), || is_believed) else {
                panic!()
            };
            assert_eq!(failure.code, code, "{reported:?}");
        }
    }

    #[test]
    fn a_reported_detail_is_bounded_and_cleaned() {
        let failure = Failure::new(Code::SourceDamaged, "a\u{1b}[31m\n".repeat(200));
        let ChildError::Reported(failure) = ChildError::reported(failure, || false) else {
            panic!()
        };
        assert_eq!(failure.detail.chars().count(), DETAIL_CHARS_MAX);
        assert!(!failure.detail.chars().any(char::is_control));
    }
}
