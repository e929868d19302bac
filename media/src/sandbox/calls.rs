//! seccomp: which system calls exist for this process. A list of what is allowed; all else is `EPERM`.
//!
//! Left out on purpose, among the rest: sockets, fork, exec, ptrace, signals to others, `io_uring`, and what changes
//! a file by its path and is invisible to Landlock (chmod, chown, xattr, utime, truncate, links).

use libc::{c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Calls that are harmless with any argument.
#[rustfmt::skip]
const PLAIN: &[c_long] = &[
    // Open files.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_pread64, libc::SYS_pwrite64,
    libc::SYS_lseek, libc::SYS_close, libc::SYS_fstat, libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_fsync,
    libc::SYS_fdatasync, libc::SYS_fadvise64, libc::SYS_copy_file_range, libc::SYS_getdents64,
    // Names: Landlock says which.
    libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_unlinkat,
    libc::SYS_renameat2, libc::SYS_mkdirat, libc::SYS_getcwd,
    // Memory.
    libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise,
    // Threads. `clone3` is here so that the second filter decides about it.
    libc::SYS_clone3, libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_set_tid_address,
    libc::SYS_exit, libc::SYS_exit_group, libc::SYS_sched_yield, libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam, libc::SYS_sched_getscheduler, libc::SYS_getpid, libc::SYS_gettid,
    // Signals to itself.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time, waiting, and facts.
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep, libc::SYS_gettimeofday,
    libc::SYS_nanosleep, libc::SYS_ppoll, libc::SYS_getrandom, libc::SYS_getrusage, libc::SYS_times,
    libc::SYS_sysinfo, libc::SYS_uname, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid,
    // The same under the names that only this architecture has.
    #[cfg(target_arch = "x86_64")] libc::SYS_access,
    #[cfg(target_arch = "x86_64")] libc::SYS_stat,
    #[cfg(target_arch = "x86_64")] libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")] libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")] libc::SYS_rename,
    #[cfg(target_arch = "x86_64")] libc::SYS_renameat,
    #[cfg(target_arch = "x86_64")] libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")] libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")] libc::SYS_poll,
    #[cfg(target_arch = "x86_64")] libc::SYS_time,
    // `renameat`, which the libc crate does not name there.
    #[cfg(target_arch = "aarch64")] 38,
];

/// Orders to `fcntl` that concern the descriptor alone. `F_SETOWN` would send signals.
const FCNTL: &[c_int] = &[
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
];

/// Installs the filters on every thread of this process and all that they start.
///
/// # Errors
/// The kernel has no seccomp, or this architecture is unknown.
pub(super) fn filter() -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter_all_threads(&without_clone3()?)?;
    seccompiler::apply_filter_all_threads(&allowed()?)
}

/// The flags of `clone3` lie in memory, where no filter sees them. Told that there is no such call, libc uses `clone`.
fn without_clone3() -> Result<BpfProgram, BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, absent, architecture()?)?.try_into()
}

fn allowed() -> Result<BpfProgram, BackendError> {
    let mut rules: Rules = PLAIN.iter().map(|call| (*call, vec![])).collect();
    rules.insert(libc::SYS_openat, open_rules(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, open_rules(1)?);
    // Threads, but no processes.
    rules.insert(
        libc::SYS_clone,
        vec![masked(0, libc::CLONE_THREAD, libc::CLONE_THREAD)?],
    );
    // No code that was not in the program when it started, and no shared memory, which no limit counts.
    let no_code = condition(2, mask(libc::PROT_EXEC), 0)?;
    let private = condition(3, mask(libc::MAP_TYPE), libc::MAP_PRIVATE)?;
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![no_code, private])?]);
    rules.insert(libc::SYS_mprotect, vec![masked(2, libc::PROT_EXEC, 0)?]);
    // `abort()` and nothing else.
    let own = i32::try_from(std::process::id()).map_err(|_| BackendError::InvalidArgumentNumber)?;
    rules.insert(libc::SYS_tgkill, vec![equal(0, own)?]);
    rules.insert(libc::SYS_prctl, vec![equal(0, libc::PR_SET_NAME)?]);
    // Its own limits, to read.
    let reads_only = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![reads_only])?]);
    let fcntl: Result<Vec<_>, _> = FCNTL.iter().map(|order| equal(1, *order)).collect();
    rules.insert(libc::SYS_fcntl, fcntl?);

    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture()?)?.try_into()
}

/// Opening is Landlock's business, except that before kernel 6.2 it does not see `O_RDONLY | O_TRUNC` empty a file.
fn open_rules(flags: u8) -> Result<Vec<SeccompRule>, BackendError> {
    Ok(vec![
        masked(flags, libc::O_TRUNC, 0)?,
        masked(flags, libc::O_ACCMODE, libc::O_WRONLY)?,
        masked(flags, libc::O_ACCMODE, libc::O_RDWR)?,
    ])
}

fn architecture() -> Result<TargetArch, BackendError> {
    std::env::consts::ARCH.try_into()
}

fn equal(argument: u8, value: c_int) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![condition(argument, SeccompCmpOp::Eq, value)?])
}

fn masked(argument: u8, bits: c_int, value: c_int) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![condition(argument, mask(bits), value)?])
}

fn mask(bits: c_int) -> SeccompCmpOp {
    SeccompCmpOp::MaskedEq(u64::from(bits.unsigned_abs()))
}

fn condition(argument: u8, operator: SeccompCmpOp, value: c_int) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        operator,
        u64::from(value.unsigned_abs()),
    )
}
