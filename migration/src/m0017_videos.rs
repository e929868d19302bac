//! Table `videos`: the entries of the library. Each has one source. Sources from before this version get theirs from a
//! background task, which also completes uploads that a process of the previous version receives during an upgrade.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let visibilities = Expr::col("visibility").is_in(["private", "unlisted", "public"]);
        let table = Table::create()
            .table("videos")
            .if_not_exists()
            .col(big_pk_auto("id"))
            .col(big_integer("user_id"))
            .col(big_integer("source_id"))
            .col(text("public_id"))
            .col(text("title"))
            .col(text("description").default(""))
            .col(json("tags"))
            .col(text_null("region"))
            .col(text_null("external_id"))
            .col(json("metadata"))
            .col(text("visibility").check(visibilities))
            .col(big_integer_null("task_id"))
            .col(timestamp_with_time_zone_null("published_at"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .foreign_key(&mut reference("user_id", "users"))
            // A process of the previous version deletes sources and tasks without knowing of videos.
            .foreign_key(reference("source_id", "sources").on_delete(ForeignKeyAction::Cascade))
            .foreign_key(reference("task_id", "tasks").on_delete(ForeignKeyAction::SetNull))
            .to_owned();
        manager.create_table(table).await?;
        for columns in [&["source_id"][..], &["public_id"], &["user_id", "external_id"]] {
            let mut unique = Index::create();
            unique
                .if_not_exists()
                .unique()
                .name(format!("videos_{}_key", columns.join("_")))
                .table("videos");
            for column in columns {
                unique.col(*column);
            }
            manager.create_index(unique).await?;
        }
        // For the foreign key: without it, each deletion of a task reads the whole table.
        let of_task = Index::create()
            .if_not_exists()
            .name("videos_task_id_idx")
            .table("videos")
            .col("task_id")
            .to_owned();
        manager.create_index(of_task).await?;
        let of_user = Index::create()
            .if_not_exists()
            .name("videos_user_id_id_idx")
            .table("videos")
            .col("user_id")
            .col("id")
            .to_owned();
        manager.create_index(of_user).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("videos").to_owned()).await
    }
}

fn reference(column: &'static str, table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("videos_{column}_fkey"))
        .from("videos", column)
        .to(table, "id")
        .to_owned()
}
