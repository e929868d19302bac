//! Fair share between accounts: partial indexes over waiting and processing tasks, `tasks.worker_id`, and table `turns`
//! with the latest claim of each account. Also an index over the hashes of sources.
//!
//! `tasks.rung_at_ms` is no longer used. It stays for workers of the previous version and is dropped by a later
//! version.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite has no `ADD COLUMN IF NOT EXISTS`.
        if !manager.has_column("tasks", "worker_id").await? {
            let added = ColumnDef::new("worker_id").text().null().to_owned();
            let change = Table::alter().table("tasks").add_column(added).to_owned();
            manager.alter_table(change).await?;
        }
        // No foreign key: its check would lock the account after the task, against the lock order of `entity`.
        let turns = Table::create()
            .table("turns")
            .if_not_exists()
            .col(big_integer("user_id").primary_key())
            .col(big_integer("claimed_at_ms"))
            .to_owned();
        manager.create_table(turns).await?;
        // Partial indexes: most tasks are finished, and they are in neither index.
        for (name, columns, status) in [
            ("tasks_waiting_idx", "user_id, id", "uploaded"),
            ("tasks_processing_idx", "user_id", "processing"),
        ] {
            let index = format!("CREATE INDEX IF NOT EXISTS {name} ON tasks ({columns}) WHERE status = '{status}'");
            manager.get_connection().execute_unprepared(&index).await?;
        }
        // For sources with the same bytes, whose probe is reused.
        let same = Index::create()
            .if_not_exists()
            .name("sources_user_id_sha256_idx")
            .table("sources")
            .col("user_id")
            .col("sha256")
            .to_owned();
        manager.create_index(same).await
    }
}
