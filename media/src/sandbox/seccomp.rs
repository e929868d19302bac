//! The seccomp filter: an allow-list of system calls. All other calls fail with `EPERM`.
//!
//! Not on the list: sockets, fork, exec, ptrace, signals to other processes, `io_uring`, and calls that change a file
//! by its path and that Landlock does not check (chmod, chown, xattr, utime, truncate, links).
//!
//! A forbidden call fails and does not kill the process, because libc and codecs probe for calls and have fallbacks.

use libc::{c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Calls that are allowed with any arguments.
#[rustfmt::skip]
const UNCONDITIONAL: &[c_long] = &[
    // Operations on open descriptors.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_pread64, libc::SYS_pwrite64,
    libc::SYS_lseek, libc::SYS_close, libc::SYS_fstat, libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_fsync,
    libc::SYS_fdatasync, libc::SYS_fadvise64, libc::SYS_copy_file_range, libc::SYS_getdents64,
    // Operations on paths; Landlock decides which paths.
    libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_unlinkat,
    libc::SYS_renameat2, libc::SYS_mkdirat, libc::SYS_getcwd,
    // Memory.
    libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise,
    // Threads. `clone3` is allowed here and answered with `ENOSYS` by the other filter (`hide_clone3`).
    libc::SYS_clone3, libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_set_tid_address,
    libc::SYS_exit, libc::SYS_exit_group, libc::SYS_sched_yield, libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam, libc::SYS_sched_getscheduler, libc::SYS_getpid, libc::SYS_gettid,
    // Signal handling.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time, waiting, and information about the process and the machine.
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep, libc::SYS_gettimeofday,
    libc::SYS_nanosleep, libc::SYS_ppoll, libc::SYS_getrandom, libc::SYS_getrusage, libc::SYS_times,
    libc::SYS_sysinfo, libc::SYS_uname, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid,
    // Older forms of the calls above that only this architecture has.
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
    // `renameat`, for which the libc crate has no constant on this architecture.
    #[cfg(target_arch = "aarch64")] 38,
];

/// Commands of `fcntl` that affect the descriptor only. `F_SETOWN` is not among them, because it makes the kernel send
/// signals.
const FCNTL_COMMANDS: &[c_int] = &[
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
];

/// Installs both filters on every thread of this process. New threads inherit them.
///
/// # Errors
/// The kernel has no seccomp, or the architecture is unknown.
pub(super) fn install_filters() -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter_all_threads(&hide_clone3()?)?;
    seccompiler::apply_filter_all_threads(&allow_list()?)
}

/// A filter that answers `clone3` with `ENOSYS`. The flags of `clone3` are in memory, which a filter cannot read, so
/// threads and processes cannot be told apart. On `ENOSYS` libc falls back to `clone`, whose flags are in a register.
///
/// It is a filter of its own, because a filter has one result for all calls that are not on its list.
fn hide_clone3() -> Result<BpfProgram, BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, absent, architecture()?)?.try_into()
}

/// The allow-list.
fn allow_list() -> Result<BpfProgram, BackendError> {
    let mut rules: Rules = UNCONDITIONAL.iter().map(|call| (*call, vec![])).collect();
    rules.insert(libc::SYS_openat, open_rules(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, open_rules(1)?);
    // Threads are allowed, processes are not.
    rules.insert(
        libc::SYS_clone,
        vec![masked(0, libc::CLONE_THREAD, libc::CLONE_THREAD)?],
    );
    // No executable mappings: code cannot be added to the process. No shared mappings: they do not count towards
    // `RLIMIT_DATA`.
    let not_executable = condition(2, mask(libc::PROT_EXEC), 0)?;
    let private = condition(3, mask(libc::MAP_TYPE), libc::MAP_PRIVATE)?;
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![not_executable, private])?]);
    rules.insert(libc::SYS_mprotect, vec![masked(2, libc::PROT_EXEC, 0)?]);
    // Signals to this process only, for `abort()`.
    let own = i32::try_from(std::process::id()).map_err(|_| BackendError::InvalidArgumentNumber)?;
    rules.insert(libc::SYS_tgkill, vec![equal(0, own)?]);
    rules.insert(libc::SYS_prctl, vec![equal(0, libc::PR_SET_NAME)?]);
    // Reading of resource limits: the pointer to new limits must be null.
    let reads_only = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![reads_only])?]);
    let fcntl: Result<Vec<_>, _> = FCNTL_COMMANDS.iter().map(|command| equal(1, *command)).collect();
    rules.insert(libc::SYS_fcntl, fcntl?);

    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture()?)?.try_into()
}

/// Rules of `open` and `openat`; `flags` is the number of the argument with the flags. Landlock decides which paths can
/// be opened. But before kernel 6.2 it does not check truncation, so a file that may only be read could be emptied with
/// `O_RDONLY | O_TRUNC`. These rules allow `O_TRUNC` only together with write access, which Landlock checks.
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

/// Matches when the argument equals `value`.
fn equal(argument: u8, value: c_int) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![condition(argument, SeccompCmpOp::Eq, value)?])
}

/// Matches when the `bits` of the argument equal `value`.
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
