//! Checks at the end of a load test: acknowledged requests against rows, and rows against files.

use crate::storm::client::Account;
use domain::Status;
use entity::task::{self, TaskStatus};
use entity::{DatabaseConnection, event, idempotency, image, image_use, output, preset, source, trash};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use storage::Target;
use tests::TestApp;

/// Waits until every task has ended.
pub(crate) async fn wait_for_tasks(db: &DatabaseConnection) {
    let begun = Instant::now();
    loop {
        let counts = task::count_by_status(db).await.unwrap();
        let is_unfinished = |status: &Status| matches!(status, Status::Uploaded | Status::Processing);
        if !counts.iter().any(|(status, count)| is_unfinished(status) && *count > 0) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(180), "still {counts:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Asserts that the rows of an account are those of the acknowledged requests.
pub(crate) async fn check_rows(db: &DatabaseConnection, account: &Account) {
    let user = account.user(db).await;
    let tasks = task::Entity::find().filter(task::Column::UserId.eq(user.0)).all(db);
    let tasks = tasks.await.unwrap();
    let ids: BTreeSet<_> = tasks.iter().map(|task| task.id).collect();
    let mut named = BTreeSet::new();
    named.extend(
        image::list(db, user)
            .await
            .unwrap()
            .iter()
            .map(|row| format!("/api/images/{}", row.name)),
    );
    named.extend(
        preset::list(db, user)
            .await
            .unwrap()
            .iter()
            .map(|row| format!("/api/presets/{}", row.name)),
    );
    {
        let replies = account.replies.lock().unwrap();
        assert_eq!(ids, &replies.created - &replies.removed, "tasks");
        let acknowledged = replies
            .named
            .iter()
            .filter(|(_, count)| **count == 1)
            .map(|(path, _)| path.clone());
        assert_eq!(named, acknowledged.collect(), "images and presets: {:?}", replies.named);
    }
    for task in &tasks {
        let ended = format!("task.{}", Status::from(task.status).as_str());
        let types = tests::event_types(db, task.id).await;
        assert_eq!(types, ["task.created", &ended], "task {}", task.id);
    }
    let sources = source::Entity::find().filter(source::Column::UserId.eq(user.0)).all(db);
    let sources: BTreeSet<_> = sources.await.unwrap().iter().map(|source| source.id).collect();
    assert_eq!(
        sources,
        tasks.iter().map(|task| task.source_id).collect(),
        "every source has a task"
    );
    let held = idempotency::Entity::find().filter(idempotency::Column::Reply.is_null());
    assert_eq!(held.count(db).await.unwrap(), 0, "idempotency keys still in use");
}

/// Asserts that every file is named by a row or is on the trash list, that every row has its file, that no image uses
/// are left over, and that removed tasks have their events. Other processes that use the storage must have stopped.
pub(crate) async fn check_files(app: &TestApp) {
    let db = &app.db;
    assert_eq!(
        image_use::Entity::find().count(db).await.unwrap(),
        0,
        "image uses of ended tasks"
    );
    let tasks: BTreeSet<_> = task::Entity::find()
        .all(db)
        .await
        .unwrap()
        .iter()
        .map(|task| task.id)
        .collect();
    let events = event::Entity::find()
        .order_by_asc(event::Column::Id)
        .all(db)
        .await
        .unwrap();
    let removed: BTreeSet<_> = events
        .iter()
        .filter_map(event::Model::of_task)
        .filter(|task| !tasks.contains(task))
        .collect();
    for task in removed {
        let of_task = events.iter().filter(|event| event.of_task() == Some(task));
        let types: Vec<_> = of_task.map(|event| event.event_type.as_str()).collect();
        assert!(
            matches!(
                types.as_slice(),
                ["task.created", "task.deleted"] | ["task.created", _, "task.deleted"]
            ),
            "events of the removed task {task}: {types:?}"
        );
    }
    let unfinished =
        task::Entity::find().filter(task::Column::Status.is_in([TaskStatus::Uploaded, TaskStatus::Processing]));
    assert_eq!(unfinished.count(db).await.unwrap(), 0);

    let mut named: BTreeSet<String> = source::Entity::find()
        .all(db)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.key)
        .collect();
    named.extend(
        output::Entity::find()
            .all(db)
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.key),
    );
    named.extend(
        image::Entity::find()
            .all(db)
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.key),
    );
    let listed = trash::Entity::find().all(db).await.unwrap();
    for trash::Model { key, .. } in &listed {
        assert!(!named.contains(key), "{key} is named and on the trash list");
        app.storage.remove(&Target::parse(key).unwrap()).await.unwrap();
    }
    let files = stored_keys(app);
    // The key of an output with several files ends in `/`.
    let belongs = |file: &str, key: &str| file == key || key.ends_with('/') && file.starts_with(key);
    for file in &files {
        assert!(
            named.iter().any(|key| belongs(file, key)),
            "no row and no trash entry names {file}"
        );
    }
    for key in &named {
        assert!(
            files.iter().any(|file| belongs(file, key)),
            "the file of {key} is missing"
        );
    }
    println!(
        "{} files, {} keys in rows, {} on the trash list",
        files.len(),
        named.len(),
        listed.len()
    );
}

/// The storage keys of all stored files.
fn stored_keys(app: &TestApp) -> Vec<String> {
    let root = app.directory.path();
    let relative = |path: &std::path::PathBuf| {
        let inside = ["objects", "s3/bucket"].map(|top| path.strip_prefix(root.join(top)).ok());
        inside
            .into_iter()
            .flatten()
            .next()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    app.stored_files().iter().map(relative).collect()
}
