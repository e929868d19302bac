//! Tables `imports` and `import_rows`: manifests, and the state of each of their rows.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The columns that count the rows of an import by status.
const COUNTS: [&str; 6] = ["pending", "working", "created", "updated", "duplicate", "error"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(imports()).await?;
        manager.create_table(rows()).await?;
        for (name, table, columns) in [
            ("imports_user_id_id_idx", "imports", &["user_id", "id"][..]),
            ("imports_run_at_ms_idx", "imports", &["run_at_ms"]),
            (
                "import_rows_import_id_status_row_idx",
                "import_rows",
                &["import_id", "status", "row"],
            ),
            ("import_rows_upload_id_idx", "import_rows", &["upload_id"]),
        ] {
            let mut index = Index::create();
            index.if_not_exists().name(name).table(table);
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["import_rows", "imports"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

fn imports() -> TableCreateStatement {
    let mut once = Index::create();
    once.unique()
        .name("imports_user_id_dedup_key")
        .col("user_id")
        .col("dedup");
    let mut table = Table::create();
    table
        .table("imports")
        .if_not_exists()
        .col(big_pk_auto("id"))
        .col(big_integer("user_id"))
        .col(text("kind"))
        .col(text("status"))
        .col(boolean("is_dry_run"))
        .col(text("file_name"))
        .col(text("key"))
        .col(text("sha256"))
        .col(big_integer("bytes"))
        .col(text_null("dedup"))
        .col(json_null("layout"))
        .col(big_integer("byte"))
        .col(big_integer("line"))
        .col(big_integer("rows_read"))
        .col(boolean("is_staged"));
    for count in COUNTS {
        table.col(big_integer(count));
    }
    table
        .col(text_null("holder"))
        .col(big_integer("until_ms"))
        .col(big_integer("run_at_ms"))
        .col(integer("failures"))
        .col(text_null("error_code"))
        .col(text_null("error_detail"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("finished_at"))
        .index(&mut once)
        .foreign_key(
            ForeignKey::create()
                .name("imports_user_id_fkey")
                .from("imports", "user_id")
                .to("users", "id"),
        )
        .to_owned()
}

fn rows() -> TableCreateStatement {
    let mut once = Index::create();
    once.unique()
        .name("import_rows_import_id_row_key_key")
        .col("import_id")
        .col("row_key");
    Table::create()
        .table("import_rows")
        .if_not_exists()
        .col(big_integer("import_id"))
        .col(big_integer("row"))
        .col(big_integer("byte"))
        .col(big_integer("line"))
        .col(text_null("row_key"))
        .col(text("status"))
        .col(text_null("field"))
        .col(text_null("code"))
        .col(text_null("detail"))
        .col(json_null("fields"))
        .col(text_null("upload_id"))
        .col(big_integer_null("task_id"))
        .col(big_integer_null("video_id"))
        .col(big_integer_null("duplicate_of"))
        .primary_key(Index::create().col("import_id").col("row"))
        .index(&mut once)
        .foreign_key(
            ForeignKey::create()
                .name("import_rows_import_id_fkey")
                .from("import_rows", "import_id")
                .to("imports", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}
