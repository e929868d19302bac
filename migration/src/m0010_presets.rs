//! Table `presets`: named recipes of accounts. Names are unique within an account.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("presets")
            .if_not_exists()
            .col(big_pk_auto("id"))
            .col(big_integer("user_id"))
            .col(text("name"))
            .col(text_null("summary"))
            .col(json("recipe"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .foreign_key(
                ForeignKey::create()
                    .name("presets_user_id_fkey")
                    .from("presets", "user_id")
                    .to("users", "id"),
            )
            .to_owned();
        manager.create_table(table).await?;
        let unique = Index::create()
            .if_not_exists()
            .unique()
            .name("presets_user_id_name_key")
            .table("presets")
            .col("user_id")
            .col("name")
            .to_owned();
        manager.create_index(unique).await
    }
}
