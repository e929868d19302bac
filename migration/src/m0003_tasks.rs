//! Table `tasks`: a source plus a recipe, with a status. It is authoritative; the queue only wakes workers.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("tasks")
            .if_not_exists()
            .col(big_pk_auto("id"))
            .col(big_integer("user_id"))
            .col(big_integer("source_id"))
            .col(text("file_path"))
            .col(timestamp_with_time_zone("timestamp"))
            .col(text("status"))
            .col(text("display_name"))
            .col(text_null("preset"))
            .col(json("recipe"))
            .col(integer("attempt").default(0))
            .col(integer("failures").default(0))
            .col(big_integer("run_at_ms"))
            .col(big_integer_null("rung_at_ms"))
            .col(big_integer_null("lease_until_ms"))
            .col(json_null("progress"))
            .col(text_null("error_code"))
            .col(text_null("error_detail"))
            .col(json_null("report"))
            .col(timestamp_with_time_zone_null("started_at"))
            .col(timestamp_with_time_zone_null("finished_at"))
            .foreign_key(
                ForeignKey::create()
                    .name("tasks_user_id_fkey")
                    .from("tasks", "user_id")
                    .to("users", "id"),
            )
            .foreign_key(
                ForeignKey::create()
                    .name("tasks_source_id_fkey")
                    .from("tasks", "source_id")
                    .to("sources", "id"),
            )
            .to_owned();
        manager.create_table(table).await?;
        let index = |name: &str| Index::create().if_not_exists().name(name).table("tasks").to_owned();
        manager
            .create_index(index("tasks_user_id_id_idx").col("user_id").col("id").to_owned())
            .await?;
        manager
            .create_index(index("tasks_source_id_idx").col("source_id").to_owned())
            .await?;
        manager
            .create_index(
                index("tasks_status_run_at_ms_idx")
                    .col("status")
                    .col("run_at_ms")
                    .to_owned(),
            )
            .await
    }
}
