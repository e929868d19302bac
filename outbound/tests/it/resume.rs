//! Downloads that were cut and are continued.

use crate::clients::{LIMITS, body, local, request};
use crate::host::{Host, Step, text};
use outbound::{Client, Download, Error, Limits, Resume, Validator};

const FILE: &[u8] = b"0123456789";

fn validator(text: &str) -> Validator {
    Validator::parse(text).unwrap()
}

/// The request for the rest of [`FILE`] from byte 4.
async fn rest(host: &Host, limits: Limits) -> Result<Download, Error> {
    let client = local();
    let mut get = request(&client, &host.url("good.test")).unwrap();
    get.resume = Some(Resume {
        from_byte: 4,
        validator: validator("\"a\""),
    });
    client.get(&get, limits).await
}

/// A reply of status 206 with headers.
fn partial(headers: &str, body: &str) -> Vec<Step> {
    text(&format!("HTTP/1.1 206 Partial Content\n{headers}\n\n{body}"))
}

/// Downloads a file as a worker does, with a new request after each cut. Returns the file and the number of requests.
async fn download(client: &Client, url: &str) -> (Vec<u8>, usize) {
    let mut get = request(client, url).unwrap();
    let mut bytes: Vec<u8> = Vec::new();
    for number in 1..20 {
        let mut download = match client.get(&get, LIMITS).await {
            Ok(download) => download,
            Err(Error::Changed) => {
                get.resume = None;
                continue;
            }
            Err(error) => panic!("{error:?}"),
        };
        bytes.truncate(usize::try_from(download.first_byte()).unwrap());
        let validator = download.validator().cloned();
        loop {
            match download.piece().await {
                Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                Ok(None) => return (bytes, number),
                Err(Error::Cut) => break,
                Err(error) => panic!("{error:?}"),
            }
        }
        get.resume = validator.map(|validator| Resume {
            from_byte: bytes.len() as u64,
            validator,
        });
    }
    panic!("the download does not end");
}

#[tokio::test]
async fn a_download_that_is_cut_again_and_again_ends_byte_identical() {
    let host = Host::new(vec![
        text("HTTP/1.1 200 OK\nContent-Length: 10\nETag: \"a\"\n\n0123"),
        partial("Content-Range: bytes 4-9/10\nContent-Length: 6\nETag: \"a\"", "45"),
        // A range that ends before the file.
        partial("Content-Range: bytes 6-7/10\nContent-Length: 2\nETag: \"a\"", "67"),
        partial("Content-Range: bytes 8-9/10\nContent-Length: 2\nETag: \"a\"", "89"),
    ])
    .await;
    let (bytes, requests) = download(&local(), &host.url("good.test")).await;
    assert_eq!((bytes.as_slice(), requests), (FILE, 4));
    let requests = host.requests();
    assert!(!requests[0].contains("range"));
    for (request, from) in requests[1..].iter().zip([4, 6, 8]) {
        assert!(request.contains(&format!("\r\nrange: bytes={from}-\r\n")), "{request}");
        assert!(request.contains("\r\nif-range: \"a\"\r\n"), "{request}");
    }
}

#[tokio::test]
async fn a_file_that_changes_during_the_download_begins_again() {
    let whole = text("HTTP/1.1 200 OK\nContent-Length: 10\nETag: \"b\"\n\n0123456789");
    let cut = text("HTTP/1.1 200 OK\nContent-Length: 10\nETag: \"a\"\n\nabcd");
    // Hosts that observe `If-Range`, that ignore it, and whose file has become shorter than what was received.
    for answers in [
        vec![whole.clone()],
        vec![
            partial("Content-Range: bytes 4-9/10\nETag: \"b\"", "456789"),
            whole.clone(),
        ],
        vec![
            partial("Content-Range: bytes 4-9/10\nETag: W/\"a\"", "456789"),
            whole.clone(),
        ],
        vec![
            text("HTTP/1.1 416 Range Not Satisfiable\nContent-Range: bytes */3\n\n"),
            whole.clone(),
        ],
    ] {
        let host = Host::new([vec![cut.clone()], answers].concat()).await;
        assert_eq!(download(&local(), &host.url("good.test")).await.0, FILE);
    }
}

#[tokio::test]
async fn a_file_without_a_strong_validator_begins_again() {
    for header in [
        "X-A: b",
        "ETag: W/\"a\"",
        "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT",
    ] {
        let cut = format!("HTTP/1.1 200 OK\nContent-Length: 10\n{header}\n\nabcd");
        let whole = text("HTTP/1.1 200 OK\nContent-Length: 10\n\n0123456789");
        let host = Host::new(vec![text(&cut), whole]).await;
        assert_eq!(download(&local(), &host.url("good.test")).await.0, FILE);
        assert!(
            host.requests().iter().all(|request| !request.contains("range")),
            "{header}"
        );
    }
}

#[tokio::test]
async fn a_date_is_a_validator_too() {
    let dates = "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\nDate: Wed, 21 Oct 2015 07:28:05 GMT";
    let host = Host::new(vec![
        text(&format!("HTTP/1.1 200 OK\nContent-Length: 10\n{dates}\n\n0123")),
        partial(&format!("Content-Range: bytes 4-9/10\n{dates}"), "456789"),
    ])
    .await;
    assert_eq!(download(&local(), &host.url("good.test")).await.0, FILE);
    assert!(host.requests()[1].contains("if-range: wed, 21 oct 2015 07:28:00 gmt"));
}

#[tokio::test]
async fn another_range_than_the_rest_is_refused() {
    for headers in [
        "Content-Range: bytes 0-9/10\nContent-Length: 10",
        "Content-Range: bytes 5-9/10\nContent-Length: 5",
        "Content-Range: bytes 3-9/10\nContent-Length: 7",
        "Content-Range: bytes 4-9/10\nContent-Length: 7",
        "Content-Range: bytes 4-9/9\nContent-Length: 6",
        "Content-Range: bytes 4-3/10\nContent-Length: 0",
        "Content-Range: bytes */10",
        "Content-Range: lines 4-9/10",
        "Content-Type: multipart/byteranges; boundary=a",
        "Content-Length: 6",
    ] {
        let host = Host::new(vec![partial(headers, "456789")]).await;
        assert!(matches!(rest(&host, LIMITS).await, Err(Error::Range)), "{headers}");
    }
    let longer = partial("Content-Range: bytes 4-9/10", "456789abc");
    let host = Host::new(vec![longer]).await;
    assert!(matches!(
        body(rest(&host, LIMITS).await.unwrap()).await,
        Err(Error::Range)
    ));
}

#[tokio::test]
async fn the_size_limit_counts_the_whole_file() {
    let limits = |max_bytes| Limits { max_bytes, ..LIMITS };
    let rest_of = |headers: &str| vec![partial(headers, "456789")];
    let host = Host::new(rest_of("Content-Range: bytes 4-9/10\nContent-Length: 6")).await;
    assert!(matches!(
        rest(&host, limits(9)).await,
        Err(Error::TooLarge { max_bytes: 9 })
    ));
    assert_eq!(body(rest(&host, limits(10)).await.unwrap()).await.unwrap(), b"456789");
}

#[tokio::test]
async fn a_rest_of_a_file_of_unknown_size_is_asked_for_as_a_whole() {
    let host = Host::new(vec![partial("Content-Range: bytes 4-9/*", "456789")]).await;
    assert!(matches!(rest(&host, LIMITS).await, Err(Error::Changed)));
}

#[tokio::test]
async fn a_rest_that_ends_before_the_file_is_cut() {
    let host = Host::new(vec![partial("Content-Range: bytes 4-6/10\nContent-Length: 3", "456")]).await;
    assert!(matches!(
        body(rest(&host, LIMITS).await.unwrap()).await,
        Err(Error::Cut)
    ));
}

#[tokio::test]
async fn an_encoded_rest_is_refused() {
    let host = Host::new(vec![partial(
        "Content-Range: bytes 4-9/10\nContent-Encoding: gzip",
        "456789",
    )])
    .await;
    assert!(matches!(rest(&host, LIMITS).await, Err(Error::Encoding)));
}
