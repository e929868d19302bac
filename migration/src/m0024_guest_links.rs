//! Table `guest_links`: links with which guests upload to an account. Columns of `uploads` tell who may continue one of
//! a guest, its largest size, and why no task could be created of it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

/// The columns of `uploads`, of guests alone.
const COLUMNS: [&str; 5] = [
    "guest_link_id",
    "guest_session",
    "max_bytes",
    "error_code",
    "error_detail",
];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(guest_links()).await?;
        for name in COLUMNS {
            if !manager.has_column("uploads", name).await? {
                let mut column = if name == "guest_link_id" || name == "max_bytes" {
                    big_integer_null(name)
                } else {
                    text_null(name)
                };
                let add = Table::alter().table("uploads").add_column(&mut column).to_owned();
                manager.alter_table(add).await?;
            }
        }
        let mut token = Index::create();
        token.if_not_exists().unique().name("guest_links_token_hash_key");
        manager
            .create_index(token.table("guest_links").col("token_hash").to_owned())
            .await?;
        for (name, table, column) in [
            ("guest_links_user_id_idx", "guest_links", "user_id"),
            ("uploads_guest_link_id_idx", "uploads", "guest_link_id"),
        ] {
            let mut index = Index::create();
            index.if_not_exists().name(name).table(table).col(column);
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::drop()
            .name("uploads_guest_link_id_idx")
            .table("uploads")
            .to_owned();
        manager.drop_index(index).await?;
        for name in COLUMNS {
            let drop = Table::alter().table("uploads").drop_column(name).to_owned();
            manager.alter_table(drop).await?;
        }
        manager.drop_table(Table::drop().table("guest_links").to_owned()).await
    }
}

fn guest_links() -> TableCreateStatement {
    Table::create()
        .table("guest_links")
        .if_not_exists()
        .col(big_pk_auto("id"))
        .col(big_integer("user_id"))
        .col(text("token_hash"))
        .col(text_null("title"))
        .col(big_integer("max_bytes"))
        .col(big_integer("max_uploads"))
        .col(big_integer("uploads"))
        .col(big_integer("expires_at_ms"))
        .col(text_null("password_hash"))
        .col(text_null("preset"))
        .col(json("recipe"))
        .col(boolean("revoked"))
        .col(timestamp_with_time_zone("created_at"))
        .foreign_key(
            ForeignKey::create()
                .name("guest_links_user_id_fkey")
                .from("guest_links", "user_id")
                .to("users", "id"),
        )
        .to_owned()
}
