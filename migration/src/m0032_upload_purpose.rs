//! Column `uploads.purpose`: `video`, or `manifest` for the file of an import.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

const TABLE: &str = "uploads";
const COLUMN: &str = "purpose";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.has_column(TABLE, COLUMN).await? {
            return Ok(());
        }
        let mut column = text(COLUMN);
        column.default("video");
        let add = Table::alter().table(TABLE).add_column(&mut column).to_owned();
        manager.alter_table(add).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drop = Table::alter().table(TABLE).drop_column(COLUMN).to_owned();
        manager.alter_table(drop).await
    }
}
