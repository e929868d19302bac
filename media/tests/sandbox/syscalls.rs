//! Raw system calls that no decoder needs. The arguments are invalid, so a call has no effect even when the filter lets
//! it through; the error number shows if the filter or the kernel refused it.
#![allow(unsafe_code, reason = "the tests make these calls on purpose")]

use libc::c_long;
use std::io;

/// Names and numbers of calls that must be refused.
#[rustfmt::skip]
pub(crate) const CALLS: &[(&str, c_long)] = &[
    ("socket", libc::SYS_socket), ("socketpair", libc::SYS_socketpair), ("connect", libc::SYS_connect),
    ("bind", libc::SYS_bind), ("listen", libc::SYS_listen), ("accept", libc::SYS_accept),
    ("accept4", libc::SYS_accept4), ("sendto", libc::SYS_sendto), ("sendmsg", libc::SYS_sendmsg),
    ("recvmsg", libc::SYS_recvmsg), ("execve", libc::SYS_execve), ("execveat", libc::SYS_execveat),
    ("ptrace", libc::SYS_ptrace), ("process_vm_readv", libc::SYS_process_vm_readv),
    ("process_vm_writev", libc::SYS_process_vm_writev), ("pidfd_open", libc::SYS_pidfd_open),
    ("pidfd_getfd", libc::SYS_pidfd_getfd), ("kcmp", libc::SYS_kcmp), ("kill", libc::SYS_kill),
    ("tkill", libc::SYS_tkill), ("tgkill", libc::SYS_tgkill), ("rt_sigqueueinfo", libc::SYS_rt_sigqueueinfo),
    ("setpgid", libc::SYS_setpgid), ("setuid", libc::SYS_setuid), ("setresuid", libc::SYS_setresuid),
    ("capset", libc::SYS_capset), ("prctl", libc::SYS_prctl), ("personality", libc::SYS_personality),
    ("setpriority", libc::SYS_setpriority),
    ("sched_setaffinity", libc::SYS_sched_setaffinity), ("mount", libc::SYS_mount), ("umount2", libc::SYS_umount2),
    ("pivot_root", libc::SYS_pivot_root), ("chroot", libc::SYS_chroot), ("chdir", libc::SYS_chdir),
    ("fchdir", libc::SYS_fchdir), ("setns", libc::SYS_setns), ("unshare", libc::SYS_unshare),
    ("open_tree", libc::SYS_open_tree), ("move_mount", libc::SYS_move_mount), ("fsopen", libc::SYS_fsopen),
    ("bpf", libc::SYS_bpf), ("seccomp", libc::SYS_seccomp), ("io_uring_setup", libc::SYS_io_uring_setup),
    ("io_uring_enter", libc::SYS_io_uring_enter), ("io_setup", libc::SYS_io_setup),
    ("perf_event_open", libc::SYS_perf_event_open), ("userfaultfd", libc::SYS_userfaultfd),
    ("memfd_create", libc::SYS_memfd_create), ("add_key", libc::SYS_add_key), ("request_key", libc::SYS_request_key),
    ("keyctl", libc::SYS_keyctl), ("kexec_load", libc::SYS_kexec_load), ("init_module", libc::SYS_init_module),
    ("finit_module", libc::SYS_finit_module), ("delete_module", libc::SYS_delete_module),
    ("open_by_handle_at", libc::SYS_open_by_handle_at), ("name_to_handle_at", libc::SYS_name_to_handle_at),
    ("openat2", libc::SYS_openat2), ("mknodat", libc::SYS_mknodat), ("symlinkat", libc::SYS_symlinkat),
    ("linkat", libc::SYS_linkat), ("readlinkat", libc::SYS_readlinkat), ("truncate", libc::SYS_truncate),
    ("fchmod", libc::SYS_fchmod), ("fchmodat", libc::SYS_fchmodat), ("fchown", libc::SYS_fchown),
    ("fchownat", libc::SYS_fchownat), ("utimensat", libc::SYS_utimensat), ("setxattr", libc::SYS_setxattr),
    ("getxattr", libc::SYS_getxattr), ("quotactl", libc::SYS_quotactl), ("swapon", libc::SYS_swapon),
    ("reboot", libc::SYS_reboot), ("acct", libc::SYS_acct), ("syslog", libc::SYS_syslog),
    ("settimeofday", libc::SYS_settimeofday), ("clock_settime", libc::SYS_clock_settime),
    ("ioctl", libc::SYS_ioctl), ("shmget", libc::SYS_shmget), ("msgget", libc::SYS_msgget),
    ("semget", libc::SYS_semget), ("mq_open", libc::SYS_mq_open), ("inotify_init1", libc::SYS_inotify_init1),
    ("fanotify_init", libc::SYS_fanotify_init), ("splice", libc::SYS_splice), ("vmsplice", libc::SYS_vmsplice),
    ("pipe2", libc::SYS_pipe2), ("pkey_mprotect", libc::SYS_pkey_mprotect),
    ("remap_file_pages", libc::SYS_remap_file_pages), ("mbind", libc::SYS_mbind),
    ("move_pages", libc::SYS_move_pages), ("landlock_restrict_self", libc::SYS_landlock_restrict_self),
    ("clone3", libc::SYS_clone3), ("a number beyond the table", 4_000),
    #[cfg(target_arch = "x86_64")] ("x32 getpid", 0x4000_0000 + libc::SYS_getpid),
    #[cfg(target_arch = "x86_64")] ("modify_ldt", libc::SYS_modify_ldt),
    #[cfg(target_arch = "x86_64")] ("iopl", libc::SYS_iopl),
    #[cfg(target_arch = "x86_64")] ("setrlimit", libc::SYS_setrlimit),
];

/// Makes a call with invalid arguments. Returns its error number; `None` when it succeeded.
pub(crate) fn error_of(call: c_long) -> Option<i32> {
    // SAFETY: -1 is a valid address, descriptor, process or size for none of the calls above.
    let answer = unsafe { libc::syscall(call, -1, -1, -1, -1, -1, -1) };
    errno(answer)
}

/// Maps memory that is writable and executable, which injected code needs.
pub(crate) fn map_executable() -> Option<i32> {
    map(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC, libc::MAP_PRIVATE)
}

/// Maps shared memory, which does not count towards `RLIMIT_DATA`.
pub(crate) fn map_shared() -> Option<i32> {
    map(libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED)
}

fn map(rights: i32, kind: i32) -> Option<i32> {
    let kind = kind | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address that the kernel chooses.
    errno(unsafe { libc::syscall(libc::SYS_mmap, 0, 4_096, rights, kind, -1, 0) })
}

/// Starts a second process.
pub(crate) fn fork() -> Option<i32> {
    // SAFETY: the new process, if there is one, exits at once.
    let answer = unsafe { libc::fork() };
    if answer == 0 {
        // SAFETY: exits the new process.
        unsafe { libc::_exit(0) };
    }
    errno(c_long::from(answer))
}

/// Truncates a file by opening it for reading. Landlock does not prevent this before kernel 6.2.
pub(crate) fn open_truncating(path: &std::path::Path) -> Option<i32> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a live C string.
    let answer = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_TRUNC, 0) };
    errno(answer)
}

/// Reads the flags of a descriptor; `EBADF` when it is closed.
pub(crate) fn use_descriptor(descriptor: i32) -> Option<i32> {
    // SAFETY: reads flags.
    errno(c_long::from(unsafe { libc::fcntl(descriptor, libc::F_GETFD) }))
}

/// Sends signal 0, which checks the permission to send signals and has no effect.
pub(crate) fn send_signal_0(process: i32) -> Option<i32> {
    // SAFETY: signal 0 has no effect.
    errno(c_long::from(unsafe { libc::kill(process, 0) }))
}

/// Calls `getpid` through the system call interface of 32-bit programs.
#[cfg(target_arch = "x86_64")]
pub(crate) fn call_foreign_architecture() {
    // SAFETY: call 20 of the 32-bit table takes no arguments and returns a number in `eax`.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("eax") 20 => _, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    };
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn call_foreign_architecture() {}

fn errno(answer: c_long) -> Option<i32> {
    (answer == -1).then(|| io::Error::last_os_error().raw_os_error().unwrap_or(0))
}
