//! Table `trash`: stored files to remove, and when.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("trash")
            .if_not_exists()
            .col(ColumnDef::new("key").text().not_null().primary_key())
            .col(big_integer("due_at_ms"))
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create()
            .if_not_exists()
            .name("trash_due_at_ms_idx")
            .table("trash")
            .col("due_at_ms")
            .to_owned();
        manager.create_index(index).await
    }
}
