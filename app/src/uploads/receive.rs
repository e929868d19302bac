//! Receiving the bytes of one request for a resumable upload.

use super::checksum::{Checksum, Running};
use super::lease::ended;
use super::session::{Session, gone, interrupted, reason};
use crate::container::{PEEK_BYTES, check_media};
use crate::{Error, Refusal, too_large};
use bytes::{Bytes, BytesMut};
use domain::Code;
use entity::upload::Ownership;
use futures::{Stream, StreamExt};
use std::pin::pin;
use std::time::Duration;
use storage::{Appender, Extent};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Interval in which a request looks if progress is to be recorded.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes after which a checkpoint begins. It records the bytes of the one before, so a process that is killed loses the
/// bytes of two.
const CHECKPOINT_BYTES: u64 = 64 << 20;
/// Time after which a checkpoint begins; much shorter than the lease, which a checkpoint renews.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(2_500);

/// The bytes of one request.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// The position of the first byte.
    pub offset: u64,
    /// The length of the whole file, if the request tells it.
    pub length: Option<u64>,
    /// The checksum of the bytes.
    pub checksum: Option<Checksum>,
    /// The number of bytes, if the request tells it.
    pub declared_bytes: Option<u64>,
    /// The client does not learn the address of the upload if the request fails, so the upload is removed then.
    pub is_only_request: bool,
}

/// The reason for which no more bytes are received.
enum End {
    /// The request has no more bytes.
    Whole,
    /// The client is gone, or another request asks for the upload. The received bytes count.
    Cut(Error),
    /// The received bytes do not count.
    Refused(Error),
    /// The file should be media and is none, so the upload is removed.
    NotMedia(Refusal),
}

/// The state of one request.
struct Receiver<'a> {
    session: &'a mut Session,
    appender: Appender,
    /// The position behind the last byte.
    bytes: u64,
    /// The largest position.
    limit_bytes: u64,
    checksum: Option<Running>,
    /// The first bytes of the file, until there are enough to detect its format.
    head: Option<BytesMut>,
    /// The position of the last checkpoint, and its time.
    checkpoint_at: u64,
    recorded_at: Instant,
}

/// Appends the bytes of a request to an upload, and completes it with the last one.
///
/// # Errors
/// `upload_offset_wrong`, `upload_header_invalid`, `upload_too_large`, `checksum_mismatch`, `not_media`,
/// `upload_interrupted`, `storage_full`; errors of the stream, the storage and the database.
pub(super) async fn append(
    session: &mut Session,
    patch: Patch,
    stream: impl Stream<Item = Result<Bytes, Error>>,
) -> Result<(), Error> {
    let limit_bytes = check(session, &patch).await?;
    if !session.row.is_received() {
        let appender = session.appender().await?;
        let head = session.first_bytes().await?;
        let receiver = Receiver {
            bytes: session.row.received(),
            checkpoint_at: session.row.received(),
            head,
            session,
            appender,
            limit_bytes,
            checksum: patch.checksum.map(Running::new),
            recorded_at: Instant::now(),
        };
        receiver.run(stream).await?;
    } else {
        refuse_bytes(stream, limit_bytes).await?;
    }
    if session.row.is_received() {
        session.complete().await?;
    }
    Ok(())
}

/// Checks the headers of a request against the upload; returns the largest position.
async fn check(session: &mut Session, patch: &Patch) -> Result<u64, Error> {
    let (row, max_bytes) = (&session.row, session.max_bytes());
    if patch.offset != row.received() {
        let detail = format!("{}; accepted: {}", patch.offset, row.received());
        return Err(Refusal::new(Code::UploadOffsetWrong).detail(detail).into());
    }
    if let Some(length) = patch.length
        && row.length() != Some(length)
    {
        check_length(session, length)?;
        let is_held = session.lease.set_length(&session.app.db, length);
        let is_held = session.app.with_timeout(is_held).await?;
        is_held.then_some(()).ok_or_else(interrupted)?;
        session.row.length_bytes = i64::try_from(length).ok();
    }
    let limit_bytes = session.row.length().unwrap_or(max_bytes);
    let declared_end = patch.declared_bytes.map(|bytes| patch.offset.saturating_add(bytes));
    if declared_end.is_some_and(|end| end > limit_bytes) {
        return Err(too_large(limit_bytes).into());
    }
    Ok(limit_bytes)
}

/// Refuses bytes behind the end of an upload that is complete.
async fn refuse_bytes(stream: impl Stream<Item = Result<Bytes, Error>>, limit_bytes: u64) -> Result<(), Error> {
    let mut stream = pin!(stream);
    while let Some(chunk) = stream.next().await {
        if !chunk?.is_empty() {
            return Err(too_large(limit_bytes).into());
        }
    }
    Ok(())
}

/// Checks the length of an upload that was created without one.
fn check_length(session: &Session, length: u64) -> Result<(), Error> {
    let (row, max_bytes) = (&session.row, session.max_bytes());
    let accepted = match row.length() {
        Some(known) => format!("{known}, because the length does not change"),
        None if length > max_bytes => return Err(too_large(max_bytes).into()),
        None if length > 0 && length >= row.received() => return Ok(()),
        None => format!("at least {}", row.received().max(1)),
    };
    let detail = format!("Upload-Length: {length}; accepted: {accepted}");
    Err(Refusal::new(Code::UploadHeaderInvalid).detail(detail).into())
}

impl Receiver<'_> {
    /// Receives all bytes and records them.
    async fn run(mut self, stream: impl Stream<Item = Result<Bytes, Error>>) -> Result<(), Error> {
        let mut end = self.receive(stream).await;
        let checksum = self.checksum.take();
        let has_checksum = checksum.is_some();
        if let (End::Whole, Some(checksum)) = (&end, checksum)
            && let Err(error) = checksum.check()
        {
            end = End::Refused(error);
        }
        match end {
            End::Whole => self.record_rest().await,
            // The bytes of a request with a checksum count together or not at all.
            End::Cut(error) if !has_checksum => {
                self.record_rest().await?;
                Err(error)
            }
            End::Cut(error) | End::Refused(error) => {
                self.appender.roll_back().await;
                Err(error)
            }
            End::NotMedia(refusal) => {
                self.appender.roll_back().await;
                self.session.refuse().await?;
                Err(refusal.into())
            }
        }
    }

    async fn record_rest(mut self) -> Result<(), Error> {
        let is_whole = self.session.row.length() == Some(self.bytes);
        let extent = if is_whole { Extent::End } else { Extent::Everything };
        let recorded = self.session.checkpoint(&mut self.appender, extent).await;
        match recorded {
            Ok(()) => Ok(()),
            Err(error) => {
                self.appender.roll_back().await;
                Err(reason(self.session, error).await)
            }
        }
    }

    async fn receive(&mut self, stream: impl Stream<Item = Result<Bytes, Error>>) -> End {
        let mut state = self.session.keeper.watch();
        let mut look = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stream = pin!(stream);
        loop {
            let next = tokio::select! {
                biased;
                ended = ended(&mut state) => return match ended {
                    Ownership::Lost => End::Refused(interrupted()),
                    Ownership::Held | Ownership::Wanted => End::Cut(interrupted()),
                },
                _ = look.tick() => match self.look().await {
                    Ok(()) => continue,
                    Err(end) => return end,
                },
                next = stream.next() => next,
            };
            let taken = match next {
                None => return End::Whole,
                Some(Err(error)) => return End::Cut(error),
                Some(Ok(chunk)) => self.take(&chunk).await,
            };
            if let Err(end) = taken {
                return end;
            }
        }
    }

    /// Records progress when it is time.
    async fn look(&mut self) -> Result<(), End> {
        if self.appender.is_overdue() {
            return Err(End::Cut(Code::RequestTimeout.into()));
        }
        if self.recorded_at.elapsed() >= CHECKPOINT_EVERY {
            self.record().await?;
        }
        Ok(())
    }

    /// Takes one chunk.
    async fn take(&mut self, chunk: &Bytes) -> Result<(), End> {
        let length = chunk.len() as u64;
        if self.limit_bytes - self.bytes < length {
            return Err(End::Refused(too_large(self.limit_bytes).into()));
        }
        self.detect(chunk).map_err(End::NotMedia)?;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(chunk);
        }
        if let Err(error) = self.appender.write(chunk).await {
            return Err(End::Refused(reason(self.session, gone(error)).await));
        }
        self.bytes += length;
        metrics::counter!("rushes_upload_bytes_total").increment(length);
        if self.bytes - self.checkpoint_at >= CHECKPOINT_BYTES {
            self.record().await?;
        }
        Ok(())
    }

    /// Refuses a file that is no media as soon as its first bytes are there, instead of after the last.
    fn detect(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        let Some(head) = &mut self.head else { return Ok(()) };
        head.extend_from_slice(chunk.get(..PEEK_BYTES).unwrap_or(chunk));
        if head.len() < PEEK_BYTES {
            return Ok(());
        }
        let checked = check_media(head);
        self.head = None;
        checked
    }

    /// Records progress. The bytes of a request with a checksum are recorded together at its end.
    async fn record(&mut self) -> Result<(), End> {
        (self.checkpoint_at, self.recorded_at) = (self.bytes, Instant::now());
        let recorded = if self.checksum.is_some() {
            match self.appender.pass_on().await {
                Ok(()) => self.session.renew().await,
                Err(error) => Err(gone(error)),
            }
        } else {
            let extent = Extent::Ready;
            self.session.checkpoint(&mut self.appender, extent).await
        };
        match recorded {
            Ok(()) => Ok(()),
            Err(error) => Err(End::Refused(reason(self.session, error).await)),
        }
    }
}
