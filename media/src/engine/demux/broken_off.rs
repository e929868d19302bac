//! The length of a file that lacks bytes, and the cause.

/// The reason why an unknown part of a file is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BreakCause {
    /// It ends inside of a frame or fragment, or without its end mark.
    End,
    /// It is shorter than its header states.
    Size,
    /// It has fewer fragments than its index lists.
    Fragments,
    /// Its fragments are not in order, and the right order is not known.
    Order,
    /// Parts inside of it are damaged.
    Inside,
}

impl BreakCause {
    /// Returns `true` if the missing part may be at any position of the file, not only at its end.
    pub(crate) const fn is_anywhere(self) -> bool {
        !matches!(self, Self::End)
    }

    /// Describes it for the user.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::End => "the file breaks off",
            Self::Size => "the file is shorter than its header states",
            Self::Fragments => "the file has fewer fragments than its index lists",
            Self::Order => "the fragments of the file are not in order",
            Self::Inside => "parts inside of the file are damaged",
        }
    }
}

/// A file that is truncated, or has a break that FFmpeg reads over without an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BrokenOff {
    /// Its length in microseconds by its header or its frames; 0 if it is not known.
    pub(crate) length_us: u64,
    /// Set if frames may be missing that the length does not include.
    pub(crate) unknown_loss: Option<BreakCause>,
}

impl BrokenOff {
    /// A file that lacks bytes; how long they last is not known.
    pub(crate) const fn of_unknown_length(cause: BreakCause) -> Self {
        Self {
            length_us: 0,
            unknown_loss: Some(cause),
        }
    }
}
