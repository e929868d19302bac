//! Events of tasks that were removed; from now on they go with their task.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // `NOT EXISTS`: Postgres compares each event with every task where `NOT IN` has more ids than fit into memory.
        let lost = "DELETE FROM events WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = events.task_id)";
        manager.get_connection().execute_unprepared(lost).await.map(drop)
    }
}
