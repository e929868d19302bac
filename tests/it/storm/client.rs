//! A client of the load test: sends random requests and records the replies.

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::clip::{Clip, ffmpeg};
use tests::random::Random;
use tests::{Caller, MP4, Reply, image_form};

/// The number of latest tasks about which requests are sent. They may have been removed.
const RECENT_TASKS: usize = 5;
const IMAGES: [&str; 2] = ["mark", "logo"];
const PRESETS: [&str; 2] = ["mine", "other"];

/// The files that clients upload.
pub(crate) struct Clips {
    video: Vec<u8>,
    other: Vec<u8>,
    image: Vec<u8>,
}

impl Clips {
    pub(crate) fn make(directory: &Path) -> Self {
        let clip = |seconds| Clip {
            width: 96,
            height: 64,
            seconds,
            sound: false,
            ..Clip::default()
        };
        let read = |path: &Path| std::fs::read(path).unwrap();
        let image = directory.join("image.png");
        ffmpeg(&["-f", "lavfi", "-i", "color=red:s=16x16", "-frames:v", "1"], &image);
        Self {
            video: read(&clip(0.2).make(directory)),
            other: read(&clip(0.4).make(directory)),
            image: read(&image),
        }
    }
}

/// An account and the replies to its clients.
pub(crate) struct Account {
    pub(crate) caller: Caller,
    pub(crate) replies: Mutex<Replies>,
}

/// The replies to all clients of an account.
#[derive(Default)]
pub(crate) struct Replies {
    /// The latest tasks.
    recent: VecDeque<i64>,
    /// Tasks.
    pub(crate) created: BTreeSet<i64>,
    /// Tasks.
    pub(crate) removed: BTreeSet<i64>,
    /// Creations minus removals of each image and preset, by path.
    pub(crate) named: BTreeMap<String, i64>,
    /// The number of replies by operation, status and code.
    counts: BTreeMap<String, u64>,
    /// Replies that valid requests must not get.
    unexpected: Vec<String>,
}

impl Account {
    pub(crate) fn new(caller: Caller) -> Self {
        Self {
            caller,
            replies: Mutex::default(),
        }
    }

    pub(crate) async fn user(&self, db: &entity::DatabaseConnection) -> domain::UserId {
        let found = entity::user::find_by_username(db, &self.caller.username).await;
        found.unwrap().unwrap().user_id()
    }

    pub(crate) fn summary(&self) -> String {
        format!("{:?}", self.replies.lock().unwrap().counts)
    }

    /// The number of such replies, such as `create 201`, with any code.
    pub(crate) fn count(&self, reply: &str) -> u64 {
        let replies = self.replies.lock().unwrap();
        let is_such = |key: &str| {
            key.strip_prefix(reply)
                .is_some_and(|code| code.is_empty() || code.starts_with(' '))
        };
        replies
            .counts
            .iter()
            .filter(|(key, _)| is_such(key))
            .map(|(_, count)| count)
            .sum()
    }

    pub(crate) fn check_replies(&self) {
        let replies = self.replies.lock().unwrap();
        assert!(replies.unexpected.is_empty(), "{}", replies.unexpected.join("\n"));
    }
}

/// One client of an account.
pub(crate) struct Client {
    account: Arc<Account>,
    clips: Arc<Clips>,
    random: Mutex<Random>,
}

impl Client {
    pub(crate) fn new(account: Arc<Account>, clips: Arc<Clips>, random: Random) -> Self {
        Self {
            account,
            clips,
            random: Mutex::new(random),
        }
    }

    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    fn below(&self, end: usize) -> usize {
        self.random.lock().unwrap().below(end)
    }

    /// A random one of the latest tasks. Other clients choose from the same few, so that requests race.
    fn task(&self) -> i64 {
        let replies = self.account.replies.lock().unwrap();
        let recent: Vec<_> = replies.recent.iter().copied().collect();
        drop(replies);
        recent.get(self.below(recent.len())).copied().unwrap_or(1)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.account.caller.request(method, path)
    }

    /// Sends a random request, or one request twice at the same time.
    pub(crate) async fn act(&self) {
        let (task, image, preset) = (self.task(), IMAGES[self.below(2)], PRESETS[self.below(2)]);
        let (image_path, preset_path) = (format!("/api/images/{image}"), format!("/api/presets/{preset}"));
        let recipe = json!({ "outputs": [{ "kind": "mp4" }], "watermark": { "image": "logo" } });
        match self.below(26) {
            0..=4 => self.create().await,
            5 => self.create_twice().await,
            6..=8 => {
                let request = self.request(Method::POST, &format!("/api/tasks/{task}/retry"));
                self.send_create(
                    "retry",
                    request,
                    &["task_not_found", "task_not_retryable", "recipe_invalid"],
                )
                .await;
            }
            9..=10 => {
                let request = self.request(Method::POST, &format!("/api/tasks/{task}/cancel"));
                self.send("cancel", request, &["task_not_found", "task_finished"]).await;
            }
            11..=13 => self.delete(task).await,
            14 => {
                self.wait(task).await;
                let body = json!({ "task": task, "recipe": recipe });
                let request = self.request(Method::POST, "/api/plan").json(&body);
                self.send(
                    "plan",
                    request,
                    &[
                        "task_not_found",
                        "source_not_probed",
                        "not_media",
                        "source_damaged",
                        "clip_gone",
                    ],
                )
                .await;
            }
            15 => {
                let request = self.request(Method::GET, &format!("/api/tasks/{task}/report"));
                self.send("report", request, &["task_not_found", "report_not_ready"])
                    .await;
            }
            16 => {
                self.wait(task).await;
                self.download(task).await;
            }
            17..=18 => self.wait(task).await,
            24 => drop(self.send("list", self.request(Method::GET, "/api/tasks"), &[]).await),
            25 => {
                let form = image_form(image, self.clips.image.clone());
                let request = self.request(Method::POST, "/api/images").multipart(form);
                let reply = self.send("image", request, &["image_name_taken"]).await;
                self.count(&image_path, i64::from(reply.is_some()));
            }
            19 => {
                let request = self.request(Method::DELETE, &image_path);
                let reply = self
                    .send("delete image", request, &["image_not_found", "image_in_use"])
                    .await;
                self.count(&image_path, -i64::from(reply.is_some()));
            }
            20 => drop(
                self.send(
                    "show image",
                    self.request(Method::GET, &image_path),
                    &["image_not_found"],
                )
                .await,
            ),
            21 => {
                let body = json!({ "name": preset, "recipe": recipe });
                let request = self.request(Method::POST, "/api/presets").json(&body);
                let reply = self.send("preset", request, &["preset_name_taken"]).await;
                self.count(&preset_path, i64::from(reply.is_some()));
            }
            22 => {
                let request = self
                    .request(Method::PUT, &preset_path)
                    .json(&json!({ "recipe": recipe }));
                self.send("replace preset", request, &["preset_not_found"]).await;
            }
            _ => {
                let request = self.request(Method::DELETE, &preset_path);
                let reply = self.send("delete preset", request, &["preset_not_found"]).await;
                self.count(&preset_path, -i64::from(reply.is_some()));
            }
        }
    }

    fn upload(&self) -> RequestBuilder {
        let clip = self.task();
        let (field, value) = match self.below(7) {
            0 => ("preset", PRESETS[self.below(2)].to_owned()),
            1 => (
                "recipe",
                json!({ "outputs": [{ "kind": "mp4" }], "watermark": { "image": "mark" } }).to_string(),
            ),
            2 => (
                "recipe",
                json!({ "outputs": [{ "kind": "mp4" }], "bumper": { "intro_task": clip } }).to_string(),
            ),
            3 => (
                "recipe",
                json!({ "outputs": [{ "kind": "hls", "ladder": [64] }] }).to_string(),
            ),
            _ => (
                "recipe",
                json!({ "outputs": [{ "kind": "mp4" }, { "kind": "poster" }] }).to_string(),
            ),
        };
        let bytes = match self.below(5) {
            0 => MP4.to_vec(),
            1 => self.clips.other.clone(),
            _ => self.clips.video.clone(),
        };
        let form = Form::new()
            .text(field, value)
            .part("file", Part::bytes(bytes).file_name("a.mp4"));
        self.request(Method::POST, "/api/tasks").multipart(form)
    }

    async fn create(&self) {
        self.send_create("create", self.upload(), &["recipe_invalid", "preset_unknown"])
            .await;
    }

    /// Sends an upload twice at the same time and once more afterwards, with one idempotency key, which must create one
    /// task.
    async fn create_twice(&self) {
        let key = format!("{:x}", self.random.lock().unwrap().next());
        let bytes = self.clips.video.clone();
        let send = || {
            let file = Part::bytes(bytes.clone()).file_name("twice.mp4");
            let request = self.request(Method::POST, "/api/tasks").header("idempotency-key", &key);
            self.send_create(
                "create twice",
                request.multipart(Form::new().part("file", file)),
                &["idempotency_key_in_use"],
            )
        };
        let (first, second) = tokio::join!(send(), send());
        let ids: BTreeSet<_> = [first, second, send().await].into_iter().flatten().collect();
        if ids.len() != 1 {
            let mut replies = self.account.replies.lock().unwrap();
            replies.unexpected.push(format!("one key created the tasks {ids:?}"));
        }
    }

    /// Sends a request that creates a task, and returns its id.
    async fn send_create(&self, operation: &str, request: RequestBuilder, codes: &[&str]) -> Option<i64> {
        let id = self.send(operation, request, codes).await?["id"].as_i64().unwrap();
        let mut replies = self.account.replies.lock().unwrap();
        if replies.created.insert(id) {
            replies.recent.push_back(id);
            if replies.recent.len() > RECENT_TASKS {
                replies.recent.pop_front();
            }
        }
        Some(id)
    }

    async fn delete(&self, task: i64) {
        let request = self.request(Method::DELETE, &format!("/api/tasks/{task}"));
        if self.send("delete", request, &["task_not_found"]).await.is_some() {
            let mut replies = self.account.replies.lock().unwrap();
            if !replies.removed.insert(task) {
                replies.unexpected.push(format!("task {task} was removed twice"));
            }
        }
    }

    /// Waits until the task has ended, for at most 2 s, because workers are slower than clients.
    async fn wait(&self, task: i64) {
        let path = format!("/api/tasks/{task}");
        for _ in 0..20 {
            let shown = self
                .send("show", self.request(Method::GET, &path), &["task_not_found"])
                .await;
            if shown.is_none_or(|task| task["finished_at"].is_string()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn download(&self, task: i64) {
        let request = self.request(Method::GET, &format!("/api/tasks/{task}"));
        let Some(shown) = self.send("show", request, &["task_not_found"]).await else {
            return;
        };
        for link in shown["download"].as_array().unwrap() {
            let request = self.request(Method::GET, link.as_str().unwrap());
            self.send("download", request, &["file_not_found"]).await;
        }
    }

    /// Records the creation (1) or the removal (-1) of an image or preset.
    fn count(&self, path: &str, change: i64) {
        let mut replies = self.account.replies.lock().unwrap();
        *replies.named.entry(path.to_owned()).or_default() += change;
    }

    /// Sends a request. Returns the body of a 2xx reply. Other replies must have one of the codes.
    async fn send(&self, operation: &str, request: RequestBuilder, codes: &[&str]) -> Option<Value> {
        let reply = Reply::read(request.send().await.unwrap()).await;
        let mut replies = self.account.replies.lock().unwrap();
        let key = format!("{operation} {} {}", reply.status, reply.code());
        *replies.counts.entry(key.trim().to_owned()).or_default() += 1;
        let succeeded = (200..300).contains(&reply.status);
        if !succeeded && (reply.status >= 500 || !codes.contains(&reply.code())) {
            replies.unexpected.push(format!("{key}: {}", reply.body));
        }
        succeeded.then_some(reply.body)
    }
}
