//! Distinguishes a shortage of the machine from the limits of this process.
//!
//! *Problem.* An allocation fails when the process has reached its own limit (`RLIMIT_DATA`) or asks for more than
//! there can be: then the file needs too much memory, and the task fails. It also fails when other processes have taken
//! the memory of the machine: then the task must be tried again as if it had not been started. `ENOMEM` is the same.
//! Many libraries hide it: they crash, hang, or go on as if the source were damaged.
//!
//! *Mechanism.* At each failed allocation, memory is reserved in blocks and released, without being written to. If the
//! kernel refuses a block that the limit of this process allows, the machine is short of memory. The process then
//! writes [`SHORTAGE_NOTE`] to standard error and ends at once, because nothing that it does later can be relied on.
//! The same is done when it crashes or is terminated ([`end_signals`]). A thread that cannot be started, and file
//! descriptors that are used up, are shortages of the machine as well. They are kept as the result of the request.
//!
//! *Invariants.* A file that demands too much memory is never mistaken for a shortage, because the kernel itself
//! refuses memory only by a limit of the process or for lack of it.
//!
//! [`end_signals`]: crate::engine::ffi::end_signals

use crate::engine::ffi::end_signals;
use crate::engine::ffi::reservation::Reservation;
use domain::protocol::SHORTAGE_NOTE;
use domain::{Code, Failure};
use ffmpeg_next::Error;
use rustix::process::{Resource, getrlimit};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock};

/// Size of a block.
const BLOCK_BYTES: usize = 64 << 20;
/// Number of blocks: 512 MiB in all, the largest frame that is decoded.
const BLOCKS: usize = 8;
/// Number of tries after the first one that the kernel must refuse as well.
const MORE_TRIES: u32 = 3;
/// Stack of a thread of FFmpeg.
const STACK_BYTES: u64 = 8 << 20;

/// A resource that the machine lacks for the current request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    Threads = 1,
    Descriptors = 2,
}

/// The [`Lack`] found during the current request; 0 for none.
static FOUND: AtomicU8 = AtomicU8::new(0);

/// Allows one thread at a time to reserve memory, since the others would count as lack.
static RESERVATION: Mutex<()> = Mutex::new(());

/// The status of this process (`proc_pid_status(5)`), which the sandbox does not allow to open later.
static STATUS: OnceLock<Option<File>> = OnceLock::new();

/// Opens the files that are needed later. Call it before the process is confined.
pub(crate) fn prepare() {
    STATUS.get_or_init(|| File::open("/proc/self/status").ok());
}

/// Forgets the findings of earlier requests.
pub(crate) fn clear() {
    FOUND.store(0, Ordering::Relaxed);
}

/// The failure of the current request if the machine lacked a resource.
pub(crate) fn found() -> Option<Failure> {
    let lack = [Lack::Threads, Lack::Descriptors];
    let found = FOUND.load(Ordering::Relaxed);
    lack.into_iter().find(|lack| *lack as u8 == found).map(failure)
}

/// Checks an error of FFmpeg, also one that the caller ignores.
pub(crate) fn check_error(error: Error) {
    match error {
        // Other libraries do not tell their causes.
        Error::Other { errno: libc::ENOMEM } | Error::External => check_memory(),
        Error::Other {
            errno: libc::EMFILE | libc::ENFILE,
        } => record(Lack::Descriptors),
        _ => {}
    }
}

/// Checks an error of opening a codec, which starts threads: then `EAGAIN` is a lack of them (`pthread_create(3)`).
pub(crate) fn check_open_error(error: Error) {
    match error {
        Error::Other { errno: libc::EAGAIN } => check_threads(),
        error => check_error(error),
    }
}

/// The failure of a thread that could not be started.
pub(crate) fn thread_failure(error: &io::Error) -> Failure {
    if !domain::is_exhaustion(error) {
        let detail = format!("no thread could be started: {}", error.kind());
        return Failure::new(Code::Internal, detail);
    }
    check_threads();
    found().unwrap_or_else(|| Failure::new(Code::MediaMemory, "no memory for a thread"))
}

/// The failure of an operation on a file in scratch, if the system lacks descriptors or memory for it.
pub(crate) fn file_failure(error: &io::Error) -> Option<Failure> {
    let lack = match error.raw_os_error()? {
        libc::EMFILE | libc::ENFILE => Lack::Descriptors,
        // System calls on files take memory of the kernel, which no limit of this process includes.
        libc::ENOMEM => end_signals::end_with(SHORTAGE_NOTE),
        _ => return None,
    };
    record(lack);
    Some(failure(lack))
}

/// Ends the process if the kernel refuses memory that the limit of this process allows. Uses no heap.
pub(crate) fn check_memory() {
    // A thread that holds it looks already. A signal handler must not wait for the code that it has interrupted.
    let Ok(_reservation) = RESERVATION.try_lock() else {
        return;
    };
    let mut blocks = [const { None }; BLOCKS];
    for block in &mut blocks {
        *block = Reservation::new(BLOCK_BYTES);
        if block.is_none() {
            // Other threads may have freed memory after a refusal by the limit. Then the next try succeeds.
            let is_refused = || is_allowed(BLOCK_BYTES as u64) && Reservation::new(BLOCK_BYTES).is_none();
            if (0..MORE_TRIES).all(|_| is_refused()) {
                end_signals::end_with(SHORTAGE_NOTE);
            }
            break;
        }
    }
}

/// Looks for a lack of memory or threads after a failure that does not tell its cause, such as that of an encoder.
pub(crate) fn check_machine() {
    check_memory();
    let thread = std::thread::Builder::new().spawn(|| ());
    if thread.is_err_and(|error| domain::is_exhaustion(&error)) {
        check_threads();
    }
}

/// Records a lack of threads unless there is no memory for the stack of another one.
fn check_threads() {
    if is_allowed(STACK_BYTES) {
        record(Lack::Threads);
    }
}

/// Returns `true` if the limit of this process allows so much more memory.
fn is_allowed(bytes: u64) -> bool {
    match (data_bytes(), getrlimit(Resource::Data).current) {
        (Some(used), Some(limit)) => used.saturating_add(bytes) <= limit,
        (_, None) => true,
        (None, _) => false,
    }
}

/// Private writable memory of this process in bytes, to which `RLIMIT_DATA` applies.
fn data_bytes() -> Option<u64> {
    prepare();
    let mut text = [0; 4_096];
    let length = STATUS.get()?.as_ref()?.read_at(&mut text, 0).ok()?;
    let text = str::from_utf8(text.get(..length)?).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmData:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

fn record(lack: Lack) {
    FOUND.store(lack as u8, Ordering::Relaxed);
}

fn failure(lack: Lack) -> Failure {
    let detail = match lack {
        Lack::Threads => "the machine has no threads left",
        Lack::Descriptors => "no file descriptors left",
    };
    Failure::new(Code::Unavailable, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_process_is_known_and_more_is_allowed() {
        let before = data_bytes().unwrap();
        let held = Reservation::new(BLOCK_BYTES);
        assert!(data_bytes().unwrap() >= before + BLOCK_BYTES as u64);
        drop(held);
        assert!(is_allowed(1));
    }

    #[test]
    fn a_request_that_no_machine_could_grant_is_no_shortage() {
        clear();
        check_error(Error::Other { errno: libc::ENOMEM });
        assert_eq!(found(), None);
        check_open_error(Error::Other { errno: libc::EAGAIN });
        assert_eq!(found().unwrap().code, Code::Unavailable);
        clear();
        assert_eq!(found(), None);
    }
}
