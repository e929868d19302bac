//! Reads standard error of a child and keeps its last 8 KiB.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// Number of bytes that are kept.
const TAIL_BYTES: usize = 8 * 1024;
/// Time to read the rest after the child has ended. Another process of its group may keep the pipe open.
const REST_TIMEOUT: Duration = Duration::from_millis(200);

/// Consumes a stream and keeps its end.
#[derive(Debug)]
pub(super) struct StderrTail<R> {
    input: Option<R>,
    tail: Vec<u8>,
}

impl<R: AsyncRead + Unpin> StderrTail<R> {
    pub(super) const fn new(input: R) -> Self {
        Self {
            input: Some(input),
            tail: Vec::new(),
        }
    }

    /// Reads until the future is dropped; never returns. Dropping it loses no bytes.
    pub(super) async fn drain(&mut self) -> Infallible {
        while self.read().await {}
        std::future::pending().await
    }

    /// Reads without waiting. Everything that the child wrote before an answer that was received is available by
    /// then: the kernel reports pipes as readable in the order in which they were written to.
    pub(super) async fn catch_up(&mut self) {
        tokio::select! {
            biased;
            never = self.drain() => match never {},
            () = ready(()) => {}
        }
    }

    /// Reads the rest after the child has ended.
    pub(super) async fn read_rest(&mut self) {
        let _ = timeout(REST_TIMEOUT, async { while self.read().await {} }).await;
    }

    /// The end of the stream.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.tail
    }

    /// The end of the stream as text, without control characters.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.tail);
        text.chars().filter(|c| !c.is_control() || *c == '\n').collect()
    }

    /// Reads once. `false` at the end of the stream.
    async fn read(&mut self) -> bool {
        let Some(input) = &mut self.input else { return false };
        self.tail.reserve(TAIL_BYTES);
        match input.read_buf(&mut self.tail).await {
            Ok(0) | Err(_) => {
                self.input = None;
                false
            }
            Ok(_) => {
                let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
                self.tail.drain(..surplus);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_end_of_the_stream_is_kept() {
        let long: Vec<u8> = (0..40_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
        let mut tail = StderrTail::new(long.as_slice());
        tail.read_rest().await;
        assert_eq!(tail.bytes(), &long[long.len() - TAIL_BYTES..]);
    }
}
