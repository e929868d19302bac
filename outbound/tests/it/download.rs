//! Downloads of whole files, and hosts that send something else.

use crate::clients::{LIMITS, body, client, fetch, get, local};
use crate::host::{Host, Step, send, text};
use crate::names::Names;
use outbound::Error;

#[tokio::test]
async fn a_file_arrives_with_its_size_or_without() {
    for (reply, total) in [
        ("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", Some(5)),
        (
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhe\n3\nllo\n0\n\n",
            None,
        ),
        ("HTTP/1.1 200 OK\nContent-Encoding: identity\n\nhello", None),
    ] {
        let host = Host::new(vec![text(reply)]).await;
        let download = get(&local(), &host.url("good.test")).await.unwrap();
        assert_eq!((download.first_byte(), download.total_bytes()), (0, total));
        assert_eq!(body(download).await.unwrap(), b"hello");
        let request = host.requests().remove(0);
        assert!(request.contains("accept-encoding: identity\r\n") && request.contains("user-agent: rushes/"));
        assert!(!request.contains("range"));
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_cut() {
    for reply in [
        "HTTP/1.1 200 OK\nContent-Length: 6\n\nhello",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhel",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\nzz\n",
        "HTTP/1.1 200 OK\nContent-Length: 99",
        "HTTP/1.1 200",
        "",
    ] {
        let host = Host::new(vec![text(reply)]).await;
        assert!(matches!(fetch(&host, LIMITS).await, Err(Error::Cut)), "{reply}");
    }
}

#[tokio::test]
async fn bytes_behind_the_declared_length_are_no_part_of_the_file() {
    let host = Host::new(vec![text("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello and more")]).await;
    assert_eq!(fetch(&host, LIMITS).await.unwrap(), b"hello");
}

#[tokio::test]
async fn a_file_with_a_content_coding_is_refused() {
    for coding in [
        "gzip",
        "GZIP",
        "br",
        "zstd",
        "deflate",
        "x-gzip",
        "identity, gzip",
        "unknown",
    ] {
        // Without a check, 1 KiB of gzip may become 1 MiB.
        let head = format!("HTTP/1.1 200 OK\nContent-Encoding: {coding}\nContent-Length: 3\n\n\u{1f}\u{8b}");
        let host = Host::new(vec![text(&head)]).await;
        assert!(matches!(fetch(&host, LIMITS).await, Err(Error::Encoding)), "{coding}");
    }
}

#[tokio::test]
async fn a_reply_that_is_no_http_is_an_error() {
    for reply in [
        "SSH-2.0-OpenSSH_9.6\n",
        "220 mail.test ESMTP\n",
        "HTTP/1.1 abc OK\n\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6\n\nhello",
        "HTTP/1.1 200 OK\nContent-Length: -1\n\n",
        "HTTP/1.1 200 OK\nbad header: x\n\n",
    ] {
        let host = Host::new(vec![text(reply)]).await;
        assert!(matches!(fetch(&host, LIMITS).await, Err(Error::Protocol)), "{reply}");
    }
    let host = Host::new(vec![vec![Step::Send(vec![0; 64])]]).await;
    assert!(matches!(fetch(&host, LIMITS).await, Err(Error::Protocol)));
}

#[tokio::test]
async fn a_name_without_addresses_and_a_closed_port_are_told_apart() {
    let host = Host::new(vec![vec![send("")]]).await;
    let (url, closed) = (host.url("none.test"), host.url("good.test"));
    drop(host);
    let client = client(
        "good.test",
        Names::default()
            .with("empty.test", &[""])
            .with("good.test", &["127.0.0.1"]),
    );
    for url in [url.clone(), url.replace("none", "empty")] {
        assert!(matches!(get(&client, &url).await, Err(Error::Lookup)), "{url}");
    }
    assert!(matches!(get(&client, &closed).await, Err(Error::Connect)));
}
