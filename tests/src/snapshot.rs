//! The persistent state of a service as text, and tasks that are finished without a worker.

use crate::TestApp;
use domain::{ClaimPolicy, TaskId, WorkerId};
use entity::task;
use entity::{DatabaseConnection, DbErr, event, output, trace};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QueryResult, Statement};
use std::convert::Infallible;
use std::time::Duration;
use storage::{FileName, Key};

impl TestApp {
    /// Every row of every table and the path of every stored file, one per line. A refused request must not change it.
    pub async fn snapshot(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for table in texts(&self.db, tables(&self.db)).await {
            let rows = match self.db.get_database_backend() {
                DbBackend::Postgres => format!("select row::text from \"{table}\" row"),
                _ => texts(&self.db, &sqlite_rows(&table)).await.remove(0),
            };
            let rows = texts(&self.db, &rows).await.into_iter();
            lines.extend(rows.map(|row| format!("{table}: {row}")));
        }
        lines.extend(self.stored_files().iter().map(|file| file.display().to_string()));
        lines.sort();
        lines
    }

    /// Claims this task. Tasks that are claimed before it are released.
    pub async fn claim(&self, id: i64) -> task::Claimed {
        let worker = WorkerId("test".to_owned());
        let mut others = Vec::new();
        let claimed = loop {
            let next = task::claim_next(&self.db, ClaimPolicy::default(), &worker);
            let next = next.await.unwrap().expect("the task is not due");
            if next.id == id {
                break next;
            }
            others.push(next.claim());
        };
        for other in others {
            assert!(other.release(&self.db, Duration::ZERO).await.unwrap());
        }
        claimed
    }

    /// Processes a waiting task without a worker: stores these outputs (name, kind, media type, bytes) and writes the
    /// result.
    pub async fn finish(&self, task: i64, files: &[(&str, &'static str, &'static str, &'static [u8])]) {
        let claimed = self.claim(task).await;
        let mut outputs = Vec::new();
        for (name, kind, media_type, bytes) in files {
            let key = Key::output(TaskId(task), claimed.attempt, &FileName::parse(name).unwrap());
            let stream = futures::stream::iter([Ok::<_, Infallible>(bytes::Bytes::from_static(bytes))]);
            let stored = self.storage.put_stream(&key, stream, None, 64 << 20).await.unwrap();
            outputs.push(output::New {
                name: (*name).to_owned(),
                kind,
                media_type,
                key: key.to_string(),
                bytes: stored.bytes,
                sha256: stored.sha256,
                width_px: Some(320),
                height_px: Some(180),
                duration_ms: None,
                entry: None,
            });
        }
        self.succeed(&claimed, outputs).await;
    }

    /// Processes a waiting task without a worker, with one adaptive output of these files. The first file is the entry.
    pub async fn finish_stream(&self, task: i64, files: &[(&'static str, &'static [u8])]) {
        let claimed = self.claim(task).await;
        let set = Key::output_set(TaskId(task), claimed.attempt, &FileName::parse("hls").unwrap());
        let mut bytes = 0;
        for (name, content) in files {
            let key = set.file(&FileName::parse(name).unwrap()).unwrap();
            let stream = futures::stream::iter([Ok::<_, Infallible>(bytes::Bytes::from_static(content))]);
            bytes += self
                .storage
                .put_stream(&key, stream, None, 64 << 20)
                .await
                .unwrap()
                .bytes;
        }
        let output = output::New {
            name: "hls".to_owned(),
            kind: "hls",
            media_type: "application/vnd.apple.mpegurl",
            key: set.to_string(),
            bytes,
            sha256: "ab".repeat(32),
            width_px: Some(320),
            height_px: Some(180),
            duration_ms: Some(4_000),
            entry: Some(files[0].0),
        };
        self.succeed(&claimed, vec![output]).await;
    }

    async fn succeed(&self, claimed: &task::Claimed, outputs: Vec<output::New>) {
        let result = task::AttemptResult {
            outputs,
            record: trace::AttemptRecord::default(),
            fingerprint: format!("task {}", claimed.id),
        };
        let claim = claimed.claim();
        let written = entity::write(&self.db, async |db| {
            let was_held = claim.succeed(db, result).await?;
            task::append_processed(db, claimed).await?;
            Ok::<_, DbErr>(was_held)
        });
        assert!(written.await.unwrap());
    }
}

/// The types of the events of a task, in order.
pub async fn event_types(db: &DatabaseConnection, task: i64) -> Vec<String> {
    let events = event::Entity::find().filter(event::Column::SubjectId.eq(task));
    let events = events.order_by_asc(event::Column::Id).all(db).await.unwrap();
    let of_task = events.into_iter().filter(|event| event.of_task().is_some());
    of_task.map(|event| event.event_type).collect()
}

fn tables(db: &DatabaseConnection) -> &'static str {
    match db.get_database_backend() {
        DbBackend::Postgres => "select table_name::text from information_schema.tables where table_schema = 'public'",
        _ => "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'",
    }
}

/// A query that builds the query for the rows of a table as text: `quote()` of each column, separated by commas.
fn sqlite_rows(table: &str) -> String {
    let columns =
        format!("select group_concat('quote(\"' || name || '\")', ' || '','' || ') from pragma_table_info('{table}')");
    format!("select 'select ' || ({columns}) || ' from \"{table}\"'")
}

/// The first column of every row.
async fn texts(db: &DatabaseConnection, query: &str) -> Vec<String> {
    let statement = Statement::from_string(db.get_database_backend(), query);
    let rows: Vec<QueryResult> = db.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}
