//! POST of a body.

use crate::clients::{LIMITS, client, local};
use crate::host::{Host, Step, hang, redirect, send, text};
use crate::names::Names;
use bytes::Bytes;
use outbound::{Client, Error, Headers, Limits, Phase, Post, Reply, Target};
use std::time::{Duration, Instant};

async fn post(client: &Client, url: &str, limits: Limits) -> Result<Reply, Error> {
    let post = Post {
        target: Target::parse(client.policy(), url)?,
        headers: Headers::parse([("webhook-id", "msg_1")])?,
        body: Bytes::from_static(b"{\"a\":1}"),
    };
    client.post(post, limits).await
}

#[tokio::test]
async fn a_body_is_sent_as_it_is_and_every_status_is_a_reply() {
    for status in [200, 204, 301, 302, 307, 308, 400, 410, 429, 500] {
        let body = if status == 204 { "" } else { "ok" };
        let length = body.len();
        let reply = format!("HTTP/1.1 {status} X\nRetry-After: 9\nLocation: /a\nContent-Length: {length}\n\n{body}");
        let host = Host::new(vec![text(&reply)]).await;
        let reply = post(&local(), &host.url("good.test"), LIMITS).await.unwrap();
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(reply.retry_after, Some(Duration::from_secs(9)));
        assert_eq!(host.connections(), 1, "a redirect is not followed");
        let request = host.requests().remove(0);
        assert!(request.starts_with("post /file.mp4 http/1.1\r\n"));
        assert!(request.contains("content-type: application/json\r\n") && request.contains("webhook-id: msg_1\r\n"));
        assert!(request.ends_with("\r\n\r\n{\"a\":1}"));
    }
}

#[tokio::test]
async fn the_status_counts_although_the_body_never_ends() {
    let head = send("HTTP/1.1 200 OK\n\n");
    for reply in [
        vec![head.clone(), Step::Repeat(b"abc".into(), Duration::ZERO)],
        vec![head.clone(), Step::Repeat(b"a".into(), Duration::from_millis(100))],
        vec![head.clone(), send("abc"), hang()],
        text("HTTP/1.1 200 OK\nContent-Length: 9\n\nabc"),
    ] {
        let (host, begun) = (Host::new(vec![reply]).await, Instant::now());
        let reply = post(&local(), &host.url("good.test"), LIMITS).await.unwrap();
        assert_eq!(reply.status.as_u16(), 200);
        assert!(begun.elapsed() < LIMITS.stall, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_post_reaches_no_private_address_and_waits_for_no_silent_host() {
    let host = Host::new(vec![vec![hang()]]).await;
    let strict = client("", Names::default().with("good.test", &["127.0.0.1"]));
    for name in ["good.test", "127.1", "[::ffff:127.0.0.1]", "2130706433"] {
        assert!(
            matches!(post(&strict, &host.url(name), LIMITS).await, Err(Error::Address { .. })),
            "{name}"
        );
    }
    assert_eq!(host.connections(), 0);
    let limits = Limits {
        first_byte: Duration::from_millis(300),
        ..LIMITS
    };
    let result = post(&local(), &host.url("good.test"), limits).await;
    assert!(matches!(result, Err(Error::Timeout(Phase::FirstByte))));
    let host = Host::new(vec![redirect("http://127.0.0.1/")]).await;
    assert!(
        post(&local(), &host.url("good.test"), LIMITS)
            .await
            .unwrap()
            .status
            .is_redirection()
    );
}
