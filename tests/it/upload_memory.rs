//! Peak memory of an API process while many clients upload and the bucket accepts no data.

use bytes::Bytes;
use futures::StreamExt;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, RequestBuilder};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{Bucket, Caller, MP4, SECRET, TestApp, Tus};
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

/// A backend whose bucket is behind a proxy that can be closed.
struct SlowBucket {
    server: Server,
    caller: Caller,
    is_open: watch::Sender<bool>,
    /// Bytes that the clients have sent.
    sent: Arc<AtomicU64>,
    /// Its database is removed when it is dropped.
    _app: TestApp,
}

impl SlowBucket {
    async fn start() -> Self {
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
        Self {
            server,
            caller,
            is_open,
            sent: Arc::default(),
            _app: app,
        }
    }

    /// Sends all requests, and measures the memory of the backend while the bucket accepts no data and at the end.
    async fn measure(self, requests: Vec<RequestBuilder>, expected: u16) {
        let Self { server, is_open, .. } = &self;
        // The check of the password has taken memory that is free again.
        reset_peak(server);
        let before = peak_mib(server);
        is_open.send_replace(false);
        let mut uploads = JoinSet::new();
        for request in requests {
            uploads.spawn(async move { request.send().await.unwrap() });
        }
        wait_until_stalled(&self.sent).await;
        let stalled = peak_mib(server);
        is_open.send_replace(true);
        while let Some(reply) = uploads.join_next().await {
            let reply = reply.unwrap();
            let status = reply.status();
            assert_eq!(status, expected, "{}", reply.text().await.unwrap());
        }
        let after = peak_mib(server);
        println!(
            "peak of the process: {before} MiB before, {stalled} MiB stalled, {after} MiB after {UPLOADS} uploads"
        );
        assert!(stalled - before <= STALLED_MIB, "{before} MiB, then {stalled} MiB");
        assert!(after - before <= GROWTH_MIB, "{before} MiB, then {after} MiB");
        assert!(self.server.stop().await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_uploads_to_a_slow_bucket_take_a_bounded_amount_of_memory() {
    let slow = SlowBucket::start().await;
    let request = |_| {
        let part = Part::stream(body(&slow.sent)).file_name("clip.mp4");
        let form = Form::new().part("file", part);
        slow.caller.request(Method::POST, "/api/tasks").multipart(form)
    };
    let requests = (0..UPLOADS).map(request).collect();
    slow.measure(requests, 201).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_resumable_uploads_to_a_slow_bucket_take_a_bounded_amount_of_memory() {
    let slow = SlowBucket::start().await;
    let tus = Tus::of(slow.caller.clone());
    let mut requests = Vec::new();
    for _ in 0..UPLOADS {
        let path = tus.create("clip.mp4", MP4.len() + UPLOAD_BYTES).await;
        requests.push(tus.patch(&path, 0, Vec::new()).body(body(&slow.sent)));
    }
    slow.measure(requests, 204).await;
}

/// A file of [`UPLOAD_BYTES`] behind the beginning of a video. Each chunk that the client sends adds its length to
/// `sent`.
fn body(sent: &Arc<AtomicU64>) -> Body {
    let (chunk, sent) = (Bytes::from(vec![0; 64 << 10]), sent.clone());
    let chunks = std::iter::once(Bytes::from_static(MP4)).chain(std::iter::repeat_n(chunk, UPLOAD_BYTES >> 16));
    let counted = futures::stream::iter(chunks).map(move |chunk| {
        sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        Ok::<_, std::io::Error>(chunk)
    });
    Body::wrap_stream(counted)
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
