//! The memory of an upload does not depend on its length. A test binary of its own, because it reads the peak of the
//! process.

#![cfg(test)]

use bytes::Bytes;
use futures::StreamExt;
use std::convert::Infallible;
use std::time::Instant;
use storage::{Key, Storage};
use uuid::Uuid;

const CHUNK: usize = 64 << 10;

/// `UPLOAD_MIB` at compile time sets another length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_takes_constant_memory() {
    let chunks = option_env!("UPLOAD_MIB").map_or(256, |mib| mib.parse().unwrap()) * (1 << 20) / CHUNK;
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(&format!("file://{}", dir.path().display()), None)
        .await
        .unwrap();
    let bytes = (chunks * CHUNK) as u64;
    let began = Instant::now();
    let sent = futures::stream::iter(0..chunks).map(|_| Ok::<_, Infallible>(Bytes::from(vec![7; CHUNK])));
    let stored = storage
        .put_stream(&Key::source(Uuid::new_v4()), sent, Some(bytes), bytes)
        .await
        .unwrap();
    assert_eq!(stored.bytes, bytes);
    let took = began.elapsed();
    println!("{bytes} bytes in {took:?}, peak {} KiB", peak_kib());
    assert!(peak_kib() < 64 << 10, "peak {} KiB", peak_kib());
}

/// Peak resident memory of the process.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
