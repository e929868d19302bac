//! Table `library_changes`: the log of changes to videos and accounts, which the catalogs of all processes follow.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let subjects = Expr::col("subject").is_in(["video", "account"]);
        let table = Table::create()
            .table("library_changes")
            .if_not_exists()
            .col(big_pk_auto("seq"))
            .col(text("subject").check(subjects))
            .col(big_integer("subject_id"))
            .col(big_integer("token"))
            .col(big_integer("at_ms"))
            .to_owned();
        manager.create_table(table).await?;
        let db = manager.get_connection();
        let (token, at_ms) = match db.get_database_backend() {
            DbBackend::Sqlite => ("abs(random())", "CAST(unixepoch('subsec') * 1000 AS INTEGER)"),
            _ => (
                "CAST(random() * 9007199254740992 AS BIGINT)",
                "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
            ),
        };
        // The first row, so that each position in the log names a row. No account has the id 0.
        let first = format!(
            "INSERT INTO library_changes (subject, subject_id, token, at_ms) SELECT 'account', 0, {token}, {at_ms} \
             WHERE NOT EXISTS (SELECT 1 FROM library_changes)"
        );
        db.execute_unprepared(&first).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table("library_changes").to_owned())
            .await
    }
}
