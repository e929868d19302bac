//! Checksums of the bytes of one request.

use crate::Error;
use domain::Code;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// An algorithm of checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-1, which the tus protocol requires. It finds damage, not forgery.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 2] = [Self::Sha1, Self::Sha256];

    /// The name in the tus protocol.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// Length of a checksum in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// The checksum that the bytes of a request must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The checksum.
    pub expected: Vec<u8>,
}

/// The checksum of the bytes so far.
pub(super) struct Running {
    expected: Vec<u8>,
    hash: Hash,
}

enum Hash {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Running {
    pub(super) fn new(checksum: Checksum) -> Self {
        Self {
            expected: checksum.expected,
            hash: match checksum.algorithm {
                Algorithm::Sha1 => Hash::Sha1(Sha1::new()),
                Algorithm::Sha256 => Hash::Sha256(Sha256::new()),
            },
        }
    }

    pub(super) fn update(&mut self, chunk: &[u8]) {
        match &mut self.hash {
            Hash::Sha1(hash) => hash.update(chunk),
            Hash::Sha256(hash) => hash.update(chunk),
        }
    }

    /// Compares the checksums.
    ///
    /// # Errors
    /// `checksum_mismatch`.
    pub(super) fn check(self) -> Result<(), Error> {
        let is_equal = match self.hash {
            Hash::Sha1(hash) => hash.finalize()[..] == self.expected[..],
            Hash::Sha256(hash) => hash.finalize()[..] == self.expected[..],
        };
        is_equal.then_some(()).ok_or_else(|| Code::ChecksumMismatch.into())
    }
}
