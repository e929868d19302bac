//! [`Receiver`]: an HTTP server that receives webhooks and questions, and gives the answers that a test chooses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Time within which a test expects a message, for a machine under load.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A request that was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// The path.
    pub path: String,
    /// The headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as it was sent.
    pub body: String,
}

impl Received {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The id of the message.
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

type Answer = dyn Fn(&Received) -> String + Send + Sync;

/// A server on loopback. It ends when it is dropped.
pub struct Receiver {
    /// The URL of the server without a path.
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
    accepting: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Receiver {
    /// Answers each request with 204.
    pub async fn start() -> Self {
        Self::answering(|_| "204 No Content".to_owned()).await
    }

    /// Answers with the status, and possibly headers in further lines and a body after an empty one, that a function
    /// returns.
    pub async fn answering(answer: impl Fn(&Received) -> String + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", answer).await
    }

    /// The same at an address.
    pub async fn at(address: &str, answer: impl Fn(&Received) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (received, answer): (_, Arc<Answer>) = (Arc::<Mutex<Vec<Received>>>::default(), Arc::new(answer));
        let shared = Arc::clone(&received);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (received, answer) = (Arc::clone(&shared), Arc::clone(&answer));
                // An error of the stream is the end of a client.
                connections.spawn(async move { serve(stream, &received, &*answer).await.ok() });
            }
        });
        Self {
            url,
            received,
            accepting,
        }
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits for at least `count` requests.
    ///
    /// # Panics
    /// After a minute.
    pub async fn until(&self, count: usize) -> Vec<Received> {
        let begun = Instant::now();
        loop {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            assert!(begun.elapsed() < TIMEOUT, "{count} requests expected: {received:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn serve(stream: TcpStream, received: &Mutex<Vec<Received>>, answer: &Answer) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let length = headers
            .get("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let request = Received { path, headers, body };
        let answer = answer(&request);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        received.lock().unwrap().push(request);
        let reply = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.get_mut().write_all(reply.as_bytes()).await?;
    }
}
