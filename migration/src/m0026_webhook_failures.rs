//! Column `failing_since` of `webhook_endpoints`: the time since which all attempts at an endpoint have failed. Indexes
//! of `webhook_deliveries`: by task for lists, and one that has all columns of the query for deliveries that are due.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

const ENDPOINTS: &str = "webhook_endpoints";
const COLUMN: &str = "failing_since";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !manager.has_column(ENDPOINTS, COLUMN).await? {
            let mut column = timestamp_with_time_zone_null(COLUMN);
            let add = Table::alter().table(ENDPOINTS).add_column(&mut column).to_owned();
            manager.alter_table(add).await?;
        }
        for statement in [
            "CREATE INDEX IF NOT EXISTS webhook_deliveries_task_id_id_idx ON webhook_deliveries (task_id, id) \
             WHERE task_id IS NOT NULL",
            "CREATE INDEX IF NOT EXISTS webhook_deliveries_due_idx ON webhook_deliveries (run_at_ms, id, endpoint_id) \
             WHERE run_at_ms IS NOT NULL",
            "DROP INDEX IF EXISTS webhook_deliveries_run_at_ms_idx",
        ] {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in [
            "CREATE INDEX IF NOT EXISTS webhook_deliveries_run_at_ms_idx ON webhook_deliveries (run_at_ms) \
             WHERE run_at_ms IS NOT NULL",
            "DROP INDEX IF EXISTS webhook_deliveries_due_idx",
            "DROP INDEX IF EXISTS webhook_deliveries_task_id_id_idx",
        ] {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        let drop = Table::alter().table(ENDPOINTS).drop_column(COLUMN).to_owned();
        manager.alter_table(drop).await
    }
}
