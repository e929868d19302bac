//! Lines of bounded length from an untrusted pipe.

use super::error::ChildError;
use domain::protocol::MAX_LINE_BYTES;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Reads lines of at most [`MAX_LINE_BYTES`]. Dropping the future of [`Self::next`] loses no bytes.
#[derive(Debug)]
pub(super) struct LineReader<R> {
    input: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input: BufReader::new(input),
            line: Vec::new(),
        }
    }

    /// The next line without its line break.
    ///
    /// # Errors
    /// [`ChildError::Closed`] at the end of input, [`ChildError::Protocol`] for a line that is too long.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, ChildError> {
        loop {
            let chunk = self.input.fill_buf().await.map_err(|_| ChildError::Closed)?;
            if chunk.is_empty() {
                return Err(ChildError::Closed);
            }
            let mut parts = chunk.splitn(2, |byte| *byte == b'\n');
            let part = parts.next().unwrap_or_default();
            let has_ended = parts.next().is_some();
            let consumed = part.len() + usize::from(has_ended);
            if self.line.len() + consumed > MAX_LINE_BYTES {
                return Err(ChildError::Protocol("a line over 256 KiB"));
            }
            self.line.extend_from_slice(part);
            self.input.consume(consumed);
            if has_ended {
                return Ok(std::mem::take(&mut self.line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(input: &[u8]) -> (Vec<Vec<u8>>, ChildError) {
        let mut reader = LineReader::new(input);
        let mut lines = Vec::new();
        loop {
            match reader.next().await {
                Ok(line) => lines.push(line),
                Err(error) => return (lines, error),
            }
        }
    }

    #[tokio::test]
    async fn an_incomplete_last_line_is_not_returned() {
        let (lines, error) = all(b"one\n\ntwo\nhalf").await;
        assert_eq!(lines, [b"one".to_vec(), vec![], b"two".to_vec()]);
        assert!(matches!(error, ChildError::Closed));
    }

    #[tokio::test]
    async fn the_longest_line_is_accepted_and_one_byte_more_is_an_error() {
        let mut line = vec![b'x'; MAX_LINE_BYTES - 1];
        line.push(b'\n');
        assert_eq!(all(&line).await.0.len(), 1);
        line.insert(0, b'x');
        let (lines, error) = all(&line).await;
        assert!(lines.is_empty() && matches!(error, ChildError::Protocol(_)));
    }
}
