//! The stream between TCP and hyper, which gives hyper's own error replies a body.
//!
//! hyper answers bytes that it cannot parse as HTTP/1 by itself: a head with status 400, 414 or 431 and no body. It
//! offers no hook to change that reply. This stream recognizes it by its context: no request has begun since everything
//! written was flushed, so these bytes cannot belong to a reply of the router. It replaces the head by a reply with
//! problem details ([`super::malformed_request`]). All other bytes pass unchanged.

use super::connections::Connection;
use super::malformed_request;
use bytes::{Buf, Bytes};
use domain::Language;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// Maximum number of bytes of a malformed request that are read and discarded before the close. Closing a socket with
/// unread data resets the connection, and the client could lose the reply.
const DRAIN_BYTES: usize = 1 << 20;
/// Maximum time for that.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A TCP stream for hyper; see the module.
pub(super) struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
    language: Language,
    refusal: Refusal,
}

/// State of the reply to a malformed request.
enum Refusal {
    /// The connection has sent no malformed request.
    None,
    /// The reply is being written; the bytes are the rest of it.
    Writing(Bytes),
    /// The reply was written; the input is drained up to a number of bytes and a deadline.
    Draining(usize, Pin<Box<Sleep>>),
}

impl Socket {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>, language: Language) -> Self {
        Self {
            stream,
            connection,
            language,
            refusal: Refusal::None,
        }
    }

    /// Writes the rest of the reply to a malformed request.
    fn poll_write_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Refusal::Writing(left) = &mut self.refusal {
            if left.is_empty() {
                self.refusal = Refusal::Draining(DRAIN_BYTES, Box::pin(sleep(DRAIN_TIMEOUT)));
                break;
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
            left.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Discards input until the client closes its side or a limit is reached.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Refusal::Draining(left, deadline) = &mut self.refusal else {
            return Poll::Ready(());
        };
        let mut scratch = [0; 4_096];
        while *left > 0 && deadline.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *left = left.saturating_sub(buffer.filled().len()),
                Ok(()) | Err(_) => break,
            }
        }
        self.refusal = Refusal::None;
        Poll::Ready(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if matches!(self.refusal, Refusal::None) {
            let refusal = self
                .connection
                .is_quiet()
                .then(|| malformed_request::refusal(bytes, self.language));
            match refusal.flatten() {
                Some(reply) => self.refusal = Refusal::Writing(reply),
                None => return Pin::new(&mut self.stream).poll_write(cx, bytes),
            }
        }
        ready!(self.poll_write_refusal(cx))?;
        // hyper wrote the head that was replaced; to hyper, all of it is written.
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.connection.is_quiet() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(cx, first.map_or(&[], |slice| slice));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // hyper flushes when its write buffer is empty.
        self.connection.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        ready!(self.poll_drain(cx));
        Poll::Ready(Ok(()))
    }
}
