//! Table `credentials`: access keys of accounts for buckets of their own. Names are unique within an account.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("credentials")
            .if_not_exists()
            .col(big_pk_auto("id"))
            .col(big_integer("user_id"))
            .col(text("name"))
            .col(text("endpoint"))
            .col(text("region"))
            .col(text("access_key_id"))
            .col(text("sealed_secret"))
            .col(timestamp_with_time_zone("created_at"))
            .foreign_key(
                ForeignKey::create()
                    .name("credentials_user_id_fkey")
                    .from("credentials", "user_id")
                    .to("users", "id"),
            )
            .to_owned();
        manager.create_table(table).await?;
        let unique = Index::create()
            .if_not_exists()
            .unique()
            .name("credentials_user_id_name_key")
            .table("credentials")
            .col("user_id")
            .col("name")
            .to_owned();
        manager.create_index(unique).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("credentials").to_owned()).await
    }
}
