//! SQLite whose files are damaged under the process, or that runs out of memory: a connection that met the error is
//! closed, and the next one works as soon as the files are whole again.

use crate::seed::server;
use crate::skip;
use entity::{DatabaseConnection, DbErr, trash, write};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A database with one connection, and a second pool that keeps the files of the log open.
struct Damaged {
    db: DatabaseConnection,
    other: DatabaseConnection,
    home: tempfile::TempDir,
}

impl Damaged {
    /// Returns `None` and prints why on Postgres.
    async fn create() -> Option<Self> {
        if server().is_some() {
            skip::other_setup("these are files of SQLite");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/test.db", home.path().display());
        let (db, other) = (entity::connect(&url, 1).await, entity::connect(&url, 1).await);
        let damaged = Self {
            db: db.unwrap(),
            other: other.unwrap(),
            home,
        };
        migration::run(&damaged.other).await.unwrap();
        for number in 0..100 {
            put(&damaged.other, &format!("{number:0>1000}")).await.unwrap();
        }
        Some(damaged)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Marks the only connection of the pool, damages the files, runs a query that must fail with a code, and repairs
    /// the files. Asserts that the connection was closed, once outside and once inside of a transaction, and that the
    /// next one works.
    async fn check_closed_after(&self, code: u32, query: &str, change: impl Fn(Change)) {
        for in_transaction in [false, true] {
            self.db.execute_unprepared(READ_ALL).await.unwrap();
            self.db.execute_unprepared("PRAGMA shrink_memory").await.unwrap();
            self.db.execute_unprepared(MARK).await.unwrap();
            assert_eq!(number(&self.db, "PRAGMA cache_size").await, 777);
            change(Change::Damage);
            let failed = if in_transaction {
                write(&self.db, async |db| db.execute_unprepared(query).await.map(drop)).await
            } else {
                self.db.execute_unprepared(query).await.map(drop)
            };
            change(Change::Repair);
            let error = failed.expect_err("the query succeeded").to_string();
            let found = error.split("(code: ").nth(1).and_then(|rest| rest.split(')').next());
            let found: u32 = found
                .and_then(|text| text.parse().ok())
                .unwrap_or_else(|| panic!("{error}"));
            assert_eq!(found & 0xFF, code, "{error}");
            let now = number(&self.db, "PRAGMA cache_size").await;
            assert_ne!(
                now, 777,
                "the connection was reused (in a transaction: {in_transaction})"
            );
        }
        self.check_works().await;
    }

    /// Asserts that what is committed now is seen by another connection.
    async fn check_works(&self) {
        put(&self.db, "accepted").await.unwrap();
        let seen = trash::due(&self.other, 1_000).await.unwrap();
        assert_eq!(seen.len(), 101);
    }
}

/// A change of the files by a test.
#[derive(Clone, Copy)]
enum Change {
    Damage,
    Repair,
}

/// A setting of one connection, which a new connection does not have.
const MARK: &str = "PRAGMA cache_size = 777";

/// Reads all pages of a table.
const READ_ALL: &str = "SELECT * FROM trash NOT INDEXED";

async fn number(db: &DatabaseConnection, query: &str) -> i64 {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, query)).await;
    row.unwrap().unwrap().try_get_by_index(0).unwrap()
}

async fn put(db: &DatabaseConnection, key: &str) -> Result<(), DbErr> {
    let keys = [key.to_owned()];
    write(db, async |db| trash::add_keys(db, &keys, Duration::ZERO).await).await
}

#[tokio::test]
async fn a_connection_that_read_a_damaged_page_is_closed() {
    let Some(damaged) = Damaged::create().await else { return };
    let (other, path) = (&damaged.other, damaged.path("test.db"));
    other
        .execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)")
        .await
        .unwrap();
    let page = number(other, "SELECT rootpage FROM sqlite_master WHERE name = 'trash'").await;
    let size = number(other, "PRAGMA page_size").await;
    let offset = u64::try_from((page - 1) * size).unwrap();
    let mut whole = vec![0; usize::try_from(size).unwrap()];
    File::open(&path).unwrap().read_exact_at(&mut whole, offset).unwrap();
    let garbage = vec![0xA5; whole.len()];
    let change = |change| match change {
        Change::Damage => overwrite(&path, offset, &garbage),
        Change::Repair => overwrite(&path, offset, &whole),
    };
    damaged.check_closed_after(11, READ_ALL, change).await;
}

#[tokio::test]
async fn a_connection_that_met_an_error_of_reading_is_closed() {
    let Some(damaged) = Damaged::create().await else { return };
    // The rows are in the write-ahead log only. A log that is too short is an I/O error.
    let log = damaged.path("test.db-wal");
    let whole = std::fs::read(&log).unwrap();
    let change = |change| match change {
        Change::Damage => File::options().write(true).open(&log).unwrap().set_len(0).unwrap(),
        Change::Repair => overwrite(&log, 0, &whole),
    };
    damaged.check_closed_after(10, READ_ALL, change).await;
}

#[tokio::test]
async fn a_connection_that_ran_out_of_memory_is_closed() {
    let Some(damaged) = Damaged::create().await else { return };
    // A limit of the process, 256 MiB, so that other tests in it have enough.
    let limit = "PRAGMA hard_heap_limit = 268435456";
    damaged.other.execute_unprepared(limit).await.unwrap();
    let query = "SELECT length(hex(zeroblob(300000000)))";
    damaged.check_closed_after(7, query, |_| ()).await;
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}
