//! Rows that belong to an account, made in the state in which an operation takes them.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicU16, Ordering};
use tests::{Caller, MP4, TestApp};

/// What a row is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A task that no worker has seen.
    Waiting,
    /// A canceled task.
    Canceled,
    /// A processed task.
    Processed,
    /// A file of a processed task.
    Output,
    /// A file of an adaptive stream.
    Stream,
    /// An image.
    Image,
    /// A preset.
    Preset,
}

impl Kind {
    /// Makes one that belongs to `owner` and bears their name, and returns what a path says for it, part by part.
    pub(super) async fn make(self, app: &TestApp, owner: &Caller) -> Vec<String> {
        if let Self::Image | Self::Preset = self {
            return vec![self.make_named(owner).await];
        }
        let task = owner
            .upload(&format!("{}.mp4", owner.username), MP4.to_vec(), &[])
            .await;
        let id = task.body["id"].as_i64().unwrap();
        match self {
            Self::Waiting => {}
            Self::Canceled => {
                let reply = owner.post(&format!("/api/tasks/{id}/cancel"), &Value::Null).await;
                assert_eq!(reply.status, 200, "{reply:?}");
            }
            Self::Image | Self::Preset => {}
            Self::Stream => app.finish_stream(id, &[("master.m3u8", b"#EXTM3U")]).await,
            Self::Processed | Self::Output => app.finish(id, &[("video.mp4", "mp4", "video/mp4", b"video")]).await,
        }
        match self {
            Self::Waiting | Self::Canceled | Self::Processed => vec![id.to_string()],
            Self::Stream => parts(&format!(
                "-/{}/hls/master.m3u8",
                task.body["file_path"].as_str().unwrap()
            )),
            Self::Output | Self::Image | Self::Preset => parts(task.body["file_path"].as_str().unwrap()),
        }
    }

    /// One whose name in the path is its own.
    async fn make_named(self, owner: &Caller) -> String {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let name = format!("{}-{}", owner.username, NEXT.fetch_add(1, Ordering::Relaxed));
        let reply = match self {
            Self::Image => owner.image(&name, tests::PNG.to_vec()).await,
            _ => {
                let preset = json!({"name": name, "recipe": {"outputs": [{"kind": "mp4"}]}});
                owner.post("/api/presets", &preset).await
            }
        };
        assert_eq!(reply.status, 201, "{reply:?}");
        name
    }

    /// What a path says for one that nobody has, and the code of its 404.
    pub(super) fn absent(self) -> (Vec<String>, &'static str) {
        match self {
            Self::Waiting | Self::Canceled | Self::Processed => (parts("1000000"), "task_not_found"),
            Self::Stream => (parts("-/2026/01/31/1000000_clip/hls/master.m3u8"), "file_not_found"),
            Self::Image => (parts("absent"), "image_not_found"),
            Self::Preset => (parts("absent"), "preset_not_found"),
            Self::Output => (parts("2026/01/31/1000000_clip"), "file_not_found"),
        }
    }
}

fn parts(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}
