//! [`Presigned`]: a client that writes the parts of a file to the bucket itself.

use crate::caller::{Caller, Reply};
use serde_json::{Value, json};

/// An upload whose parts go to the bucket.
pub struct Presigned {
    /// The account.
    pub caller: Caller,
    /// The id of the upload.
    pub id: String,
    /// The length of each part, except the last.
    pub part_bytes: usize,
}

impl Presigned {
    /// Begins an upload.
    pub async fn create(caller: &Caller, bytes: usize) -> Self {
        let body = json!({ "file_name": "clip.mp4", "bytes": bytes, "content_type": "video/mp4" });
        Self::create_with(caller, &body, bytes).await
    }

    /// The same with another request.
    pub async fn create_with(caller: &Caller, body: &Value, bytes: usize) -> Self {
        let created = caller.post("/api/uploads/presigned", body).await;
        assert_eq!(created.status, 201, "{created:?}");
        let part_bytes = usize::try_from(created.body["part_bytes"].as_u64().unwrap()).unwrap();
        assert_eq!(created.body["parts"], bytes.div_ceil(part_bytes));
        Self {
            caller: caller.clone(),
            id: created.body["upload_id"].as_str().unwrap().to_owned(),
            part_bytes,
        }
    }

    /// The path of the upload.
    pub fn path(&self) -> String {
        format!("/api/uploads/{}", self.id)
    }

    /// The parts with their URLs.
    pub async fn signed(&self) -> Vec<Value> {
        let reply = self.caller.post(&format!("{}/parts", self.path()), &json!({})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["parts"].as_array().unwrap().clone()
    }

    /// Writes bytes to a URL, without a token.
    pub async fn put(url: &str, bytes: &[u8]) -> Reply {
        let request = reqwest::Client::new().put(url).body(bytes.to_vec());
        Reply::read(request.send().await.unwrap()).await
    }

    /// Writes the whole file, the last part first, and returns the `ETag`s.
    pub async fn write(&self, bytes: &[u8]) -> Vec<String> {
        let signed = self.signed().await;
        assert_eq!(signed.len(), bytes.len().div_ceil(self.part_bytes));
        let mut etags = Vec::new();
        for (part, chunk) in signed.iter().zip(bytes.chunks(self.part_bytes)).rev() {
            assert_eq!(part["bytes"], chunk.len());
            let written = Self::put(part["url"].as_str().unwrap(), chunk).await;
            assert_eq!(written.status, 200, "{written:?}");
            etags.insert(0, written.header("etag").to_owned());
        }
        etags
    }

    /// Completes the upload with further fields.
    pub async fn complete(&self, body: &Value) -> Reply {
        self.caller.post(&format!("{}/complete", self.path()), body).await
    }

    /// Creates a task.
    pub async fn task(&self) -> Reply {
        self.caller.post("/api/tasks", &json!({ "upload_id": self.id })).await
    }
}
