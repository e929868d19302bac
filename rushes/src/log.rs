//! Writes log lines to standard error without blocking the threads that log.
//!
//! *Problem.* Standard error can be a terminal that was closed, a pipe whose reader is gone or has stopped reading,
//! or a file on a full disk. No thread may fail or wait because of that.
//!
//! *Mechanism.* Lines go through a bounded queue to one thread that writes them. A line that does not fit into the
//! queue, or whose write fails, is dropped and counted in `rushes_log_lines_lost_total`.
//!
//! *Rejected.* Writing from the logging thread, which blocks on a full pipe; and the subscriber's own report of a
//! failed write, which uses `eprintln!` and panics when standard error is what failed.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use tracing_subscriber::fmt::MakeWriter;

/// Maximum number of queued lines. A line has a few hundred bytes.
const QUEUE_LINES_MAX: usize = 4_096;

/// Time for the last lines when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The sending end of the queue. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Acknowledged when all lines before it were written.
    Flush(SyncSender<()>),
}

/// Writes the queued lines when it is dropped, for at most [`FLUSH_TIMEOUT`].
pub(crate) struct FlushGuard(Log);

impl Log {
    /// Starts the thread that writes to standard error.
    pub(crate) fn to_stderr() -> Self {
        Self::to(io::stderr())
    }

    fn to(output: impl Write + Send + 'static) -> Self {
        let (queue, lines) = sync_channel(QUEUE_LINES_MAX);
        let log = Self {
            queue,
            lost: Arc::default(),
        };
        let lost = log.lost.clone();
        let writer = thread::Builder::new().name("log".to_owned());
        // If the thread cannot be started, every line is counted as lost, because nothing receives it.
        let _ = writer.spawn(move || write_out(&lines, output, &lost));
        log
    }

    /// Queues one line, with its line break.
    pub(crate) fn line(&self, line: Vec<u8>) {
        if self.queue.try_send(Message::Line(line)).is_err() {
            count_lost(&self.lost);
        }
    }

    /// Publishes the number of lost lines as a metric. Lines may be lost before the registry exists.
    pub(crate) fn publish(&self) {
        publish(self.lost.load(Ordering::Relaxed));
    }

    /// A guard that writes the last lines.
    pub(crate) fn flush_guard(&self) -> FlushGuard {
        FlushGuard(self.clone())
    }

    /// Logs panics as lines of this log. The default hook writes to standard error itself and could block.
    pub(crate) fn hook_panics(&self, as_json: bool) {
        let log = self.clone();
        std::panic::set_hook(Box::new(move |panic| log.line(panic_line(panic, as_json))));
    }

    fn flush(&self) {
        let (written, acknowledged) = sync_channel(1);
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        while let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Flush(written.clone())) {
            if Instant::now() >= deadline {
                return;
            }
            // The message is not queued yet, so this only waits.
            let _ = acknowledged.recv_timeout(Duration::from_millis(5));
        }
        drop(written);
        let _ = acknowledged.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl Drop for FlushGuard {
    fn drop(&mut self) {
        self.0.flush();
    }
}

fn write_out(lines: &Receiver<Message>, mut output: impl Write, lost: &AtomicU64) {
    let mut is_incomplete = false;
    for message in lines {
        let line = match message {
            Message::Line(line) => line,
            Message::Flush(written) => {
                let _ = written.send(());
                continue;
            }
        };
        // A failed write may have written a part of its line; then the next line starts after a line break.
        let started = if is_incomplete { output.write_all(b"\n") } else { Ok(()) };
        is_incomplete = started.and_then(|()| output.write_all(&line)).is_err();
        if is_incomplete {
            count_lost(lost);
        }
    }
}

fn count_lost(lost: &AtomicU64) {
    publish(lost.fetch_add(1, Ordering::Relaxed) + 1);
}

fn publish(lost: u64) {
    metrics::counter!("rushes_log_lines_lost_total").absolute(lost);
}

impl Write for Log {
    /// Queues a whole line; the formatting layer writes one line per call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Formats a panic as a log line. Not an event of `tracing`, because the subscriber itself may have panicked.
fn panic_line(panic: &PanicHookInfo<'_>, as_json: bool) -> Vec<u8> {
    let time = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let message = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let current = thread::current();
    let thread = current.name().unwrap_or("unnamed");
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let text = if as_json {
        let line = serde_json::json!({
            "timestamp": time, "level": "ERROR", "message": "a thread panicked", "panic": message,
            "location": location, "thread": thread, "backtrace": backtrace,
        });
        format!("{line}\n")
    } else {
        let backtrace = backtrace.unwrap_or_default();
        format!("{time} ERROR a thread panicked panic={message:?} location={location} thread={thread}\n{backtrace}")
    };
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// Fails its first `fails` writes; sends the bytes of later ones to `written`.
    struct Output {
        fails: Arc<AtomicU64>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.fails.load(Ordering::SeqCst) > 0 {
                self.fails.fetch_sub(1, Ordering::SeqCst);
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_failed_write_is_counted_and_the_next_line_starts_after_a_line_break() {
        let fails = Arc::new(AtomicU64::new(1));
        let (written, received) = channel();
        let log = Log::to(Output {
            fails: fails.clone(),
            written,
        });
        log.line(b"one\n".to_vec());
        log.line(b"two\n".to_vec());
        log.line(b"three\n".to_vec());
        drop(log.flush_guard());
        let text: Vec<u8> = received.try_iter().flatten().collect();
        assert_eq!(String::from_utf8(text).unwrap(), "\ntwo\nthree\n");
        assert_eq!(log.lost.load(Ordering::SeqCst), 1);
    }

    /// Blocks in its first write, like a full pipe without a reader.
    struct BlockedOutput(Receiver<()>);

    impl Write for BlockedOutput {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_reader_blocks_no_thread_and_lost_lines_are_counted() {
        let (_never, blocked) = channel();
        let log = Log::to(BlockedOutput(blocked));
        let more = 100;
        // The thread may have taken one line from the queue.
        for _ in 0..=QUEUE_LINES_MAX + more {
            log.line(b"line\n".to_vec());
        }
        drop(log.flush_guard());
        let lost = log.lost.load(Ordering::SeqCst);
        assert!((100..=101).contains(&lost), "{lost}");
    }
}
