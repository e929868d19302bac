//! Resources of an account, created in the state that an operation needs.

use domain::TaskId;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU16, Ordering};
use tests::{Caller, MP4, TestApp};

/// A kind of resource and its state.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A task that no worker has claimed.
    Waiting,
    /// A canceled task.
    Canceled,
    /// A processed task.
    Processed,
    /// An output file of a processed task.
    Output,
    /// A file of an adaptive output.
    Stream,
    /// A private video with a processed task.
    Video,
    /// A search in the background that is finished.
    Search,
    /// A resumable upload without bytes.
    Unfinished,
    /// A presigned upload whose only part is written.
    Written,
    /// An image.
    Image,
    /// A preset.
    Preset,
    /// An import that no worker has begun.
    Import,
    /// An import with a row whose host did not answer.
    FailedImport,
    /// A dataset of facts with one fact.
    Facts,
    /// The same, and the name of a dimension.
    Dimension,
    /// A region of a dataset.
    Region,
    /// A guest link.
    GuestLink,
    /// A webhook.
    Webhook,
    /// A message to a webhook.
    Delivery,
    /// A credential.
    Credential,
}

impl Kind {
    /// Creates a resource of `owner` whose name contains their user name. Returns the values of the path parameters.
    pub(super) async fn make(self, app: &TestApp, owner: &Caller) -> Vec<String> {
        if let Self::Image | Self::Preset | Self::Credential = self {
            return vec![self.make_named(owner).await];
        }
        if let Self::Unfinished = self {
            let path = tests::Tus::of(owner.clone()).create("clip.mp4", 1_000).await;
            return vec![path.rsplit('/').next().unwrap().to_owned()];
        }
        if let Self::Webhook | Self::Delivery = self {
            return vec![self.make_webhook(owner).await];
        }
        if let Self::Written = self {
            let upload = tests::Presigned::create(owner, MP4.len()).await;
            upload.write(MP4).await;
            return vec![upload.id];
        }
        if let Self::GuestLink = self {
            let link = crate::guests::link(owner, json!({"title": owner.username})).await;
            return vec![link["id"].to_string()];
        }
        if let Self::Import | Self::FailedImport = self {
            return vec![self.make_import(app, owner).await];
        }
        if let Self::Facts | Self::Dimension | Self::Region = self {
            return self.make_dataset(app, owner).await;
        }
        if let Self::Search = self {
            return vec![crate::searches::finished(owner, "/api/videos/search?q=clip").await];
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
            Self::Image
            | Self::Preset
            | Self::Import
            | Self::FailedImport
            | Self::Facts
            | Self::Dimension
            | Self::Region
            | Self::GuestLink
            | Self::Credential
            | Self::Search
            | Self::Unfinished
            | Self::Written
            | Self::Webhook
            | Self::Delivery => {}
            Self::Stream => app.finish_stream(id, &[("master.m3u8", b"#EXTM3U")]).await,
            Self::Processed | Self::Output | Self::Video => {
                app.finish(id, &[("video.mp4", "mp4", "video/mp4", b"video")]).await;
            }
        }
        match self {
            Self::Waiting | Self::Canceled | Self::Processed => vec![id.to_string()],
            Self::Video => vec![video_of(app, id).await.to_string()],
            Self::Stream => parts(&format!(
                "-/{}/hls/master.m3u8",
                task.body["file_path"].as_str().unwrap()
            )),
            Self::Output
            | Self::Image
            | Self::Preset
            | Self::Import
            | Self::FailedImport
            | Self::Facts
            | Self::Dimension
            | Self::Region
            | Self::GuestLink
            | Self::Credential
            | Self::Search
            | Self::Unfinished
            | Self::Written
            | Self::Webhook
            | Self::Delivery => parts(task.body["file_path"].as_str().unwrap()),
        }
    }

    /// Creates datasets of a region and of a fact with the user name of the owner as word of a group.
    async fn make_dataset(self, app: &TestApp, owner: &Caller) -> Vec<String> {
        for (name, body) in [
            ("codes", json!({"regions": {"code": "c", "geometry": "g"}})),
            (
                "facts",
                json!({"facts": {"time": "t", "region": "r", "regions": "codes", "metrics": {"sum": "v"}, "groups": {"who": "w"}}}),
            ),
        ] {
            let request = owner
                .request(reqwest::Method::PUT, &format!("/api/datasets/{name}"))
                .json(&body);
            assert!(request.send().await.unwrap().status().is_success());
        }
        let word = &owner.username;
        let square = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}"#;
        let mine = format!("FROM datasets d JOIN users u ON u.id = d.user_id WHERE u.username = '{word}'");
        for sql in [
            format!("DELETE FROM dataset_regions WHERE code = '{word}'"),
            format!("DELETE FROM dataset_facts WHERE region = '{word}'"),
            format!("UPDATE datasets SET version = 1 WHERE user_id = (SELECT id FROM users WHERE username = '{word}')"),
            format!(
                "INSERT INTO dataset_regions (dataset_id, version, code, name, west, south, east, north, geometry, geometry_mid, geometry_low) \
                SELECT d.id, 1, '{word}', '{word}', 0, 0, 1, 1, '{square}', '{square}', '{square}' {mine} AND d.name = 'codes'"
            ),
            format!(
                "INSERT INTO dataset_facts (dataset_id, version, metric, at_s, region, g1, g2, g3, g4, value, n) \
                SELECT d.id, 1, 'sum', 0, '{word}', '{word}', '', '', '', 100, 1 {mine} AND d.name = 'facts'"
            ),
        ] {
            app.db.execute_unprepared(&sql).await.unwrap();
        }
        let parameters = match self {
            Self::Region => vec!["codes", word],
            Self::Dimension => vec!["facts", "who"],
            _ => vec!["facts"],
        };
        parameters.into_iter().map(str::to_owned).collect()
    }

    /// Creates an import and returns its id.
    async fn make_import(self, app: &TestApp, owner: &Caller) -> String {
        let name = format!("{}.csv", owner.username);
        let form = crate::imports::form(
            "videos",
            &name,
            format!("external_id,source_url\n{name},https://a.example/\n"),
        );
        let import = owner.request(reqwest::Method::POST, "/api/imports").multipart(form);
        let import = tests::Reply::read(import.send().await.unwrap()).await;
        assert!([200, 201].contains(&import.status), "{import:?}");
        let id = &import.body["id"];
        if let Self::FailedImport = self {
            for sql in [
                format!("DELETE FROM import_rows WHERE import_id = {id}"),
                format!("UPDATE imports SET status = 'done_with_errors', rows_read = 1, error = 1 WHERE id = {id}"),
                format!(
                    "INSERT INTO import_rows (import_id, \"row\", byte, line, status, code) \
                    VALUES ({id}, 1, 23, 2, 'error', 'source_url_status')"
                ),
            ] {
                app.db.execute_unprepared(&sql).await.unwrap();
            }
        }
        id.to_string()
    }

    /// Creates a webhook, or a message to one, and returns its id.
    async fn make_webhook(self, owner: &Caller) -> String {
        let url = format!("https://{}.example.com/", owner.username);
        let webhook = owner.post("/api/webhooks", &json!({ "url": url })).await;
        assert_eq!(webhook.status, 201, "{webhook:?}");
        let path = format!("/api/webhooks/{}", webhook.body["id"]);
        if let Self::Webhook = self {
            return webhook.body["id"].to_string();
        }
        let sent = owner.post(&format!("{path}/test"), &Value::Null).await;
        assert_eq!(sent.status, 202, "{sent:?}");
        sent.body["id"].as_str().unwrap().to_owned()
    }

    /// Creates an image, a preset or a credential and returns its name.
    async fn make_named(self, owner: &Caller) -> String {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let name = format!("{}-{}", owner.username, NEXT.fetch_add(1, Ordering::Relaxed));
        let reply = match self {
            Self::Image => owner.image(&name, tests::PNG.to_vec()).await,
            Self::Credential => {
                let endpoint = "https://s3.example.com";
                let new = json!({"name": name, "endpoint": endpoint, "access_key_id": "k", "secret_access_key": "s"});
                owner.post("/api/credentials", &new).await
            }
            _ => {
                let preset = json!({"name": name, "recipe": {"outputs": [{"kind": "mp4"}]}});
                owner.post("/api/presets", &preset).await
            }
        };
        assert_eq!(reply.status, 201, "{reply:?}");
        name
    }

    /// Path parameters of a resource that does not exist, and the code of the 404.
    pub(super) fn absent(self) -> (Vec<String>, &'static str) {
        match self {
            Self::Waiting | Self::Canceled | Self::Processed => (parts("1000000"), "task_not_found"),
            Self::Stream => (parts("-/2026/01/31/1000000_clip/hls/master.m3u8"), "file_not_found"),
            Self::Video => (parts("1000000"), "video_not_found"),
            Self::Unfinished | Self::Written => (vec![uuid::Uuid::new_v4().to_string()], "upload_not_found"),
            Self::Search => (vec![uuid::Uuid::now_v7().to_string()], "search_not_found"),
            Self::Image => (parts("absent"), "image_not_found"),
            Self::Preset => (parts("absent"), "preset_not_found"),
            Self::Import | Self::FailedImport => (parts("1000000"), "import_not_found"),
            Self::Facts => (parts("absent"), "dataset_not_found"),
            Self::Dimension => (parts("absent/who"), "dataset_not_found"),
            Self::Region => (parts("absent/code"), "dataset_not_found"),
            Self::GuestLink => (parts("1000000"), "guest_link_not_found"),
            Self::Webhook => (parts("1000000"), "webhook_not_found"),
            Self::Delivery => (parts("msg_0197a6a1c2f17c10a1b2c3d4e5f60718"), "delivery_not_found"),
            Self::Credential => (parts("absent"), "credential_not_found"),
            Self::Output => (parts("2026/01/31/1000000_clip"), "file_not_found"),
        }
    }
}

async fn video_of(app: &TestApp, task: i64) -> i64 {
    let task = entity::task::by_id(&app.db, TaskId(task)).await.unwrap().unwrap();
    let video = entity::video::of_source(&app.db, task.source_id).await.unwrap();
    video.unwrap().id
}

fn parts(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}
