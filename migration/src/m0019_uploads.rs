//! Tables `uploads` and `upload_parts`: resumable uploads, and the parts of those whose file is written to a bucket.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(uploads()).await?;
        for (name, columns) in [
            ("uploads_user_id_idx", &["user_id"][..]),
            ("uploads_expires_at_ms_idx", &["expires_at_ms"]),
        ] {
            let mut index = Index::create();
            index.if_not_exists().name(name).table("uploads");
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        manager.create_table(parts()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["upload_parts", "uploads"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

fn uploads() -> TableCreateStatement {
    Table::create()
        .table("uploads")
        .if_not_exists()
        .col(text("id").primary_key())
        .col(big_integer("user_id"))
        .col(text("key"))
        .col(text("file_name"))
        .col(text("metadata"))
        .col(big_integer_null("length_bytes"))
        .col(big_integer("received_bytes"))
        .col(text_null("hash_state"))
        .col(text_null("sha256"))
        .col(boolean("presigned"))
        .col(text_null("multipart_id"))
        .col(big_integer("part_bytes"))
        .col(text_null("tail_key"))
        .col(text_null("holder"))
        .col(text_null("claimant"))
        .col(boolean("replaced"))
        .col(big_integer("until_ms"))
        .col(big_integer("expires_at_ms"))
        .col(big_integer_null("task_id"))
        .foreign_key(
            ForeignKey::create()
                .name("uploads_user_id_fkey")
                .from("uploads", "user_id")
                .to("users", "id"),
        )
        .to_owned()
}

fn parts() -> TableCreateStatement {
    Table::create()
        .table("upload_parts")
        .if_not_exists()
        .col(text("upload_id"))
        .col(integer("number"))
        .col(text("content_id"))
        .primary_key(Index::create().col("upload_id").col("number"))
        .foreign_key(
            ForeignKey::create()
                .name("upload_parts_upload_id_fkey")
                .from("upload_parts", "upload_id")
                .to("uploads", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}
