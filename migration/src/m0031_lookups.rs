//! Table `lookups`: answers about points, and the columns of imports and their rows for lookups. Column
//! `uploads.purpose`: `video`, or `manifest` for the file of an import.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The columns that count lookups of an import by status.
const COUNTS: [&str; 3] = ["lookup_found", "lookup_no_data", "lookup_failed"];

/// The new columns, by table.
fn columns() -> Vec<(&'static str, &'static str, ColumnDef)> {
    let flag = |name| boolean(name).default(false).to_owned();
    let number = |name| big_integer(name).default(0).to_owned();
    let mut columns = vec![
        ("uploads", "purpose", text("purpose").default("video").to_owned()),
        ("imports", "lookup_row", big_integer_null("lookup_row")),
        ("imports", "lookup_required", flag("lookup_required")),
        ("imports", "lookup_waits", number("lookup_waits")),
        ("import_rows", "point", text_null("point")),
        ("import_rows", "lookup", text_null("lookup")),
        ("import_rows", "lookup_result", json_null("lookup_result")),
        ("import_rows", "lookup_error", text_null("lookup_error")),
    ];
    columns.extend(COUNTS.map(|name| ("imports", name, number(name))));
    columns
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Columns are added before the table: after `ALTER TABLE` alone, the same connection of SQLite returns NULL for
        // the new column in `UPDATE … RETURNING` until its schema changes again.
        for (table, name, mut column) in columns() {
            if !manager.has_column(table, name).await? {
                let add = Table::alter().table(table).add_column(&mut column).to_owned();
                manager.alter_table(add).await?;
            }
        }
        let mut lookups = Table::create();
        lookups
            .table("lookups")
            .if_not_exists()
            .col(text("key").primary_key())
            .col(json_null("result"))
            .col(big_integer("at_ms"));
        manager.create_table(lookups).await?;
        let mut index = Index::create();
        index.if_not_exists().name("lookups_at_ms_idx").table("lookups");
        manager.create_index(index.col("at_ms").to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("lookups").to_owned()).await?;
        for (table, name, _) in columns() {
            let drop = Table::alter().table(table).drop_column(name).to_owned();
            manager.alter_table(drop).await?;
        }
        Ok(())
    }
}
