//! Table `fetches`: uploads whose bytes a worker fetches from a URL. Column `fetched` of `uploads` tells them from
//! others.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !manager.has_column("uploads", "fetched").await? {
            let mut column = boolean("fetched");
            let add = Table::alter()
                .table("uploads")
                .add_column(column.default(false))
                .to_owned();
            manager.alter_table(add).await?;
        }
        manager.create_table(fetches()).await?;
        let mut index = Index::create();
        index
            .if_not_exists()
            .name("fetches_run_at_ms_idx")
            .table("fetches")
            .col("run_at_ms");
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("fetches").to_owned()).await?;
        let drop = Table::alter().table("uploads").drop_column("fetched").to_owned();
        manager.alter_table(drop).await
    }
}

fn fetches() -> TableCreateStatement {
    Table::create()
        .table("fetches")
        .if_not_exists()
        .col(big_pk_auto("id"))
        .col(text("upload_id").unique_key())
        .col(text("request"))
        .col(text_null("preset"))
        .col(json("recipe"))
        .col(text_null("validator"))
        .col(big_integer("most_bytes"))
        .col(integer("failures"))
        .col(big_integer("run_at_ms"))
        .col(big_integer("deadline_ms"))
        .col(text_null("error_code"))
        .col(text_null("error_detail"))
        .foreign_key(
            ForeignKey::create()
                .name("fetches_upload_id_fkey")
                .from("fetches", "upload_id")
                .to("uploads", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}
