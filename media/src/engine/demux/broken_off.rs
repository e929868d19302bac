//! The length of a file that lacks bytes.

/// A file that is truncated, or has a break that FFmpeg reads over without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BrokenOff {
    /// Its length in microseconds by its header or its frames; 0 if it is not known.
    pub(crate) length_us: u64,
    /// `true` if frames may be missing that the length does not include.
    pub(crate) open_end: bool,
    /// `true` if the missing bytes may be at any position of the file, not only at its end.
    pub(crate) is_anywhere: bool,
}

impl BrokenOff {
    /// A file that lacks bytes; how long they last is not known.
    pub(crate) const fn of_unknown_length(is_anywhere: bool) -> Self {
        Self {
            length_us: 0,
            open_end: true,
            is_anywhere,
        }
    }
}
