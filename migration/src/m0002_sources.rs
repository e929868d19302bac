//! Table `sources`: uploaded files. They are immutable, and several tasks may share one.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("sources")
            .if_not_exists()
            .col(big_pk_auto("id"))
            .col(big_integer("user_id"))
            .col(text("key"))
            .col(big_integer("bytes"))
            .col(text("sha256"))
            .col(json_null("probe"))
            .col(timestamp_with_time_zone("created_at"))
            .foreign_key(
                ForeignKey::create()
                    .name("sources_user_id_fkey")
                    .from("sources", "user_id")
                    .to("users", "id"),
            )
            .to_owned();
        manager.create_table(table).await?;
        let owner = Index::create()
            .if_not_exists()
            .name("sources_user_id_idx")
            .table("sources")
            .col("user_id")
            .to_owned();
        manager.create_index(owner).await
    }
}
