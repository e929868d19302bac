//! [`Caller`]: an HTTP client of the API.

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A client, with or without an account.
#[derive(Clone)]
pub struct Caller {
    /// Base URL of the service.
    pub url: String,
    /// User name; empty without an account.
    pub username: String,
    /// Bearer token; empty without an account.
    pub token: String,
    client: reqwest::Client,
}

/// A reply whose body has been read.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as JSON; `null` if it is not JSON.
    pub body: Value,
}

/// The password of all accounts.
const PASSWORD: &str = "123abc456";

impl Caller {
    /// A client without a token.
    pub fn anonymous(url: &str) -> Self {
        let client = reqwest::Client::new();
        Self {
            url: url.to_owned(),
            username: String::new(),
            token: String::new(),
            client,
        }
    }

    /// Signs up and logs in under a new name.
    pub async fn sign_up(url: &str) -> Self {
        let mut caller = Self::anonymous(url);
        caller.username = format!("user{}", Uuid::new_v4().simple());
        let email = format!("{}@example.com", caller.username);
        let form = json!({ "username": caller.username, "password1": PASSWORD, "password2": PASSWORD, "email": email });
        let reply = caller.post("/api/auth/signup", &form).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let login = json!({ "username": caller.username, "password": PASSWORD });
        let reply = caller.post("/api/auth/login", &login).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        caller.token = reply.body["token"].as_str().unwrap().to_owned();
        caller
    }

    /// Builds a request. `path` may also be an absolute URL.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.url)
        };
        let request = self.client.request(method, url);
        if self.token.is_empty() {
            request
        } else {
            request.bearer_auth(&self.token)
        }
    }

    /// Sends GET.
    pub async fn get(&self, path: &str) -> Reply {
        Reply::read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    /// Sends POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        Reply::read(self.request(Method::POST, path).json(body).send().await.unwrap()).await
    }

    /// Sends DELETE.
    pub async fn delete(&self, path: &str) -> Reply {
        Reply::read(self.request(Method::DELETE, path).send().await.unwrap()).await
    }

    /// Downloads from a signed link, without a token.
    pub async fn download(&self, url: &str) -> Vec<u8> {
        let response = self.client.get(url).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{url}");
        response.bytes().await.unwrap().to_vec()
    }

    /// Sends a multipart form to `POST /api/tasks`.
    pub async fn submit(&self, form: Form) -> Reply {
        Reply::read(
            self.request(Method::POST, "/api/tasks")
                .multipart(form)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    /// Uploads bytes under a file name, with further text parts in the form.
    pub async fn upload(&self, name: &str, bytes: Vec<u8>, parts: &[(&'static str, &str)]) -> Reply {
        let mut form = Form::new();
        for (field, value) in parts {
            form = form.text(*field, (*value).to_owned());
        }
        self.submit(form.part("file", Part::bytes(bytes).file_name(name.to_owned())))
            .await
    }

    /// Uploads an image.
    pub async fn image(&self, name: &str, bytes: Vec<u8>) -> Reply {
        let request = self.request(Method::POST, "/api/images");
        Reply::read(request.multipart(image_form(name, bytes)).send().await.unwrap()).await
    }

    /// Uploads a file and returns the id of its task.
    pub async fn task(&self, file: &Path, parts: &[(&'static str, &str)]) -> i64 {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let reply = self.upload(&name, std::fs::read(file).unwrap(), parts).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.body["task_id"].as_i64().unwrap()
    }

    /// Waits until a task is in a final state and returns it.
    pub async fn ended(&self, task: i64) -> Value {
        self.until(task, |task| {
            ["processed", "failed", "canceled"].contains(&task["status"].as_str().unwrap())
        })
        .await
    }

    /// Polls a task until the condition holds, for at most two minutes, and returns it.
    pub async fn until(&self, task: i64, condition: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let reply = self.get(&format!("/api/tasks/{task}")).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            if condition(&reply.body) {
                return reply.body;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "still {}", reply.body);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Uploads a file, waits for the end of its task, and asserts that it was processed.
    pub async fn processed(&self, file: &Path, parts: &[(&'static str, &str)]) -> Value {
        let task = self.ended(self.task(file, parts).await).await;
        assert_eq!(task["status"], "processed", "{task}");
        task
    }
}

/// The first bytes of an MP4. The API reads no more of a file to decide that it is media.
pub const MP4: &[u8] = b"\0\0\0\x10ftypisom\0\0\0\0";

/// A PNG of 640×360 with all chunks and valid checksums, but with pixel data that does not decode. The API does not
/// decode images.
pub const PNG: &[u8] = b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01h\x08\x06\0\0\0\xC72JQ\
    \0\0\0\x06IDATpixelsO%\x84\xA8\0\0\0\0IEND\xAEB`\x82";

/// The multipart form of `POST /api/images`.
pub fn image_form(name: &str, bytes: Vec<u8>) -> Form {
    let file = Part::bytes(bytes).file_name("picture.png");
    Form::new().text("name", name.to_owned()).part("file", file)
}

impl Reply {
    /// Reads the body of a response.
    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        Self {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    /// A response without its body, which may have no end.
    pub fn head(response: &Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: Value::Null,
        }
    }

    /// `code` of a problem; empty in other replies.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    /// `message` of a reply; empty if it has none.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or("")
    }

    /// A header; empty if it is absent or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }
}
