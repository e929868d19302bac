//! Fair claims: indexes over the tasks that wait and that are worked on, the latest claim of each account, and which worker
//! holds a task; and an index over the hashes of sources. `tasks.rung_at_ms` is no longer used; it stays for workers of the version before, and goes later.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite knows no `ADD COLUMN IF NOT EXISTS`.
        if !manager.has_column("tasks", "worker_id").await? {
            let added = ColumnDef::new("worker_id").text().null().to_owned();
            let change = Table::alter().table("tasks").add_column(added).to_owned();
            manager.alter_table(change).await?;
        }
        // Without a foreign key: its check would lock the account after the task, and a removal locks them the other way
        // around.
        let turns = Table::create()
            .table("turns")
            .if_not_exists()
            .col(big_integer("user_id").primary_key())
            .col(big_integer("claimed_at_ms"))
            .to_owned();
        manager.create_table(turns).await?;
        // Partial indexes: finished tasks, which are most, are in none of them.
        for (name, columns, status) in [
            ("tasks_waiting_idx", "user_id, id", "uploaded"),
            ("tasks_processing_idx", "user_id", "processing"),
        ] {
            let index = format!("CREATE INDEX IF NOT EXISTS {name} ON tasks ({columns}) WHERE status = '{status}'");
            manager.get_connection().execute_unprepared(&index).await?;
        }
        // Sources with the same bytes.
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
