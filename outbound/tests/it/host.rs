//! A host that answers requests with scripted bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;

/// A part of a reply.
#[derive(Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    /// Sends the same bytes again and again, with a pause in between, until the client has gone.
    Repeat(Vec<u8>, Duration),
    /// Waits for the next request on the same connection.
    KeepAlive,
}

/// A text as a reply, after which the connection is closed.
pub(crate) fn text(text: &str) -> Vec<Step> {
    vec![send(text)]
}

pub(crate) fn send(text: &str) -> Step {
    Step::Send(text.replace('\n', "\r\n").into_bytes())
}

/// Waits until the client has given up.
pub(crate) fn hang() -> Step {
    Step::Pause(Duration::from_secs(600))
}

/// A reply without a body.
pub(crate) fn empty() -> Vec<Step> {
    text("HTTP/1.1 200 OK\nContent-Length: 0\nConnection: close\n\n")
}

pub(crate) fn redirect(location: &str) -> Vec<Step> {
    let head = [
        b"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: ",
        location.as_bytes(),
        b"\r\n\r\n",
    ];
    vec![Step::Send(head.concat())]
}

/// A listener. It closes with the last clone.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Host {
    /// A host on a free port of loopback. The request with number `n` gets reply `n`, and each further one the last.
    pub(crate) async fn new(replies: Vec<Vec<Step>>) -> Self {
        Self::at("127.0.0.1:0", replies).await
    }

    pub(crate) async fn at(address: &str, replies: Vec<Vec<Step>>) -> Self {
        Self::on(TcpListener::bind(address).await.unwrap(), replies)
    }

    /// A host whose port is known before its replies.
    pub(crate) fn on(listener: TcpListener, replies: Vec<Vec<Step>>) -> Self {
        let (requests, connections) = (Arc::default(), Arc::new(Mutex::new(0)));
        let address = listener.local_addr().unwrap();
        let (shared, counter): (Arc<Mutex<Vec<String>>>, _) = (Arc::clone(&requests), Arc::clone(&connections));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *counter.lock().unwrap() += 1;
                tokio::spawn(answer(stream, replies.clone(), Arc::clone(&shared)));
            }
        });
        Self {
            address,
            requests,
            connections,
            accepting,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// A URL of the host by a name.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{name}:{}/file.mp4", self.port())
    }

    /// All requests so far, with their bodies, in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The number of connections so far. Connections are accepted in the order in which they were made.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn answer(mut stream: TcpStream, replies: Vec<Vec<Step>>, requests: Arc<Mutex<Vec<String>>>) {
    loop {
        let Some(request) = read_request(&mut stream).await else {
            return;
        };
        let number = {
            let mut requests = requests.lock().unwrap();
            requests.push(request);
            requests.len() - 1
        };
        let reply = replies.get(number).or(replies.last()).unwrap();
        if !play(&mut stream, reply).await {
            // Unread bytes would make the kernel reset the connection and drop what was sent.
            let _ = stream.shutdown().await;
            return;
        }
    }
}

/// Returns true if another request may follow.
async fn play(stream: &mut TcpStream, reply: &[Step]) -> bool {
    for step in reply {
        match step {
            Step::Send(bytes) => {
                if stream.write_all(bytes).await.is_err() {
                    return false;
                }
            }
            Step::Pause(pause) => sleep(*pause).await,
            Step::Repeat(bytes, pause) => {
                while stream.write_all(bytes).await.is_ok() {
                    if !pause.is_zero() {
                        sleep(*pause).await;
                    }
                }
            }
            Step::KeepAlive => return true,
        }
    }
    false
}

/// A request with its body, in lower case. `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        if buffer[0] == TLS_HANDSHAKE {
            return Some(String::new());
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..count]).to_lowercase());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return Some(text);
        }
    }
}
