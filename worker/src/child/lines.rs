//! Lines of at most 256 KiB from a pipe that nobody trusts.

use super::trouble::Trouble;
use domain::protocol::MAX_LINE_BYTES;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Reads line by line; a future dropped half-way loses nothing.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input: BufReader::new(input),
            line: Vec::new(),
        }
    }

    /// The next line without its end.
    ///
    /// # Errors
    /// [`Trouble::Closed`] at the end, [`Trouble::Garbage`] for a line that is too long.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, Trouble> {
        loop {
            let chunk = self.input.fill_buf().await.map_err(|_| Trouble::Closed)?;
            if chunk.is_empty() {
                return Err(Trouble::Closed);
            }
            let mut parts = chunk.splitn(2, |byte| *byte == b'\n');
            let part = parts.next().unwrap_or_default();
            let ended = parts.next().is_some();
            let used = part.len() + usize::from(ended);
            if self.line.len() + used > MAX_LINE_BYTES {
                return Err(Trouble::Garbage("a line over 256 KiB"));
            }
            self.line.extend_from_slice(part);
            self.input.consume(used);
            if ended {
                return Ok(std::mem::take(&mut self.line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(input: &[u8]) -> (Vec<Vec<u8>>, Trouble) {
        let mut lines = Lines::new(input);
        let mut seen = Vec::new();
        loop {
            match lines.next().await {
                Ok(line) => seen.push(line),
                Err(trouble) => return (seen, trouble),
            }
        }
    }

    #[tokio::test]
    async fn lines_come_whole_and_a_broken_one_does_not_count() {
        let (seen, end) = all(b"one\n\ntwo\nhalf").await;
        assert_eq!(seen, [b"one".to_vec(), vec![], b"two".to_vec()]);
        assert!(matches!(end, Trouble::Closed));
    }

    #[tokio::test]
    async fn the_longest_line_passes_and_one_byte_more_is_garbage() {
        let mut line = vec![b'x'; MAX_LINE_BYTES - 1];
        line.push(b'\n');
        assert_eq!(all(&line).await.0.len(), 1);
        line.insert(0, b'x');
        let (seen, end) = all(&line).await;
        assert!(seen.is_empty() && matches!(end, Trouble::Garbage(_)));
    }
}
