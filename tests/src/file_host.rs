//! [`FileHost`]: an HTTP server with one file, which the service is to fetch.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The validator of the file.
const ETAG: &str = "\"v1\"";

/// The reply to a request.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// The file, or the rest of it that was asked for.
    File,
    /// The same, but the connection ends before this byte of the file.
    Cut(usize),
    /// The same, but this byte of the file never comes.
    Hang(usize),
    /// A status with headers, and no body.
    Head(&'static str),
}

/// A server on an address of loopback. It ends when it is dropped.
pub struct FileHost {
    /// The URL of the file.
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl Drop for FileHost {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl FileHost {
    /// Serves a file. The request with number `n` gets answer `n`, and each further one the last.
    pub async fn start(address: &str, file: Vec<u8>, answers: &[Answer]) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let url = format!("http://{}/mi%20clip.mp4", listener.local_addr().unwrap());
        let (requests, file, answers) = (Arc::default(), Arc::new(file), answers.to_vec());
        let shared: Arc<Mutex<Vec<String>>> = Arc::clone(&requests);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (file, answers, requests) = (Arc::clone(&file), answers.clone(), Arc::clone(&shared));
                // An error of the stream is the end of a client.
                tokio::spawn(async move { answer(stream, &file, &answers, &requests).await.ok() });
            }
        });
        Self {
            url,
            requests,
            accepting,
        }
    }

    /// The heads of all requests so far, in lower case. A connection without a request is one too.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(
    mut stream: TcpStream,
    file: &[u8],
    answers: &[Answer],
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await? {
            0 => break,
            length => request.extend_from_slice(&buffer[..length]),
        }
    }
    let request = String::from_utf8_lossy(&request).to_lowercase();
    let number = {
        let mut requests = requests.lock().unwrap();
        requests.push(request.clone());
        requests.len() - 1
    };
    let answer = answers.get(number).or(answers.last()).copied().unwrap_or(Answer::File);
    let from = range(&request);
    let end = match answer {
        Answer::Head(head) => {
            let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
            return stream.write_all(head.as_bytes()).await;
        }
        Answer::File => file.len(),
        Answer::Cut(end) | Answer::Hang(end) => end,
    };
    let (status, length) = match from {
        0 => ("200 OK".to_owned(), file.len()),
        from => {
            let range = format!("Content-Range: bytes {from}-{}/{}", file.len() - 1, file.len());
            (format!("206 Partial Content\r\n{range}"), file.len() - from)
        }
    };
    let head = format!("HTTP/1.1 {status}\r\nETag: {ETAG}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&file[from.min(end)..end]).await?;
    if let Answer::Hang(_) = answer {
        sleep(Duration::from_secs(600)).await;
    }
    stream.shutdown().await
}

/// The first byte that a request asks for, if the file is still the one that it knows.
fn range(request: &str) -> usize {
    let line = |name: &str| request.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let from = line("range: bytes=").and_then(|range| range.trim_end_matches('-').parse().ok());
    from.filter(|_| line("if-range:") == Some(ETAG)).unwrap_or(0)
}
