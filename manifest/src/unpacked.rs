//! The unpacked bytes of a file, within the limits of its size.

use crate::error::Error;
use crate::input::Input;
use crate::layout::Packing;
use crate::limits::Limits;
use crate::zstd::Frames;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, Read};

/// The unpacked bytes of a file.
pub(crate) struct Unpacked {
    decoder: Decoder,
    bytes: u64,
    max_bytes: u64,
}

enum Decoder {
    Plain(Box<Input>),
    Gzip(Box<MultiGzDecoder<Input>>),
    Zstd(Box<Frames>),
}

impl Unpacked {
    /// Begins at the first byte of a file.
    pub(crate) fn new(input: Input, packing: Packing, packed_bytes: u64, limits: &Limits) -> Self {
        let decoder = match packing {
            Packing::Plain => Decoder::Plain(Box::new(input)),
            Packing::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(input))),
            Packing::Zstd => Decoder::Zstd(Box::new(Frames::new(input))),
        };
        let max_bytes = match packing {
            Packing::Plain => limits.unpacked_bytes,
            Packing::Gzip | Packing::Zstd => limits.unpacked_from(packed_bytes),
        };
        Self {
            decoder,
            bytes: 0,
            max_bytes,
        }
    }

    /// Goes to a byte of the unpacked file: the first byte that the source of a plain file returns. A packed file is
    /// unpacked from its begin.
    pub(crate) fn skip_to(&mut self, byte: u64) -> Result<(), Error> {
        if let Decoder::Plain(_) = &self.decoder {
            self.bytes = byte;
            return Ok(());
        }
        let mut block = vec![0; 64 << 10];
        while self.bytes < byte {
            let left = usize::try_from(byte - self.bytes)
                .unwrap_or(usize::MAX)
                .min(block.len());
            if self.read(block.get_mut(..left).unwrap_or_default())? == 0 {
                let reason = "the file is shorter than before".to_owned();
                return Err(Error::ArchiveDamaged { reason });
            }
        }
        Ok(())
    }

    /// Reads bytes; 0 at the end of the file.
    pub(crate) fn read(&mut self, target: &mut [u8]) -> Result<usize, Error> {
        let result = match &mut self.decoder {
            Decoder::Plain(input) => input.read(target),
            Decoder::Gzip(decoder) => decoder.read(target),
            Decoder::Zstd(frames) => frames.read(target),
        };
        let read = result.map_err(|error| self.error(&error))?;
        self.bytes += read as u64;
        if self.bytes > self.max_bytes {
            let max_bytes = self.max_bytes;
            return Err(Error::UnpackedTooLarge { max_bytes });
        }
        Ok(read)
    }

    /// The error of the source if it failed, damage otherwise.
    fn error(&mut self, error: &io::Error) -> Error {
        let input = match &mut self.decoder {
            Decoder::Plain(input) => input,
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Zstd(frames) => frames.input(),
        };
        match input.take_failure() {
            Some(failure) => Error::Read(failure),
            None => Error::ArchiveDamaged {
                reason: error.to_string(),
            },
        }
    }
}
