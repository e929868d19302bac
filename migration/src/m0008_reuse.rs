//! Reuse of outputs: `tasks.fingerprint`. Outputs that are sets of files: `outputs.entry`.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in [("tasks", "fingerprint"), ("outputs", "entry")] {
            // SQLite has no `ADD COLUMN IF NOT EXISTS`.
            if !manager.has_column(table, column).await? {
                let added = ColumnDef::new(column).text().null().to_owned();
                let change = Table::alter().table(table).add_column(added).to_owned();
                manager.alter_table(change).await?;
            }
        }
        for (name, table, columns) in [
            (
                "tasks_user_id_fingerprint_idx",
                "tasks",
                ["user_id", "fingerprint"].as_slice(),
            ),
            ("outputs_key_idx", "outputs", &["key"]),
        ] {
            let mut index = Index::create().if_not_exists().name(name).table(table).to_owned();
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
