//! Maps errors of FFmpeg and the system to failures of a task. Details are our own words: never FFmpeg's text, and no error
//! numbers.

use domain::{Code, Failure, FailureKind};
use ffmpeg_next::Error;
use ffmpeg_next::error::{EAGAIN, EFBIG, ENOMEM, ENOSPC};
use libc::EDQUOT;
use std::ffi::c_int;

/// Nothing to give at the moment; the only error besides the end that a codec or graph returns in good health.
pub(crate) const AGAIN: Error = Error::Other { errno: EAGAIN };

/// An error in words.
pub(crate) fn words(error: Error) -> &'static str {
    match error {
        Error::Eof => "it ends too early",
        Error::InvalidData => "invalid data",
        Error::PatchWelcome => "a feature that is not supported",
        Error::DecoderNotFound | Error::DemuxerNotFound | Error::StreamNotFound => {
            "a codec or stream that is not there"
        }
        Error::BufferTooSmall => "too much data at once",
        Error::External => "a library refused it",
        Error::Other { errno } => system_words(errno),
        _ => "FFmpeg refused it",
    }
}

/// An error of the system in words.
fn system_words(errno: c_int) -> &'static str {
    match errno {
        ENOMEM => "out of memory",
        libc::EINVAL => "values that do not fit together",
        libc::EIO => "an error of reading or writing",
        libc::ENOENT => "it is not there",
        libc::EACCES | libc::EPERM => "no permission",
        libc::EROFS => "a disk that cannot be written",
        libc::EMFILE | libc::ENFILE => "too many open files",
        libc::ERANGE => "a value out of range",
        libc::ENOSYS | libc::EOPNOTSUPP => "a feature that is not supported",
        _ => "an error of the system",
    }
}

/// Out of memory is the machine's trouble whatever was being done.
fn memory(error: Error) -> Option<Failure> {
    (error == Error::Other { errno: ENOMEM })
        .then(|| Failure::new(FailureKind::ResourceLimit, Code::MediaMemory, "out of memory"))
}

/// The source cannot be read on; `what` names the step.
pub(crate) fn reading(what: &str, error: Error) -> Failure {
    memory(error).unwrap_or_else(|| Failure::input(Code::SourceDamaged, format!("{what}: {}", words(error))))
}

/// An output cannot be written.
pub(crate) fn writing(file: &str, error: Error) -> Failure {
    let Error::Other { errno } = error else {
        return engine(file, error);
    };
    memory(error).unwrap_or_else(|| storage(file, errno))
}

/// An output cannot be written, as the system tells it.
pub(crate) fn disk(file: &str, error: &std::io::Error) -> Failure {
    storage(file, error.raw_os_error().unwrap_or(0))
}

fn storage(file: &str, errno: c_int) -> Failure {
    match errno {
        ENOSPC | EDQUOT => Failure::new(
            FailureKind::Infrastructure,
            Code::StorageFull,
            format!("no space for {file}"),
        ),
        EFBIG => Failure::new(
            FailureKind::ResourceLimit,
            Code::OutputTooLarge,
            format!("{file} grew over the limit"),
        ),
        // The machine's trouble, which another minute may end; the file is not at fault.
        libc::EMFILE | libc::ENFILE => Failure::new(FailureKind::Postponed, Code::Unavailable, "no descriptors left"),
        _ => {
            let detail = format!("writing {file}: {}", system_words(errno));
            Failure::new(FailureKind::Infrastructure, Code::StorageFailed, detail)
        }
    }
}

/// A filter or an encoder does not do as told: our fault, not the source's.
pub(crate) fn engine(what: &str, error: Error) -> Failure {
    memory(error).unwrap_or_else(|| {
        let detail = format!("{what}: {}", words(error));
        Failure::new(FailureKind::MediaCrash, Code::MediaCrash, detail)
    })
}

/// Something that this build of FFmpeg should have and has not.
pub(crate) fn missing(what: &str) -> Failure {
    Failure::new(
        FailureKind::Unsupported,
        Code::Internal,
        format!("FFmpeg was built without {what}"),
    )
}

/// A thread of an output panicked.
pub(crate) fn thread_panicked() -> Failure {
    Failure::new(FailureKind::MediaCrash, Code::MediaCrash, "an output broke down")
}

/// What this engine does not do yet.
pub(crate) fn unsupported_output(what: &str) -> Failure {
    Failure::new(
        FailureKind::Unsupported,
        Code::RecipeInvalid,
        format!("{what} are not made"),
    )
}

/// The plan wants what its source has not.
pub(crate) fn plan_mismatch(what: &str) -> Failure {
    let detail = format!("the plan has an output with {what} and no source for it");
    Failure::new(FailureKind::MediaCrash, Code::Internal, detail)
}

/// The failure of a source from which nothing of a kind could be decoded.
pub(crate) fn nothing_decoded(what: &str) -> Failure {
    reading(what, Error::InvalidData)
}

/// The failure of a source whose packets cannot be read.
pub(crate) fn unreadable_packets(error: ffmpeg_next::Error) -> Failure {
    reading("the packets", error)
}

/// The failure of an output that is not as it should be.
pub(crate) fn invalid_output(file: &str, what: &str) -> Failure {
    Failure::new(FailureKind::MediaCrash, Code::OutputInvalid, format!("{file}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_writing_map_to_the_failure_of_their_cause() {
        for (errno, kind, code) in [
            (ENOSPC, FailureKind::Infrastructure, Code::StorageFull),
            (EDQUOT, FailureKind::Infrastructure, Code::StorageFull),
            (EFBIG, FailureKind::ResourceLimit, Code::OutputTooLarge),
            (libc::EMFILE, FailureKind::Postponed, Code::Unavailable),
            (libc::ENFILE, FailureKind::Postponed, Code::Unavailable),
            (libc::EIO, FailureKind::Infrastructure, Code::StorageFailed),
            (ENOMEM, FailureKind::ResourceLimit, Code::MediaMemory),
        ] {
            let failure = writing("video.mp4", Error::Other { errno });
            assert_eq!((failure.kind, failure.code), (kind, code), "{errno}");
            assert!(!failure.detail.contains(&errno.to_string()), "{}", failure.detail);
        }
    }
}
