//! Table `outputs`: published files. An output is visible exactly if a row names it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("outputs")
            .if_not_exists()
            .col(big_pk_auto("id"))
            .col(big_integer("task_id"))
            .col(integer("place"))
            .col(text("name"))
            .col(text("kind"))
            .col(text("media_type"))
            .col(text("key"))
            .col(big_integer("bytes"))
            .col(text("sha256"))
            .col(integer_null("width_px"))
            .col(integer_null("height_px"))
            .col(big_integer_null("duration_ms"))
            .foreign_key(
                ForeignKey::create()
                    .name("outputs_task_id_fkey")
                    .from("outputs", "task_id")
                    .to("tasks", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        let unique = Index::create()
            .if_not_exists()
            .unique()
            .name("outputs_task_id_name_key")
            .table("outputs")
            .col("task_id")
            .col("name")
            .to_owned();
        manager.create_index(unique).await
    }
}
