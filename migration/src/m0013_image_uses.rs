//! Table `image_uses`: the images that unfinished tasks need, so that nothing has to search their recipes.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, JsonValue};

/// Number of tasks in one query.
const PAGE: u64 = 1_000;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("image_uses")
            .if_not_exists()
            .col(big_integer("task_id"))
            .col(text("name"))
            .col(big_integer("user_id"))
            .primary_key(Index::create().name("image_uses_pkey").col("task_id").col("name"))
            .foreign_key(
                ForeignKey::create()
                    .name("image_uses_task_id_fkey")
                    .from("image_uses", "task_id")
                    .to("tasks", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create()
            .if_not_exists()
            .name("image_uses_user_id_name_idx")
            .table("image_uses")
            .col("user_id")
            .col("name")
            .to_owned();
        manager.create_index(index).await?;
        fill(manager.get_connection()).await
    }
}

/// Inserts the rows of the tasks that are unfinished now.
async fn fill(db: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    let mut after = 0_i64;
    loop {
        let page = Query::select()
            .columns(["id", "user_id", "recipe"])
            .from("tasks")
            .and_where(Expr::col("id").gt(after))
            .and_where(Expr::col("status").is_in(["uploaded", "processing"]))
            .order_by("id", Order::Asc)
            .limit(PAGE)
            .to_owned();
        let tasks = db.query_all(&page).await?;
        for task in &tasks {
            after = task.try_get("", "id")?;
            let (user, recipe): (i64, JsonValue) = (task.try_get("", "user_id")?, task.try_get("", "recipe")?);
            for edit in ["bumper", "watermark"] {
                let Some(image) = recipe.get(edit).and_then(|edit| edit.get("image")?.as_str()) else {
                    continue;
                };
                let row = Query::insert()
                    .into_table("image_uses")
                    .columns(["task_id", "name", "user_id"])
                    .values_panic([after.into(), image.into(), user.into()])
                    .on_conflict(OnConflict::new().do_nothing().to_owned())
                    .to_owned();
                db.execute(&row).await?;
            }
        }
        if tasks.is_empty() {
            return Ok(());
        }
    }
}
