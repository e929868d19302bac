//! [`EventStream`]: a client of server-sent events.

use crate::Caller;
use reqwest::{Method, Response};
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

/// Time for a message, for a machine under load.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A stream of events as a browser reads it.
pub struct EventStream {
    response: Response,
    text: String,
    /// The id of the last message that had one.
    pub last_id: String,
    /// The latest time after which to connect again, in milliseconds.
    pub retry: Option<u64>,
}

/// A message with data.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The name; `message` if it has none.
    pub event: String,
    /// The id of the message; empty if it has none.
    pub id: String,
    /// The data.
    pub data: Value,
}

impl EventStream {
    /// Opens a stream. `path` is below `/api/events/stream`, such as `?after=7`.
    pub async fn open(caller: &Caller, path: &str) -> Self {
        let request = caller.request(Method::GET, &format!("/api/events/stream{path}"));
        Self::of(request.send().await.unwrap()).await
    }

    /// Opens a stream after an event, as a browser that connects again does.
    pub async fn resume(caller: &Caller, last_id: &str) -> Self {
        let request = caller
            .request(Method::GET, "/api/events/stream")
            .header("last-event-id", last_id);
        Self::of(request.send().await.unwrap()).await
    }

    /// Reads a reply until the first id, which tells where the stream begins.
    pub async fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200, "{response:?}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = Self {
            response,
            text: String::new(),
            last_id: String::new(),
            retry: None,
        };
        while stream.last_id.is_empty() {
            let block = timeout(TIMEOUT, stream.block()).await.expect("the first block in time");
            assert_eq!(stream.read(&block.expect("the first block")), None);
        }
        stream
    }

    /// The next message; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Message> {
        timeout(TIMEOUT, self.next_without_timeout())
            .await
            .expect("a message in time")
    }

    async fn next_without_timeout(&mut self) -> Option<Message> {
        loop {
            let block = self.block().await?;
            if let Some(message) = self.read(&block) {
                return Some(message);
            }
        }
    }

    /// The next event; progress is skipped.
    pub async fn event(&mut self) -> Value {
        loop {
            let message = self.next().await.expect("the stream has ended");
            if message.event == "message" {
                assert_eq!(message.data["id"].to_string(), message.id);
                return message.data;
            }
        }
    }

    /// The types of the next events.
    pub async fn types(&mut self, count: usize) -> Vec<String> {
        let mut types = Vec::new();
        for _ in 0..count {
            types.push(self.event().await["type"].as_str().unwrap().to_owned());
        }
        types
    }

    /// Waits for a comment without a message before it.
    pub async fn heartbeat(&mut self) {
        let block = timeout(TIMEOUT, self.block()).await.expect("a comment in time");
        let block = block.expect("the stream has ended");
        assert!(block.starts_with(": heartbeat"), "{block}");
        assert_eq!(self.read(&block), None);
    }

    /// The messages that arrive within a time.
    pub async fn within(&mut self, time: Duration) -> Vec<Message> {
        let mut messages = Vec::new();
        let _ = timeout(time, async {
            while let Some(message) = self.next_without_timeout().await {
                messages.push(message);
            }
        })
        .await;
        messages
    }

    /// The lines up to the next empty one; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            // An error is the end of a server that was killed.
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.text
                .push_str(std::str::from_utf8(&chunk).expect("no character is cut"));
        }
    }

    fn read(&mut self, block: &str) -> Option<Message> {
        let (mut event, mut id, mut data) = ("message", "", None);
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("id", value)) => id = value,
                Some(("event", value)) => event = value,
                Some(("data", value)) => data = Some(value),
                Some(("retry", value)) => self.retry = value.parse().ok(),
                _ => assert!(line.starts_with(':'), "{line}"),
            }
        }
        if !id.is_empty() {
            id.clone_into(&mut self.last_id);
        }
        data.map(|data| Message {
            event: event.to_owned(),
            id: id.to_owned(),
            data: serde_json::from_str(data).unwrap(),
        })
    }
}
