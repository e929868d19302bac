//! Hundreds of connections at once, to a backend and to the metrics of a worker. Those that never send a complete
//! request are closed when the time for a first request is over. Requests of other clients are answered until then.

use std::time::{Duration, Instant};
use tests::server::Server;
use tests::{SECRET, TestApp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections of each kind to each process.
const EACH: usize = 100;
/// The documented time for the first request of a connection.
const LIMIT: Duration = Duration::from_secs(15);
/// Time after the limit in which the connection must be closed.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

const BEGINNINGS: [&str; 4] = [
    "",
    "GET /livez HT",
    "GET /livez HTTP/1.1\r\nhost: a\r\n",
    "PRI * HTTP/2.0\r\n\r\nS",
];

/// Connects, sends the beginning of a request, and returns the time until the server closes the connection and the
/// bytes that it sent.
async fn time_open(address: String, beginning: &str) -> (Duration, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let connected = Instant::now();
    stream.write_all(beginning.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let read = timeout(2 * LIMIT, stream.read_to_end(&mut received));
    // A reset is a close, too.
    let closed = read.await;
    assert!(
        closed.is_ok(),
        "{beginning:?}: the server does not close the connection, after {received:?}"
    );
    (connected.elapsed(), received)
}

fn start(app: &TestApp) -> [Server; 2] {
    let mut environment = app.environment.clone();
    environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
    ["backend", "worker"].map(|role| {
        let home = app.directory.path().join(role);
        std::fs::create_dir(&home).unwrap();
        Server::start_in(role, &home, &environment)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_connections_without_a_request_are_closed_in_time_and_others_are_answered() {
    let app = TestApp::idle().await;
    let mut processes = start(&app);
    let mut silent = JoinSet::new();
    for process in &mut processes {
        process.ready().await;
        let address = process.url.strip_prefix("http://").unwrap();
        for beginning in BEGINNINGS {
            for _ in 0..EACH {
                let address = address.to_owned();
                silent.spawn(async move { (beginning, time_open(address, beginning).await) });
            }
        }
    }
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        for process in &processes {
            let answer = timeout(CLOSED_WITHIN, reqwest::get(format!("{}/livez", process.url)));
            assert_eq!(answer.await.expect("no answer").unwrap().status(), 200);
        }
        sleep(Duration::from_millis(500)).await;
    }
    let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
    for (beginning, (open, received)) in silent.join_all().await {
        assert!(!received.starts_with(b"HTTP"), "{beginning:?}: {received:?}");
        assert!(open < LIMIT + CLOSED_WITHIN, "{beginning:?}: open for {open:?}");
        (shortest, longest) = (shortest.min(open), longest.max(open));
    }
    println!("closed after {shortest:?} to {longest:?}");
    for process in processes {
        assert!(process.stop().await.success());
    }
}

/// Connections that wait while a process does not accept any.
const WAITING: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_connections_wait_for_a_busy_process_and_their_requests_are_answered() {
    let app = TestApp::idle().await;
    for mut process in start(&app) {
        process.ready().await;
        process.signal("-STOP");
        let address = process.url.strip_prefix("http://").unwrap();
        let mut waiting = Vec::new();
        for number in 0..WAITING {
            // The kernel drops a connection beyond the backlog.
            let connected = timeout(CLOSED_WITHIN, TcpStream::connect(address)).await;
            let mut stream = connected
                .unwrap_or_else(|_| panic!("{number} connections fit"))
                .unwrap();
            let request = b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await.unwrap();
            waiting.push(stream);
        }
        process.signal("-CONT");
        for mut stream in waiting {
            let mut reply = String::new();
            let read = timeout(LIMIT, stream.read_to_string(&mut reply)).await;
            read.expect("no reply").unwrap();
            assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        }
    }
}
