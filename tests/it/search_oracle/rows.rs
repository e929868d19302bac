//! The rows of the videos in the database.

use super::scan::Video;
use entity::library_change::{self, Subject};
use sea_orm::ConnectionTrait;
use tests::TestApp;
use uuid::Uuid;

/// Inserts the rows of the videos, each with a source of its own.
pub(super) async fn insert(app: &TestApp, accounts: &[i64], videos: &[Video]) {
    let time = |ms: i64| chrono::DateTime::from_timestamp_millis(ms).unwrap().to_rfc3339();
    for chunk in videos.chunks(500) {
        let (mut sources, mut rows) = (Vec::new(), Vec::new());
        for video in chunk {
            let (id, account, created) = (video.id, accounts[video.account], time(video.created_ms));
            let us = video.duration_ms * 1_000;
            let key = format!("sources/{}", Uuid::from_u128(id.unsigned_abs().into()));
            sources.push(format!(
                "({id}, {account}, '{key}', 1, '', '{{\"duration_us\": {us}}}', '{created}')"
            ));
            let optional = |text: Option<String>| text.map_or("NULL".to_owned(), |text| format!("'{text}'"));
            let (region, published) = (optional(video.region.clone()), optional(video.published_ms.map(time)));
            rows.push(format!(
                "({id}, {account}, {id}, 'p{id}', '{}', '{}', '{}', {region}, '{{}}', '{}', {published}, '{created}', '{created}')",
                video.title,
                video.description,
                serde_json::to_string(&video.tags).unwrap(),
                video.visibility
            ));
        }
        let sources = format!(
            "INSERT INTO sources (id, user_id, key, bytes, sha256, probe, created_at) VALUES {}",
            sources.join(", ")
        );
        let rows = format!(
            "INSERT INTO videos (id, user_id, source_id, public_id, title, description, tags, region, metadata, \
             visibility, published_at, created_at, updated_at) VALUES {}",
            rows.join(", ")
        );
        for statement in [sources, rows] {
            app.db.execute_unprepared(&statement).await.unwrap();
        }
    }
}

/// Removes a video as the last removal of its tasks does.
pub(super) async fn remove(app: &TestApp, video: i64) {
    let removed = entity::write(&app.db, async |db| {
        db.execute_unprepared(&format!("DELETE FROM sources WHERE id = {video}"))
            .await?;
        library_change::append(db, &[Subject::Video(video)]).await
    });
    removed.await.unwrap();
}
