//! Table `watched_files`: the files of watched folders, with how far each has come.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut unique = Index::create();
        unique.unique().name("watched_files_file_key");
        for column in ["source", "key", "etag", "bytes"] {
            unique.col(column);
        }
        let table = Table::create()
            .table("watched_files")
            .if_not_exists()
            .col(big_pk_auto("id"))
            .col(text("source"))
            .col(text("key"))
            .col(text("etag"))
            .col(big_integer("bytes"))
            .col(text("state"))
            .col(big_integer_null("task_id"))
            .col(text_null("error_code"))
            .col(text_null("error_detail"))
            .col(text_null("target"))
            .col(text_null("holder"))
            .col(big_integer("until_ms"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone_null("moved_at"))
            // With the table, not after it: a connection of SQLite that knows the table without the index refuses
            // `ON CONFLICT`, and does not read the schema again for that.
            .index(&mut unique)
            .to_owned();
        manager.create_table(table).await?;
        let mut by_state = Index::create();
        by_state
            .if_not_exists()
            .name("watched_files_source_state_moved_at_idx")
            .table("watched_files");
        for column in ["source", "state", "moved_at"] {
            by_state.col(column);
        }
        manager.create_index(by_state).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table("watched_files").to_owned())
            .await
    }
}
