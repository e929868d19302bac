//! The table of images that unfinished tasks need.

use crate::seed::{database, new_user};
use entity::{DatabaseConnection, image_use, source, task};
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::json;

async fn uses(db: &DatabaseConnection) -> Vec<(i64, String)> {
    let rows = image_use::Entity::find().all(db).await.unwrap();
    rows.into_iter().map(|row| (row.task_id, row.name)).collect()
}

#[tokio::test]
async fn the_migration_inserts_the_images_of_unfinished_tasks() {
    let (db, _directory) = database("image_uses").await;
    let user = new_user(&db).await;
    let new = async |recipe: entity::Json| {
        let made = entity::user::write(&db, user, async |db| {
            let file = source::New {
                key: format!("sources/{}", recipe["watermark"]["image"]),
                bytes: 1,
                sha256: "ab".repeat(32),
            };
            let source = source::create(db, user, file).await?;
            let new = task::New {
                source_id: source.id,
                display_name: "a.mp4".to_owned(),
                safe_name: "a.mp4".to_owned(),
                preset: None,
                recipe,
                webhook_url: None,
            };
            task::create(db, user, new).await
        });
        made.await.unwrap()
    };
    let outputs = json!([{ "kind": "mp4" }]);
    let both = json!({ "watermark": { "image": "mark" }, "bumper": { "image": "logo" }, "outputs": outputs });
    let open = new(both).await;
    let ended = new(json!({ "watermark": { "image": "old" }, "outputs": outputs })).await;
    entity::write(&db, async |db| task::cancel(db, user, ended.task_id()).await)
        .await
        .unwrap()
        .unwrap();
    let known = uses(&db).await;
    assert_eq!(known.len(), 2);
    assert!(known.iter().all(|(task, name)| *task == open.id && name != "old"));

    let earlier = [
        "DROP TABLE image_uses",
        "DELETE FROM seaql_migrations WHERE version >= 'm0013'",
    ];
    for statement in earlier {
        db.execute_unprepared(statement).await.unwrap();
    }
    migration::run(&db).await.unwrap();
    let mut migrated = uses(&db).await;
    migrated.sort();
    let mut known = known;
    known.sort();
    assert_eq!(migrated, known);
}
