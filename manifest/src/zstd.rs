//! All frames of a zstd file (RFC 8878), decoded without libzstd.
//!
//! *Problem.* The decoder reads one frame, and holds back its last bytes, as many as the window has, until the frame
//! ends. So the rows of a file that is cut would be lost up to 8 MiB before the cut.
//!
//! *Mechanism.* Frames are read one after another; skippable frames are skipped. After an error inside of a frame the
//! decoder is given an empty last block: the frame ends for it, and it returns the bytes that it held back. The error
//! follows them.
//!
//! *Bounds.* A frame with a window over 8 MiB, which is the size that RFC 8878 asks all decoders to support, is refused
//! before memory is allocated for it. Blocks are at most 128 KiB; the decoder checks it while it decodes.

use crate::input::Input;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, Read};

const WINDOW_BYTES: u64 = 8 << 20;
/// A raw block without bytes that is the last one of its frame, and a checksum for frames that have one.
const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// The decoder of all frames of a file.
pub(crate) struct Frames {
    input: Input,
    decoder: FrameDecoder,
    state: State,
}

enum State {
    Between,
    Inside,
    Failed(String),
}

impl Frames {
    pub(crate) fn new(input: Input) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_BYTES);
        Self {
            input,
            decoder,
            state: State::Between,
        }
    }

    pub(crate) fn input(&mut self) -> &mut Input {
        &mut self.input
    }

    fn enter_frame(&mut self) -> Result<State, FrameDecoderError> {
        match self.decoder.init(&mut self.input) {
            Ok(()) => Ok(State::Inside),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let mut skipped = (&mut self.input).take(length.into());
                let is_whole = io::copy(&mut skipped, &mut io::sink()).is_ok_and(|bytes| bytes == u64::from(length));
                is_whole
                    .then_some(State::Between)
                    .ok_or(FrameDecoderError::FailedToSkipFrame)
            }
            Err(error) => Err(error),
        }
    }

    fn decode_block(&mut self) -> State {
        match self
            .decoder
            .decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1))
        {
            Ok(_) => State::Inside,
            Err(error) => {
                // Cannot fail: the block is complete.
                let _ = self
                    .decoder
                    .decode_blocks(&LAST_BLOCK[..], BlockDecodingStrategy::UptoBlocks(1));
                State::Failed(error.to_string())
            }
        }
    }

    fn leave_frame(&self) -> State {
        let expected = self.decoder.get_checksum_from_data();
        if expected.is_none() || expected == self.decoder.get_calculated_checksum() {
            State::Between
        } else {
            State::Failed("the checksum of a frame does not match".to_owned())
        }
    }
}

impl Read for Frames {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(target);
            }
            self.state = match &self.state {
                State::Failed(reason) => return Err(io::Error::other(reason.clone())),
                State::Inside if self.decoder.is_finished() => self.leave_frame(),
                State::Inside => self.decode_block(),
                State::Between if self.input.fill_buf()?.is_empty() => return Ok(0),
                State::Between => self
                    .enter_frame()
                    .unwrap_or_else(|error| State::Failed(error.to_string())),
            };
        }
    }
}
