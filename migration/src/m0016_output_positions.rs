//! Renames `outputs.place` to `outputs.position`: the index of an output among those of its task.
//!
//! During an upgrade, processes of the previous version run beside this one, and requests must not fail
//! (docs/OPERATIONS.md, "Rolling restarts"). `RENAME COLUMN` would break their statements. This is the *expand* and
//! *move* part of the change: `position` is added and filled, and a trigger completes the column that an insert leaves
//! out. Rows of `outputs` are never updated, so a trigger on inserts is enough. A later version drops the trigger and
//! `place` (*contract*).
//!
//! Both columns must accept rows without them. On Postgres, a `BEFORE` trigger runs before `NOT NULL` is checked.
//! SQLite checks it first, and can neither change a constraint nor assign to `NEW`: there `place` is created again
//! without `NOT NULL`, and an `AFTER` trigger updates the new row.
//!
//! *Rejected.* Writing both columns in `entity`: the old name would stay in the code until the contract.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

const UP_POSTGRES: [&str; 5] = [
    "ALTER TABLE outputs ADD COLUMN position integer",
    "UPDATE outputs SET position = place",
    "ALTER TABLE outputs ALTER COLUMN position SET NOT NULL",
    "CREATE OR REPLACE FUNCTION outputs_fill_position() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.position := coalesce(NEW.position, NEW.place);
        NEW.place := coalesce(NEW.place, NEW.position);
        RETURN NEW;
    END $$",
    "CREATE TRIGGER outputs_fill_position BEFORE INSERT ON outputs
    FOR EACH ROW EXECUTE FUNCTION outputs_fill_position()",
];

const DOWN_POSTGRES: [&str; 3] = [
    "DROP TRIGGER outputs_fill_position ON outputs",
    "DROP FUNCTION outputs_fill_position()",
    "ALTER TABLE outputs DROP COLUMN position",
];

const UP_SQLITE: [&str; 6] = [
    "ALTER TABLE outputs ADD COLUMN position integer",
    "UPDATE outputs SET position = place",
    "ALTER TABLE outputs DROP COLUMN place",
    "ALTER TABLE outputs ADD COLUMN place integer",
    "UPDATE outputs SET place = position",
    "CREATE TRIGGER outputs_fill_position AFTER INSERT ON outputs
    WHEN NEW.position IS NULL OR NEW.place IS NULL
    BEGIN
        UPDATE outputs SET position = coalesce(NEW.position, NEW.place), place = coalesce(NEW.place, NEW.position)
        WHERE id = NEW.id;
    END",
];

/// `place` stays without `NOT NULL`; the previous version always sets it.
const DOWN_SQLITE: [&str; 2] = [
    "DROP TRIGGER outputs_fill_position",
    "ALTER TABLE outputs DROP COLUMN position",
];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// On SQLite as well: its statements make sense only together.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The statements have no `IF NOT EXISTS`; the transaction applied all of them or none.
        if manager.has_column("outputs", "position").await? {
            return Ok(());
        }
        match manager.get_database_backend() {
            DbBackend::Sqlite => execute(manager, &UP_SQLITE).await,
            _ => execute(manager, &UP_POSTGRES).await,
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match manager.get_database_backend() {
            DbBackend::Sqlite => execute(manager, &DOWN_SQLITE).await,
            _ => execute(manager, &DOWN_POSTGRES).await,
        }
    }
}

async fn execute(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    for statement in statements {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}
