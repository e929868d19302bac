//! Events of tasks that were removed; from now on they go with their task.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tasks = Query::select().column("id").from("tasks").to_owned();
        let lost = Query::delete()
            .from_table("events")
            .and_where(Expr::col("task_id").not_in_subquery(tasks))
            .to_owned();
        manager.execute(lost).await
    }
}
