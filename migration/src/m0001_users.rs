//! Table `users`: accounts.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("users")
            .if_not_exists()
            .col(big_pk_auto("id"))
            .col(text("username"))
            .col(text("email"))
            .col(text("password_hash"))
            .col(timestamp_with_time_zone("created_at"))
            .to_owned();
        manager.create_table(table).await?;
        let unique = |name: &str, column: &str| {
            Index::create()
                .if_not_exists()
                .unique()
                .name(name)
                .table("users")
                .col(column.to_owned())
                .to_owned()
        };
        manager.create_index(unique("users_username_key", "username")).await?;
        manager.create_index(unique("users_email_key", "email")).await
    }
}
