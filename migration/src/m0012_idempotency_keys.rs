//! Table `idempotency_keys`: keys of create requests, each with its lease or its stored reply.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("idempotency_keys")
            .if_not_exists()
            .col(big_integer("user_id"))
            .col(text("key"))
            .col(text("holder"))
            .col(big_integer("until_ms"))
            .col(text_null("request"))
            .col(text_null("reply"))
            .primary_key(Index::create().col("user_id").col("key"))
            .foreign_key(
                ForeignKey::create()
                    .name("idempotency_keys_user_id_fkey")
                    .from("idempotency_keys", "user_id")
                    .to("users", "id"),
            )
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create()
            .if_not_exists()
            .name("idempotency_keys_until_ms_idx")
            .table("idempotency_keys")
            .col("until_ms")
            .to_owned();
        manager.create_index(index).await
    }
}
