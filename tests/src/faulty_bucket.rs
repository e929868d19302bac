//! [`FaultyBucket`]: an S3 server of a customer that does not keep what it gets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The treatment of an object that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The object is kept.
    None,
    /// The object loses its last byte.
    Truncate,
    /// The object has another first byte.
    Corrupt,
    /// The object is kept by name alone: it is not there.
    Forget,
    /// The object is kept, but the reply never comes.
    Hang,
    /// A status, and no object.
    Status(u16),
    /// A redirect to this address, and no object.
    Redirect(&'static str),
}

/// The objects by path, such as `/bucket/key`, and the faults that are left.
#[derive(Default)]
struct Shared {
    objects: BTreeMap<String, Vec<u8>>,
    faults: Vec<Fault>,
    writes: usize,
}

/// A server on an address of loopback. It checks no signature, and ends when it is dropped.
pub struct FaultyBucket {
    /// The endpoint.
    pub url: String,
    shared: Arc<Mutex<Shared>>,
    accepting: JoinHandle<()>,
}

impl Drop for FaultyBucket {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl FaultyBucket {
    /// Treats each write by the fault with its number, and further ones well.
    pub async fn start(faults: &[Fault]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared {
            faults: faults.to_vec(),
            ..Shared::default()
        }));
        let of_server = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&of_server);
                // An error of the stream is the end of a client.
                tokio::spawn(async move { answer(stream, &shared).await.ok() });
            }
        });
        Self { url, shared, accepting }
    }

    /// The objects by path.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.shared.lock().unwrap().objects.clone()
    }

    /// The number of requests that have written, also in vain.
    pub fn writes(&self) -> usize {
        self.shared.lock().unwrap().writes
    }
}

async fn answer(mut stream: TcpStream, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let head_end = loop {
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&request[..head_end]).to_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length: usize = field("content-length:").map_or(0, |length| length.parse().unwrap());
    assert!(
        field("authorization:")
            .unwrap_or_default()
            .starts_with("aws4-hmac-sha256")
    );
    while request.len() < head_end + length {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let (method, path) = head.split_once(' ').unwrap();
    let path = path.split([' ', '?']).next().unwrap().to_owned();
    if method == "put" {
        let (status, headers) = match write(shared, path, request.split_off(head_end)) {
            Fault::Hang => {
                sleep(Duration::from_secs(600)).await;
                return Ok(());
            }
            Fault::Status(status) => (status, "ETag: \"any\"".to_owned()),
            Fault::Redirect(url) => (307, format!("Location: {url}")),
            _ => (200, "ETag: \"any\"".to_owned()),
        };
        return reply(&mut stream, status, &headers, 0, b"").await;
    }
    let Some(object) = shared.lock().unwrap().objects.get(&path).cloned() else {
        return reply(&mut stream, 404, "Content-Type: application/xml", 0, b"").await;
    };
    let common = "ETag: \"any\"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT";
    let range = field("range: bytes=").and_then(|range| range.split_once('-'));
    match (method, range) {
        ("head", _) => reply(&mut stream, 200, common, object.len(), b"").await,
        (_, Some((first, last))) => {
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            let part = &object[first..(last + 1).min(object.len())];
            let range = format!("{common}\r\nContent-Range: bytes {first}-{last}/{}", object.len());
            reply(&mut stream, 206, &range, part.len(), part).await
        }
        _ => reply(&mut stream, 200, common, object.len(), &object).await,
    }
}

/// Writes an object as the next fault says, and returns the fault.
fn write(shared: &Mutex<Shared>, path: String, mut object: Vec<u8>) -> Fault {
    let mut shared = shared.lock().unwrap();
    let fault = shared.faults.get(shared.writes).copied().unwrap_or(Fault::None);
    shared.writes += 1;
    match fault {
        Fault::None | Fault::Hang => {}
        Fault::Truncate => drop(object.pop()),
        Fault::Corrupt => object[0] ^= 1,
        Fault::Forget | Fault::Status(_) | Fault::Redirect(_) => return fault,
    }
    shared.objects.insert(path, object);
    fault
}

async fn reply(stream: &mut TcpStream, status: u16, headers: &str, length: usize, body: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status} Any\r\n{headers}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}
