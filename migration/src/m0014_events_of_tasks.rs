//! Deletes the events of removed tasks. From this version on they are deleted with their task.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Not `NOT IN`: once its ids exceed `work_mem`, Postgres compares each event with every task.
        let orphans = "DELETE FROM events WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = events.task_id)";
        manager.get_connection().execute_unprepared(orphans).await.map(drop)
    }
}
