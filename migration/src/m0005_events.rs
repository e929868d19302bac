//! Table `events`: status changes of tasks, each recorded once.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("events")
            .if_not_exists()
            .col(big_pk_auto("id"))
            .col(big_integer("task_id"))
            .col(integer("attempt"))
            .col(text("kind"))
            .col(timestamp_with_time_zone("at"))
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create()
            .if_not_exists()
            .name("events_task_id_idx")
            .table("events")
            .col("task_id")
            .to_owned();
        manager.create_index(index).await
    }
}
