//! The bytes of a connection on their way to hyper and back.
//!
//! hyper answers what it cannot read as HTTP/1 by itself, with a head of status 400, 414 or 431 and no body, and offers
//! no hook. It is told from the replies of the router by what has happened before: no request was handed to the router
//! since everything written was flushed, so nothing of the router can be under way. Such a head gets the body that all
//! errors have ([`super::bare`]); every other byte passes unchanged.

use super::bare;
use super::seat::Seat;
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

/// How much more of a refused request is read, and for how long: to close before it was read would reset the connection,
/// and the client would lose the reply.
const LINGER_BYTES: usize = 1 << 20;
const LINGER_FOR: Duration = Duration::from_secs(2);

pub(super) struct Socket {
    stream: TcpStream,
    seat: Arc<Seat>,
    language: Language,
    refusal: Refusal,
}

/// The reply to what is no request.
enum Refusal {
    /// There is none.
    None,
    /// What is left to write of it.
    Leaving(Bytes),
    /// It was written; how much more is read.
    Lingering(usize, Pin<Box<Sleep>>),
}

impl Socket {
    pub(super) fn new(stream: TcpStream, seat: Arc<Seat>, language: Language) -> Self {
        Self {
            stream,
            seat,
            language,
            refusal: Refusal::None,
        }
    }

    /// Writes what is left of our own reply.
    fn poll_refuse(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Refusal::Leaving(left) = &mut self.refusal {
            if left.is_empty() {
                self.refusal = Refusal::Lingering(LINGER_BYTES, Box::pin(sleep(LINGER_FOR)));
                break;
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
            left.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads on until the client ends, or for long enough.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Refusal::Lingering(left, end) = &mut self.refusal else {
            return Poll::Ready(());
        };
        let mut scratch = [0; 4_096];
        while *left > 0 && end.as_mut().poll(cx).is_pending() {
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
            let refusal = self.seat.is_quiet().then(|| bare::refusal(bytes, self.language));
            match refusal.flatten() {
                Some(reply) => self.refusal = Refusal::Leaving(reply),
                None => return Pin::new(&mut self.stream).poll_write(cx, bytes),
            }
        }
        ready!(self.poll_refuse(cx))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.seat.is_quiet() {
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
        // hyper flushes when it has nothing more to write.
        self.seat.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        ready!(self.poll_linger(cx));
        Poll::Ready(Ok(()))
    }
}
