//! The end of this process by a signal or for lack of memory.
//!
//! Libraries abort, crash or hang where they do not handle a failed allocation. The worker cannot see later if the
//! machine had memory, so a signal handler looks first. It uses system calls only: the signal may have interrupted
//! `malloc`.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use std::sync::OnceLock;

/// Exit code: the machine has no memory left.
const EXIT_SHORT: i32 = 4;

/// The function that looks for the cause.
static LOOK: OnceLock<fn()> = OnceLock::new();

/// Calls `look` before a signal that ends this process takes effect. Errors are ignored: without it, a crash counts as
/// one of the file.
pub(crate) fn look_before_end(look: fn()) {
    LOOK.get_or_init(|| look);
    let flags = SaFlags::SA_RESETHAND | SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::Handler(handle), flags, SigSet::empty());
    for signal in [Signal::SIGABRT, Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGTERM] {
        // SAFETY: the handler makes system calls, and reads and writes atomics without waiting.
        let _ = unsafe { sigaction(signal, &action) };
    }
}

/// Writes a message to standard error and ends the process.
pub(crate) fn end_with(message: &str) -> ! {
    // SAFETY: writes static bytes, then ends. An error could not be reported.
    unsafe {
        libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len());
        libc::_exit(EXIT_SHORT)
    }
}

/// Handles a signal once.
extern "C" fn handle(number: libc::c_int) {
    if let Some(look) = LOOK.get() {
        look();
    }
    // With `SA_RESETHAND`, the signal has its default action again, which follows when this function returns.
    if let Ok(signal) = Signal::try_from(number) {
        let _ = raise(signal);
    }
}
