//! [`Tus`]: a client of resumable uploads that sends each request by hand.

use crate::caller::{Caller, Reply};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

/// A client of resumable uploads with an account.
#[derive(Clone)]
pub struct Tus {
    /// The account.
    pub caller: Caller,
}

impl Tus {
    /// A client of an account.
    pub const fn of(caller: Caller) -> Self {
        Self { caller }
    }

    /// Builds a request of the protocol.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.caller.request(method, path).header("tus-resumable", "1.0.0")
    }

    /// Creates an upload without bytes and returns its path.
    pub async fn create(&self, name: &str, length: usize) -> String {
        self.create_with(&[("filename", name)], length).await
    }

    /// The same with other metadata.
    pub async fn create_with(&self, metadata: &[(&str, &str)], length: usize) -> String {
        let pairs: Vec<String> = metadata
            .iter()
            .map(|(key, value)| format!("{key} {}", STANDARD.encode(value)))
            .collect();
        let metadata = pairs.join(",");
        let request = self.request(Method::POST, "/api/uploads");
        let request = request
            .header("upload-length", length)
            .header("upload-metadata", metadata);
        let reply = Reply::read(request.send().await.unwrap()).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.header("location").to_owned()
    }

    /// A request with bytes from an offset on.
    pub fn patch(&self, path: &str, offset: usize, bytes: Vec<u8>) -> RequestBuilder {
        self.request(Method::PATCH, path)
            .header("upload-offset", offset)
            .header("content-type", "application/offset+octet-stream")
            .body(bytes)
    }

    /// Sends bytes from an offset on.
    pub async fn send(&self, path: &str, offset: usize, bytes: Vec<u8>) -> Reply {
        Reply::read(self.patch(path, offset, bytes).send().await.unwrap()).await
    }

    /// The reply to HEAD.
    pub async fn head(&self, path: &str) -> Reply {
        Reply::read(self.request(Method::HEAD, path).send().await.unwrap()).await
    }

    /// The number of bytes that the service has.
    pub async fn offset(&self, path: &str) -> usize {
        let reply = self.head(path).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.header("upload-offset").parse().unwrap()
    }

    /// Removes an upload.
    pub async fn remove(&self, path: &str) -> u16 {
        self.request(Method::DELETE, path)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    /// Creates a task of an upload.
    pub async fn task(&self, path: &str) -> Reply {
        let id = path.rsplit('/').next().unwrap();
        self.caller.post("/api/tasks", &json!({ "upload_id": id })).await
    }
}
