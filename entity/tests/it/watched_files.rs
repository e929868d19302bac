//! Rows of watched files: which are open, and which are forgotten.

use crate::seed::database;
use entity::DatabaseConnection;
use entity::watched_file::{self, Identity, WatchedFile};
use std::time::Duration;

const SOURCE: &str = "/srv/in";
const DAY: Duration = Duration::from_hours(24);

/// Inserts the row of a file and takes it.
async fn taken(db: &DatabaseConnection, key: &str) -> (WatchedFile, i64) {
    let file = Identity {
        source: SOURCE,
        key,
        etag: "1",
        bytes: 5,
    };
    watched_file::insert(db, file).await.unwrap();
    let row = watched_file::find(db, file).await.unwrap().unwrap();
    assert_eq!(row.identity(), file);
    take(db, row.id).await
}

async fn take(db: &DatabaseConnection, id: i64) -> (WatchedFile, i64) {
    let (lease, row) = WatchedFile::take(db, id, format!("holder of {id}"))
        .await
        .unwrap()
        .unwrap();
    (lease, row.id)
}

#[tokio::test]
async fn rows_of_moved_files_are_forgotten_when_they_are_old_and_free() {
    let (db, _directory) = database("watched_files").await;
    let mut ids = Vec::new();
    for key in ["moved", "held"] {
        let (lease, id) = taken(&db, key).await;
        assert!(lease.moved(&db).await.unwrap());
        ids.push(id);
    }
    let (failed, id) = taken(&db, "failed").await;
    assert!(failed.fail(&db, "not_media", "").await.unwrap());
    ids.push(id);
    take(&db, ids[1]).await;
    let moved = async |age| {
        let rows = watched_file::long_moved(&db, SOURCE, age, 10).await.unwrap();
        rows.into_iter().map(|row| row.key).collect::<Vec<_>>()
    };
    let open = async || watched_file::open(&db, SOURCE).await.unwrap();
    assert_eq!((moved(DAY).await.len(), moved(Duration::ZERO).await.len()), (0, 2));
    assert_eq!(open().await.len(), 1);
    watched_file::forget_long_moved(&db, ids.clone(), DAY).await.unwrap();
    assert_eq!(moved(Duration::ZERO).await.len(), 2);
    watched_file::forget_long_moved(&db, ids, Duration::ZERO).await.unwrap();
    assert_eq!(moved(Duration::ZERO).await, ["held"]);
    assert_eq!(open().await[0].key, "failed");
}
