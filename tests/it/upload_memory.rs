//! Peak memory of an API process while many clients upload and the bucket accepts no data.

use bytes::Bytes;
use futures::StreamExt;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{Bucket, Caller, MP4, SECRET, TestApp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

const UPLOADS: usize = 50;
/// Size of one upload, a multiple of 64 KiB.
const UPLOAD_BYTES: usize = 8 << 20;
/// Limit of the growth while the bucket accepts no data: 48 MiB of parts, and the buffers of 50 connections.
const STALLED_MIB: u64 = 64;
/// Limit of the growth until the end, with the connections to the bucket. All uploads together are 400 MiB.
const GROWTH_MIB: u64 = 80;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_uploads_to_a_slow_bucket_take_a_bounded_amount_of_memory() {
    let app = TestApp::idle().await;
    let directory = app.directory.path();
    let bucket = Bucket::start(&directory.join("slow")).await;
    let (address, is_open) = start_proxy(bucket.address).await;
    let mut environment = Bucket::settings_instead(address, &app.environment);
    environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    environment.push(("RUSHES_DATA_DIR", directory.join("data").display().to_string()));
    let mut server = Server::start("backend", &directory.join("log.txt"), &environment);
    server.ready().await;
    let caller = Caller::sign_up(&server.url).await;
    // The check of the password has taken memory that is free again.
    reset_peak(&server);
    let before = peak_mib(&server);

    is_open.send_replace(false);
    let (sent, mut uploads) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    for _ in 0..UPLOADS {
        let request = caller.request(Method::POST, "/api/tasks").multipart(form(&sent));
        uploads.spawn(async move { request.send().await.unwrap() });
    }
    wait_until_stalled(&sent).await;
    let stalled = peak_mib(&server);
    is_open.send_replace(true);
    while let Some(reply) = uploads.join_next().await {
        let reply = reply.unwrap();
        let status = reply.status();
        assert_eq!(status, 201, "{}", reply.text().await.unwrap());
    }
    let after = peak_mib(&server);
    println!("peak of the process: {before} MiB before, {stalled} MiB stalled, {after} MiB after {UPLOADS} uploads");
    assert!(stalled - before <= STALLED_MIB, "{before} MiB, then {stalled} MiB");
    assert!(after - before <= GROWTH_MIB, "{before} MiB, then {after} MiB");
    assert!(server.stop().await.success());
}

/// A form with a file of [`UPLOAD_BYTES`]. Each chunk that the client sends adds its length to `sent`.
fn form(sent: &Arc<AtomicU64>) -> Form {
    let (chunk, sent) = (Bytes::from(vec![0; 64 << 10]), sent.clone());
    let chunks = std::iter::once(Bytes::from_static(MP4)).chain(std::iter::repeat_n(chunk, UPLOAD_BYTES >> 16));
    let counted = futures::stream::iter(chunks).map(move |chunk| {
        sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        Ok::<_, std::io::Error>(chunk)
    });
    Form::new().part("file", Part::stream(Body::wrap_stream(counted)).file_name("clip.mp4"))
}

/// Waits until no client has sent a byte for two seconds.
async fn wait_until_stalled(sent: &AtomicU64) {
    let (mut last, mut since) = (0, Instant::now());
    while last == 0 || since.elapsed() < Duration::from_secs(2) {
        let now = sent.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("clients sent {} MiB", last >> 20);
}

/// Sets the peak of a process to the memory that it has now (`proc_pid_clear_refs(5)`).
fn reset_peak(server: &Server) {
    std::fs::write(format!("/proc/{}/clear_refs", server.id()), "5").unwrap();
}

/// The peak memory of a process (`VmHWM` in proc(5)).
fn peak_mib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes >> 10
}

/// Starts a proxy in front of a server that forwards requests only while the watched value is true.
async fn start_proxy(server: SocketAddr) -> (SocketAddr, watch::Sender<bool>) {
    let (is_open, receiver) = watch::channel(true);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(forward(client, server, receiver.clone()));
        }
    });
    (address, is_open)
}

async fn forward(client: TcpStream, server: SocketAddr, mut is_open: watch::Receiver<bool>) -> std::io::Result<()> {
    let (mut from, mut back) = client.into_split();
    let (mut replies, mut to) = TcpStream::connect(server).await?.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut replies, &mut back).await });
    let mut bytes = vec![0; 64 << 10];
    loop {
        let open = is_open.wait_for(|is_open| *is_open).await.map(drop);
        let count = from.read(&mut bytes).await?;
        if open.is_err() || count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..count]).await?;
    }
}
