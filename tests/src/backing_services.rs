//! Database, queue and storage of one test. The environment selects the embedded or the production setup.

use crate::bucket::Bucket;
use entity::DatabaseConnection;
use queue::Queue;
use sea_orm::ConnectionTrait;
use std::path::Path;
use storage::S3Credentials;
use uuid::Uuid;

/// The URL of a new database: a SQLite file, or a database on the server of `TEST_DATABASE_URL`.
pub(crate) async fn database_url(directory: &Path) -> String {
    let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
        return format!("sqlite://{}/test.db", directory.display());
    };
    let admin = entity::connect(&server, 1).await.unwrap();
    let name = format!("test_{}", Uuid::new_v4().simple());
    admin
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

pub(crate) async fn database(url: &str) -> DatabaseConnection {
    let db = entity::connect(url, 8).await.unwrap();
    migration::run(&db).await.unwrap();
    db
}

/// The URL of a random logical database of the Redis in `TEST_REDIS_URL`. `./test` configures 4096, so that tests that
/// run at the same time rarely share one. If two do, each wakes the workers of the other, which find nothing: tasks are
/// claimed from the database of the test.
pub(crate) fn redis_url() -> Option<String> {
    let server = std::env::var("TEST_REDIS_URL").ok()?;
    let number = Uuid::new_v4().as_u128() % 4096;
    Some(format!("{}/{number}", server.trim_end_matches('/')))
}

pub(crate) async fn queue(url: Option<&str>) -> Queue {
    match url {
        Some(url) => Queue::redis(url).unwrap(),
        None => Queue::in_memory(),
    }
}

/// The storage URL of one test: a directory, or a bucket on a new S3 server in this process. With `needs_bucket` it is
/// a bucket in both setups.
pub(crate) async fn storage_url(directory: &Path, needs_bucket: bool) -> (String, Option<S3Credentials>) {
    if !needs_bucket && std::env::var("TEST_STORAGE").as_deref() != Ok("s3") {
        return (format!("file://{}/objects", directory.display()), None);
    }
    let bucket = Bucket::start(&directory.join("s3")).await;
    (Bucket::url(bucket.address), Some(Bucket::credentials()))
}
