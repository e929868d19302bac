//! The source of a file, as it is given: packed bytes, and the failures of reading them.

use std::io::{self, BufRead, ErrorKind, Read};

const BUFFER_BYTES: usize = 32 << 10;

/// The source of a file, with a buffer. The decoders return an error of the source in the same way as damage, and hide
/// it in errors of their own; so it is kept here.
pub(crate) struct Input {
    source: Box<dyn Read + Send>,
    buffer: Box<[u8]>,
    begin: usize,
    end: usize,
    failure: Option<io::Error>,
}

impl Input {
    pub(crate) fn new(source: impl Read + Send + 'static) -> Self {
        Self {
            source: Box::new(source),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            begin: 0,
            end: 0,
            failure: None,
        }
    }

    /// The first bytes of the file, fewer than asked for only if the file ends. They are not consumed.
    pub(crate) fn first(&mut self, bytes: usize) -> io::Result<&[u8]> {
        while self.end < bytes {
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            let read = read_from(&mut self.source, free, &mut self.failure)?;
            if read == 0 {
                break;
            }
            self.end += read;
        }
        Ok(self.buffer.get(..self.end.min(bytes)).unwrap_or_default())
    }

    /// The error of the source, if it failed.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }
}

fn read_from(source: &mut (dyn Read + Send), target: &mut [u8], failure: &mut Option<io::Error>) -> io::Result<usize> {
    loop {
        match source.read(target) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                let kind = error.kind();
                *failure = Some(error);
                return Err(kind.into());
            }
            Ok(read) => return Ok(read),
        }
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.begin >= self.end {
            self.begin = 0;
            self.end = 0;
            self.end = read_from(&mut self.source, &mut self.buffer, &mut self.failure)?;
        }
        Ok(self.buffer.get(self.begin..self.end).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.begin = (self.begin + bytes).min(self.end);
    }
}

impl Read for Input {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.begin >= self.end && target.len() >= BUFFER_BYTES {
            return read_from(&mut self.source, target, &mut self.failure);
        }
        let read = self.fill_buf()?.read(target)?;
        self.consume(read);
        Ok(read)
    }
}
