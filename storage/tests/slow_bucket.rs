//! The memory of many uploads to a slow bucket. A test binary of its own, because it reads the peak of the process.

#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(clippy::print_stdout, reason = "the test reports a measurement")]

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{Key, S3Credentials, Storage, s3_server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use uuid::Uuid;

const UPLOADS: usize = 50;
const CHUNK: usize = 64 << 10;
const BYTES: usize = 11 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_uploads_to_a_slow_bucket_complete_in_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("media")).unwrap();
    let (server, _serving) = s3_server::start(dir.path(), "key", "secret").await.unwrap();
    let storage = open(slow_proxy(server).await).await;
    let (before, began) = (peak_kib(), Instant::now());
    let uploads = (0..UPLOADS).map(|_| {
        let storage = storage.clone();
        tokio::spawn(async move {
            let chunks = futures::stream::iter(0..BYTES / CHUNK);
            let sent = chunks.map(|_| Ok::<_, Infallible>(Bytes::from(vec![7; CHUNK])));
            let (key, bytes) = (Key::source(Uuid::new_v4()), BYTES as u64);
            storage.put_stream(&key, sent, Some(bytes), bytes).await.unwrap().bytes
        })
    });
    for stored in join_all(uploads).await {
        assert_eq!(stored.unwrap(), BYTES as u64);
    }
    let (peak, took) = (peak_kib(), began.elapsed());
    println!("{UPLOADS} × {BYTES} bytes in {took:?}, peak {peak} KiB, {before} KiB before");
    // 48 MiB of parts; the rest is for 50 connections on both sides of the proxy and for the server.
    assert!(peak - before < 144 << 10, "peak {peak} KiB, {before} KiB before");
}

async fn open(address: SocketAddr) -> Storage {
    let credentials = S3Credentials {
        access_key_id: "key".to_owned(),
        secret_access_key: "secret".to_owned(),
    };
    let url = format!("s3://media?endpoint=http://{address}");
    Storage::open(&url, Some(credentials)).await.unwrap()
}

/// Starts a proxy to the server with a total throughput of 64 MiB/s.
async fn slow_proxy(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let throttle = Arc::new(Mutex::new(()));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(forward(client, server, throttle.clone()));
        }
    });
    address
}

async fn forward(client: TcpStream, server: SocketAddr, throttle: Arc<Mutex<()>>) {
    let server = TcpStream::connect(server).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
    let mut buffer = vec![0; CHUNK];
    while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
        let permit = throttle.lock().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        drop(permit);
        if to_server.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}

/// Peak resident memory of the process.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
