//! Table `traces`: plan and log of the latest attempt of each task. They are large and rarely read, so they are not
//! columns of `tasks`.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("traces")
            .if_not_exists()
            .col(big_integer("task_id").primary_key())
            .col(json_null("plan"))
            .col(json_null("log"))
            .foreign_key(
                ForeignKey::create()
                    .name("traces_task_id_fkey")
                    .from("traces", "task_id")
                    .to("tasks", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await
    }
}
