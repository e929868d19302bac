//! Table `events` becomes a log: events have an account, a type, a subject and data, and are read by position.
//!
//! Nothing reads the earlier rows, which have none of these, so they are deleted. During an upgrade, processes of the
//! previous version still insert such rows; readers skip them. These processes also delete the rows of a task by
//! `task_id`, so the new rows name their subject in a column of their own. `task_id`, `attempt` and `kind` stay for
//! these processes and are dropped by a later version (*contract*).

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

const UP_POSTGRES: [&str; 5] = [
    "ALTER TABLE events ADD COLUMN user_id bigint, ADD COLUMN type text, ADD COLUMN subject_id bigint, \
     ADD COLUMN data json",
    "ALTER TABLE events ALTER COLUMN task_id DROP NOT NULL, ALTER COLUMN attempt DROP NOT NULL, \
     ALTER COLUMN kind DROP NOT NULL",
    "DELETE FROM events",
    "ALTER TABLE events ADD CONSTRAINT events_data_check CHECK \
     (user_id IS NULL OR (type IS NOT NULL AND subject_id IS NOT NULL AND data IS NOT NULL))",
    "CREATE INDEX events_user_id_id_idx ON events (user_id, id)",
];

const DOWN_POSTGRES: [&str; 3] = [
    "DELETE FROM events",
    "ALTER TABLE events DROP COLUMN user_id, DROP COLUMN type, DROP COLUMN subject_id, DROP COLUMN data",
    "ALTER TABLE events ALTER COLUMN task_id SET NOT NULL, ALTER COLUMN attempt SET NOT NULL, \
     ALTER COLUMN kind SET NOT NULL",
];

/// SQLite cannot drop `NOT NULL`, so the table is created again.
const UP_SQLITE: [&str; 4] = [
    "DROP TABLE events",
    "CREATE TABLE events (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, user_id bigint, type text, subject_id bigint, \
     data json_text, at timestamp_with_timezone_text NOT NULL, task_id bigint, attempt integer, kind text, \
     CONSTRAINT events_data_check CHECK \
     (user_id IS NULL OR (type IS NOT NULL AND subject_id IS NOT NULL AND data IS NOT NULL)))",
    "CREATE INDEX events_user_id_id_idx ON events (user_id, id)",
    "CREATE INDEX events_task_id_idx ON events (task_id)",
];

const DOWN_SQLITE: [&str; 3] = [
    "DROP TABLE events",
    "CREATE TABLE events (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, task_id bigint NOT NULL, \
     attempt integer NOT NULL, kind text NOT NULL, at timestamp_with_timezone_text NOT NULL)",
    "CREATE INDEX events_task_id_idx ON events (task_id)",
];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// On SQLite as well: its statements make sense only together.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The statements have no `IF NOT EXISTS`; the transaction applied all of them or none.
        if manager.has_column("events", "user_id").await? {
            return Ok(());
        }
        match manager.get_database_backend() {
            DbBackend::Sqlite => execute(manager, &UP_SQLITE).await,
            _ => execute(manager, &UP_POSTGRES).await,
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match manager.get_database_backend() {
            DbBackend::Sqlite => execute(manager, &DOWN_SQLITE).await,
            _ => execute(manager, &DOWN_POSTGRES).await,
        }
    }
}

async fn execute(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    for statement in statements {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}
