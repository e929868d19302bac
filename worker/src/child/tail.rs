//! The end of what a child wrote to standard error: read for ever, kept to 8 KiB.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// Bytes kept.
const KEPT: usize = 8 * 1024;
/// How long the last words of a dead child are waited for; something of its group may still hold the pipe.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Swallows a stream and keeps its end.
#[derive(Debug)]
pub(super) struct Tail<R> {
    input: Option<R>,
    kept: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Tail<R> {
    pub(super) const fn new(input: R) -> Self {
        Self {
            input: Some(input),
            kept: Vec::new(),
        }
    }

    /// Reads on and never returns; drop it at any time.
    pub(super) async fn drain(&mut self) -> Infallible {
        while self.read().await {}
        std::future::pending().await
    }

    /// Reads what is there by now. What was written before an answer that was read already is there: the kernel tells of
    /// pipes in the order in which they were written to.
    pub(super) async fn catch_up(&mut self) {
        tokio::select! {
            biased;
            never = self.drain() => match never {},
            () = ready(()) => {}
        }
    }

    /// Reads what is left after the child has died.
    pub(super) async fn rest(&mut self) {
        let _ = timeout(LAST_WORDS, async { while self.read().await {} }).await;
    }

    /// What was kept.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.kept
    }

    /// What was kept, as text that is safe in a log line.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        text.chars().filter(|c| !c.is_control() || *c == '\n').collect()
    }

    /// Whether there may be more.
    async fn read(&mut self) -> bool {
        let Some(input) = &mut self.input else { return false };
        self.kept.reserve(KEPT);
        match input.read_buf(&mut self.kept).await {
            Ok(0) | Err(_) => {
                self.input = None;
                false
            }
            Ok(_) => {
                let surplus = self.kept.len().saturating_sub(KEPT);
                self.kept.drain(..surplus);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_end_is_kept() {
        let long: Vec<u8> = (0..40_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
        let mut tail = Tail::new(long.as_slice());
        tail.rest().await;
        assert_eq!(tail.bytes(), &long[long.len() - KEPT..]);
    }
}
