//! Maps errors of FFmpeg and the operating system to failures of a task.
//!
//! The step that failed decides the code: reading a source is the fault of the source, a filter or an encoder is ours,
//! writing is the storage's. In all steps, lack of memory is [`Code::MediaMemory`], or [`Code::Unavailable`] if the
//! machine is short of it ([`shortage`]). Details are fixed texts of ours, without FFmpeg's messages and error numbers,
//! because clients see them.

use crate::engine::shortage;
use domain::{Code, Failure};
use ffmpeg_next::Error;
use ffmpeg_next::error::{EAGAIN, EFBIG, ENOMEM, ENOSPC};
use libc::EDQUOT;
use std::ffi::c_int;
use std::io;
use std::thread::ScopedJoinHandle;

/// `EAGAIN`: no output until there is more input. Besides [`Error::Eof`], the only error of a codec or filter graph
/// that is not a failure.
pub(crate) const AGAIN: Error = Error::Other { errno: EAGAIN };

/// Describes an FFmpeg error for the detail of a failure.
pub(crate) fn describe(error: Error) -> &'static str {
    match error {
        Error::Eof => "unexpected end of file",
        Error::InvalidData => "invalid data",
        Error::PatchWelcome => "unsupported feature",
        Error::DecoderNotFound | Error::DemuxerNotFound | Error::StreamNotFound => "codec or stream not found",
        Error::BufferTooSmall => "buffer too small",
        Error::External => "error in an external library",
        Error::Other { errno } => describe_errno(errno),
        _ => "FFmpeg error",
    }
}

/// Describes an error of the operating system for the detail of a failure.
fn describe_errno(errno: c_int) -> &'static str {
    match errno {
        ENOMEM => "out of memory",
        libc::EINVAL => "invalid values",
        libc::EIO => "I/O error",
        libc::ENOENT => "file not found",
        libc::EACCES | libc::EPERM => "permission denied",
        libc::EROFS => "read-only file system",
        libc::EMFILE | libc::ENFILE => "too many open files",
        libc::ERANGE => "value out of range",
        libc::ENOSYS | libc::EOPNOTSUPP => "unsupported feature",
        _ => "system error",
    }
}

/// Returns the failure for `ENOMEM`, which is a resource limit in every step unless the machine is short of memory.
fn memory_failure(error: Error) -> Option<Failure> {
    shortage::check_error(error);
    let is_memory = error == Error::Other { errno: ENOMEM };
    let of_limit = || Failure::new(Code::MediaMemory, "out of memory");
    is_memory.then(|| shortage::found().unwrap_or_else(of_limit))
}

/// Failure of reading or decoding the source: [`Code::SourceDamaged`]. `step` names what was read.
pub(crate) fn read_failure(step: &str, error: Error) -> Failure {
    memory_failure(error).unwrap_or_else(|| Failure::new(Code::SourceDamaged, format!("{step}: {}", describe(error))))
}

/// Failure of writing an output through FFmpeg. An error without an errno is a failure of the muxer.
pub(crate) fn write_failure(file: &str, error: Error) -> Failure {
    let Error::Other { errno } = error else {
        return engine_failure(file, error);
    };
    memory_failure(error).unwrap_or_else(|| io_failure(file, &io::Error::from_raw_os_error(errno)))
}

/// Failure of writing an output with `std::fs`.
pub(crate) fn io_failure(file: &str, error: &io::Error) -> Failure {
    shortage::file_failure(error).unwrap_or_else(|| storage_failure(file, error.raw_os_error().unwrap_or(0)))
}

fn storage_failure(file: &str, errno: c_int) -> Failure {
    match errno {
        ENOSPC | EDQUOT => Failure::new(Code::StorageFull, format!("no space for {file}")),
        EFBIG => Failure::new(Code::OutputTooLarge, format!("{file} exceeds the size limit")),
        _ => {
            let detail = format!("writing {file}: {}", describe_errno(errno));
            Failure::new(Code::StorageFailed, detail)
        }
    }
}

/// Failure of a filter, an encoder or a muxer, which is not the source's fault: [`Code::MediaCrash`]. `component` names
/// it.
pub(crate) fn engine_failure(component: &str, error: Error) -> Failure {
    memory_failure(error).unwrap_or_else(|| {
        let detail = format!("{component}: {}", describe(error));
        Failure::new(Code::MediaCrash, detail)
    })
}

/// Failure of an encoder that could not be opened.
pub(crate) fn unopened_encoder(name: &str, error: Error) -> Failure {
    shortage::check_open_error(error);
    engine_failure(name, error)
}

/// Failure of a missing encoder, filter or other component that the FFmpeg build must have: [`Code::Internal`], because
/// a worker on another machine may have it.
pub(crate) fn missing_component(name: &str) -> Failure {
    Failure::new(Code::Internal, format!("FFmpeg was built without {name}"))
}

/// Failure of a panic in a thread.
pub(crate) fn thread_panicked() -> Failure {
    Failure::new(Code::MediaCrash, "a thread of the media engine panicked")
}

/// Waits for a thread and returns its result; a failure if it was not started or panicked.
pub(crate) fn join<T>(thread: io::Result<ScopedJoinHandle<'_, Result<T, Failure>>>) -> Result<T, Failure> {
    let started = thread.map_err(|error| shortage::thread_failure(&error))?;
    started.join().unwrap_or_else(|_| Err(thread_panicked()))
}

/// Failure of a plan that asks for something that the engine does not implement. `outputs` is a plural noun.
pub(crate) fn unsupported_output(outputs: &str) -> Failure {
    Failure::new(Code::RecipeInvalid, format!("{outputs} are not supported"))
}

/// Failure of a plan that needs a stream that its source does not have: [`Code::MediaCrash`].
pub(crate) fn plan_mismatch(stream: &str) -> Failure {
    let detail = format!("the plan has an output with {stream} and no source for it");
    Failure::new(Code::MediaCrash, detail)
}

/// Failure of a source of which no frame or sample could be decoded. `media` names what is missing.
pub(crate) fn nothing_decoded(media: &str) -> Failure {
    read_failure(media, Error::InvalidData)
}

/// Failure of a source whose packets cannot be read.
pub(crate) fn unreadable_packets(error: ffmpeg_next::Error) -> Failure {
    read_failure("packets", error)
}

/// Failure of an output that cannot be opened or read. `problem` is that of a missing or damaged file.
pub(crate) fn unreadable_output(file: &str, error: &io::Error, problem: &str) -> Failure {
    shortage::file_failure(error).unwrap_or_else(|| invalid_output(file, problem))
}

/// Failure of an output that did not pass verification.
pub(crate) fn invalid_output(file: &str, problem: &str) -> Failure {
    Failure::new(Code::OutputInvalid, format!("{file}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_errors_map_to_the_failure_of_their_cause() {
        for (errno, code) in [
            (ENOSPC, Code::StorageFull),
            (EDQUOT, Code::StorageFull),
            (EFBIG, Code::OutputTooLarge),
            (libc::EMFILE, Code::Unavailable),
            (libc::ENFILE, Code::Unavailable),
            (libc::EIO, Code::StorageFailed),
            (ENOMEM, Code::MediaMemory),
        ] {
            shortage::clear();
            let failure = write_failure("video.mp4", Error::Other { errno });
            assert_eq!(failure.code, code, "{errno}");
            assert!(!failure.detail.contains(&errno.to_string()), "{}", failure.detail);
        }
    }
}
