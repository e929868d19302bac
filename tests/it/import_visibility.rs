//! The column `visibility` of imports: a video is published when its task is processed.

use crate::imports::{ended, form};
use reqwest::Method;
use serde_json::Value;
use std::fmt::Write as _;
use tests::clip::Clip;
use tests::file_host::{Answer, FileHost};
use tests::{Caller, Options, Reply, TestApp};

const RECIPE: &str = r#"{""outputs"":[{""kind"":""poster""}]}"#;

async fn import(caller: &Caller, kind: &str, csv: String) -> Value {
    let request = caller
        .request(Method::POST, "/api/imports")
        .multipart(form(kind, "rows.csv", csv));
    let reply = Reply::read(request.send().await.unwrap()).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    ended(caller, reply.body["id"].as_i64().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_video_is_published_when_its_task_is_processed() {
    let mut app = TestApp::with(Options {
        config: |config| config.app.outbound = "127.0.0.2/32".parse().unwrap(),
        ..Options::default()
    })
    .await;
    let caller = app.caller().await;
    let clip = std::fs::read(Clip::default().make(app.directory.path())).unwrap();
    let host = FileHost::start("127.0.0.2", clip, &[Answer::File]).await;
    let mut csv = String::from("source_url,external_id,visibility,recipe\n");
    for (index, visibility) in ["public", "unlisted", "private", "", "everybody"]
        .into_iter()
        .enumerate()
    {
        writeln!(csv, "{}?{index},x-{index},{visibility},\"{RECIPE}\"", host.url).unwrap();
    }
    let done = import(&caller, "videos", csv).await;
    let rows = caller.get(&format!("/api/imports/{}/rows", done["id"])).await.body["data"].clone();
    assert_eq!(
        (&rows[4]["error"]["field"], &rows[4]["error"]["code"]),
        (&"visibility".into(), &"visibility_invalid".into()),
        "{rows}"
    );

    for (index, visibility) in ["public", "unlisted", "private", "private"].into_iter().enumerate() {
        let task = rows[index]["task_id"].as_i64().unwrap();
        assert_eq!(caller.ended(task).await["status"], "processed");
        let video = caller
            .get(&format!("/api/videos/{}", rows[index]["video_id"]))
            .await
            .body;
        assert_eq!(video["visibility"], visibility, "{video}");
        assert_eq!(video["published_at"].is_null(), visibility == "private", "{video}");
    }
    let events = caller.get("/api/events").await.body["data"].clone();
    let published = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["type"] == "video.published");
    assert_eq!(published.count(), 2, "{events}");

    let changes = "external_id,visibility\nx-0,private\nx-1,public\nx-2,unlisted\nx-3,private\n";
    let done = import(&caller, "metadata", changes.to_owned()).await;
    assert_eq!(
        (&done["status"], &done["rows"]["updated"]),
        (&"done".into(), &4.into()),
        "{done}"
    );
    for (index, visibility) in ["private", "public", "unlisted", "private"].into_iter().enumerate() {
        let video = caller
            .get(&format!("/api/videos/{}", rows[index]["video_id"]))
            .await
            .body;
        assert_eq!(video["visibility"], visibility, "{video}");
    }
    app.stop().await;
}
