//! Resumable uploads across processes: takeover from a dead and from a frozen process, and hundreds of cuts.

use crate::nginx::Nginx;
use crate::tus::{source_of, video};
use reqwest::Body;
use std::time::{Duration, Instant};
use tests::random::Random;
use tests::server::Server;
use tests::{Caller, SECRET, TestApp, Tus};

/// An address, and the backend process that listens there.
struct Backend<'a> {
    app: &'a TestApp,
    address: String,
    process: Server,
}

impl<'a> Backend<'a> {
    async fn start(app: &'a TestApp) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let mut process = Self::process(app, &address);
        process.ready().await;
        Self { app, address, process }
    }

    fn process(app: &TestApp, address: &str) -> Server {
        let mut environment = app.environment.clone();
        let data = app.directory.path().join(address).display().to_string();
        environment.extend([
            ("RUSHES_LISTEN", address.to_owned()),
            ("RUSHES_DATA_DIR", data),
            ("RUSHES_JWT_SECRET", SECRET.to_owned()),
        ]);
        Server::start_in("backend", app.directory.path(), &environment)
    }

    /// Kills the process and starts another one at the same address.
    async fn kill(&mut self) {
        self.process.signal("-KILL");
        self.process.ended().await;
        self.process = Self::process(self.app, &self.address);
        self.process.ready().await;
    }

    /// The same account at this process.
    fn tus(&self, tus: &Tus) -> Tus {
        let mut caller = tus.caller.clone();
        caller.url = format!("http://{}", self.address);
        Tus::of(caller)
    }
}

/// A body of these bytes that never ends.
pub(crate) fn endless(bytes: &[u8]) -> Body {
    let chunks: Vec<_> = bytes
        .chunks(64 << 10)
        .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
        .collect();
    let chunks = futures::StreamExt::chain(futures::stream::iter(chunks), futures::stream::pending());
    Body::wrap_stream(chunks)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_continues_after_one_that_sends_was_killed_and_one_that_was_frozen() {
    let app = TestApp::idle().await;
    let mut backend = Backend::start(&app).await;
    let here = Tus::of(app.caller().await);
    let there = backend.tus(&here);
    let bytes = video(&app, 20_000_000);
    let path = here.create("clip.mp4", bytes.len()).await;
    assert_eq!(here.send(&path, 0, bytes[..6 << 20].to_vec()).await.status, 204);

    // The other process holds the upload, and is asked across the database.
    let offset = here.offset(&path).await;
    let sending = tokio::spawn(
        there
            .patch(&path, offset, Vec::new())
            .body(endless(&bytes[offset..8 << 20]))
            .send(),
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    let offset = here.offset(&path).await;
    assert!((6 << 20..=8 << 20).contains(&offset), "{offset}");
    println!("the holder released the upload after {:?}", begun.elapsed());
    let refused = sending.await.unwrap().unwrap();
    assert_eq!(refused.status(), 409);

    // It is killed. Bytes that it has acknowledged are there.
    assert_eq!(
        there.send(&path, offset, bytes[offset..9 << 20].to_vec()).await.status,
        204
    );
    let sending = tokio::spawn(
        there
            .patch(&path, 9 << 20, Vec::new())
            .body(endless(&bytes[9 << 20..12 << 20]))
            .send(),
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    backend.kill().await;
    let _ = sending.await;
    assert!(here.offset(&path).await >= 9 << 20);

    // It is frozen with other bytes, and wakes up when the upload was continued here.
    let offset = here.offset(&path).await;
    let wrong = vec![7; 3 << 20];
    let sending = tokio::spawn(there.patch(&path, offset, Vec::new()).body(endless(&wrong)).send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    backend.process.signal("-STOP");
    let offset = here.offset(&path).await;
    let half = offset + (bytes.len() - offset) / 2;
    assert_eq!(here.send(&path, offset, bytes[offset..half].to_vec()).await.status, 204);
    backend.process.signal("-CONT");
    assert_eq!(sending.await.unwrap().unwrap().status(), 409);
    assert_eq!(here.send(&path, half, bytes[half..].to_vec()).await.status, 204);
    let task = there.task(&path).await;
    assert_eq!(task.status, 201, "{task:?}");
    assert!(source_of(&app, task.body["task_id"].as_i64().unwrap()).await == bytes);
}

/// The way in which a request is cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Connection,
    Kill,
    Proxy,
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_cuts_at_two_processes_behind_nginx_end_byte_identical() {
    let seed = std::env::var("TEST_CAMPAIGN_SEED").map_or(11, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let app = TestApp::idle().await;
    let mut backends = [Backend::start(&app).await, Backend::start(&app).await];
    let upstreams: Vec<_> = backends
        .iter()
        .map(|backend| format!("http://{}", backend.address))
        .collect();
    let mut nginx = Nginx::in_front_of_all(&[&upstreams[0], &upstreams[1]], app.directory.path());
    nginx.ready().await;
    let caller: Caller = app.caller().await;
    let bytes = video(&app, 9_000_000);
    let (mut cuts, mut files, mut path, mut known) = (0, 0, String::new(), 0);
    while cuts < 200 || !path.is_empty() {
        // A client of its own, because the connections of the one before may be broken.
        let mut tus = Tus::of(Caller::anonymous(&nginx.url));
        tus.caller.token.clone_from(&caller.token);
        if path.is_empty() {
            path = tus.create("clip.mp4", bytes.len()).await;
            known = 0;
        }
        let offset = tus.offset(&path).await;
        assert!(offset >= known, "the offset went back from {known} to {offset}");
        known = offset;
        if offset == bytes.len() {
            let task = tus.task(&path).await;
            assert_eq!(task.status, 201, "{task:?}");
            assert!(source_of(&app, task.body["task_id"].as_i64().unwrap()).await == bytes);
            (files, path) = (files + 1, String::new());
            continue;
        }
        let end = bytes.len().min(offset + 1 + random.below(1_500_000));
        if end == bytes.len() {
            let reply = tus.send(&path, offset, bytes[offset..].to_vec()).await;
            // A request that was cut may reach the service after HEAD and add its bytes. Then clients ask again.
            let is_late = ["upload_offset_wrong", "upload_interrupted"].contains(&reply.code());
            assert!(reply.status == 204 || is_late, "{reply:?}");
            continue;
        }
        let cut = match cuts % 20 {
            7 => Cut::Kill,
            13 => Cut::Proxy,
            _ => Cut::Connection,
        };
        let sending = tokio::spawn(
            tus.patch(&path, offset, Vec::new())
                .body(endless(&bytes[offset..end]))
                .send(),
        );
        tokio::time::sleep(Duration::from_millis(random.next() % 60)).await;
        match cut {
            Cut::Connection => {}
            Cut::Kill => backends[random.below(2)].kill().await,
            Cut::Proxy => nginx.restart().await,
        }
        sending.abort();
        let _ = sending.await;
        cuts += 1;
    }
    println!("{cuts} cuts, {files} files");
    assert!(files > 1, "{files}");
}
