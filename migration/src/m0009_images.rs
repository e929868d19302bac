//! Table `images`: images of accounts. They are immutable; names are unique within an account.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("images")
            .if_not_exists()
            .col(big_pk_auto("id"))
            .col(big_integer("user_id"))
            .col(text("name"))
            .col(text("key"))
            .col(text("media_type"))
            .col(big_integer("bytes"))
            .col(text("sha256"))
            .col(integer("width_px"))
            .col(integer("height_px"))
            .col(timestamp_with_time_zone("created_at"))
            .foreign_key(
                ForeignKey::create()
                    .name("images_user_id_fkey")
                    .from("images", "user_id")
                    .to("users", "id"),
            )
            .to_owned();
        manager.create_table(table).await?;
        let unique = Index::create()
            .if_not_exists()
            .unique()
            .name("images_user_id_name_key")
            .table("images")
            .col("user_id")
            .col("name")
            .to_owned();
        manager.create_index(unique).await
    }
}
