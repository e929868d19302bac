//! Columns of `imports`: `is_removed`, set when its owner removes it, and `is_expired`, set when its rows are removed.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

const TABLE: &str = "imports";
const COLUMNS: [&str; 2] = ["is_removed", "is_expired"];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in COLUMNS {
            if !manager.has_column(TABLE, name).await? {
                let mut column = boolean(name);
                column.default(false);
                let add = Table::alter().table(TABLE).add_column(&mut column).to_owned();
                manager.alter_table(add).await?;
            }
        }
        let mut index = Index::create();
        index.if_not_exists().name("imports_finished_at_idx").table(TABLE);
        manager.create_index(index.col("finished_at").to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::drop().name("imports_finished_at_idx").table(TABLE).to_owned();
        manager.drop_index(index).await?;
        for name in COLUMNS {
            let drop = Table::alter().table(TABLE).drop_column(name).to_owned();
            manager.alter_table(drop).await?;
        }
        Ok(())
    }
}
