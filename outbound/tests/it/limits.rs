//! Limits of time and size against slow and endless hosts.

use crate::clients::{LIMITS, fetch};
use crate::host::{Host, Step, hang, send, text};
use crate::names::Names;
use outbound::{Client, Error, Limits, Phase};
use std::sync::Arc;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(300);
const FAST: Duration = Duration::from_millis(1);

/// The phase whose limit ends a download.
async fn phase(reply: Vec<Step>, limits: Limits) -> Phase {
    match fetch(&Host::new(vec![reply]).await, limits).await {
        Err(Error::Timeout(phase)) => phase,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_left() {
    let limits = Limits {
        first_byte: SHORT,
        ..LIMITS
    };
    assert_eq!(phase(vec![hang()], limits).await, Phase::FirstByte);
    assert_eq!(
        phase(vec![send("HTTP/1.1 200 OK\nContent-"), hang()], limits).await,
        Phase::FirstByte
    );
    let drip = vec![send("HTTP/1.1 200 OK\nX: "), Step::Repeat(b"x".into(), FAST)];
    assert_eq!(phase(drip, limits).await, Phase::FirstByte);
    let informational = Step::Repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n".into(), FAST);
    assert_eq!(phase(vec![informational], limits).await, Phase::FirstByte);
}

#[tokio::test]
async fn a_host_that_stops_sending_is_left() {
    let limits = Limits { stall: SHORT, ..LIMITS };
    let reply = vec![send("HTTP/1.1 200 OK\nContent-Length: 10\n\nhello"), hang()];
    assert_eq!(phase(reply, limits).await, Phase::Stall);
}

#[tokio::test]
async fn a_host_that_never_ends_is_left() {
    let limits = Limits { whole: SHORT, ..LIMITS };
    let head = send("HTTP/1.1 200 OK\nContent-Length: 1000000\n\n");
    assert_eq!(
        phase(vec![head.clone(), Step::Repeat(b"x".into(), FAST)], limits).await,
        Phase::Whole
    );
    assert_eq!(phase(vec![hang()], limits).await, Phase::Whole);
    let slow_redirects = vec![
        Step::Pause(SHORT / 2),
        send("HTTP/1.1 302 Found\nLocation: /a\nConnection: close\n\n"),
    ];
    assert_eq!(phase(slow_redirects, limits).await, Phase::Whole);
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_end_is_left() {
    let host = Host::new(vec![vec![hang()]]).await;
    let names = Arc::new(Names::default().with("good.test", &["127.0.0.1"]));
    let client = Client::with_resolver("good.test".parse().unwrap(), names, SHORT).unwrap();
    let url = host.url("good.test").replace("http:", "https:");
    let result = crate::clients::get(&client, &url).await;
    assert!(matches!(result, Err(Error::Timeout(Phase::Connect))));
}

#[tokio::test]
async fn a_large_file_is_refused_by_its_declared_size_or_while_it_arrives() {
    let limits = Limits {
        max_bytes: 100_000,
        ..LIMITS
    };
    let block = vec![b'x'; 10_000];
    for reply in [
        text("HTTP/1.1 200 OK\nContent-Length: 100001\n\n"),
        text("HTTP/1.1 200 OK\nContent-Length: 9223372036854775807\n\n"),
        vec![send("HTTP/1.1 200 OK\n\n"), Step::Repeat(block.clone(), Duration::ZERO)],
        vec![
            send("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"),
            Step::Repeat(b"4\r\nabcd\r\n".into(), Duration::ZERO),
        ],
    ] {
        let result = fetch(&Host::new(vec![reply]).await, limits).await;
        assert!(
            matches!(result, Err(Error::TooLarge { max_bytes: 100_000 })),
            "{result:?}"
        );
    }
    let fits = vec![
        send("HTTP/1.1 200 OK\nContent-Length: 100000\n\n"),
        Step::Repeat(block, Duration::ZERO),
    ];
    assert_eq!(
        fetch(&Host::new(vec![fits]).await, limits).await.unwrap().len(),
        100_000
    );
}

#[tokio::test]
async fn headers_without_an_end_are_refused() {
    let line = b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    let long = format!("HTTP/1.1 200 OK\nX-A: {}\nContent-Length: 0\n\n", "a".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\n{}Content-Length: 0\n\n", "X-A: a\n".repeat(200));
    for reply in [
        vec![send("HTTP/1.1 200 OK\n"), Step::Repeat(line.into(), Duration::ZERO)],
        vec![
            send("HTTP/1.1 200 OK\nX-A: "),
            Step::Repeat(vec![b'a'; 1000], Duration::ZERO),
        ],
        vec![Step::Repeat(vec![b'a'; 1000], Duration::ZERO)],
        text(&long),
        text(&many),
    ] {
        let result = fetch(&Host::new(vec![reply]).await, LIMITS).await;
        assert!(matches!(result, Err(Error::Headers | Error::Protocol)), "{result:?}");
    }
    // Trailers and chunk extensions are headers too.
    for end in ["0\nX-A: ", "5;a="] {
        let head = send(&format!("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n{end}"));
        let reply = vec![head, Step::Repeat(vec![b'a'; 1000], Duration::ZERO)];
        assert!(
            matches!(fetch(&Host::new(vec![reply]).await, LIMITS).await, Err(Error::Cut)),
            "{end}"
        );
    }
}
