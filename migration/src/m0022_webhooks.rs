//! Tables `webhook_endpoints`, `webhook_deliveries` and `webhook_position`: URLs that get the events of an account, the
//! messages on their way there, and how far the log of events is turned into messages. Column `webhook_url` of `tasks`,
//! `fetches` and `events`: a URL that gets the events of one task.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

const DELIVERIES: &str = "webhook_deliveries";
const ENDPOINTS: &str = "webhook_endpoints";
const POSITION: &str = "webhook_position";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["tasks", "fetches", "events"] {
            if !manager.has_column(table, "webhook_url").await? {
                let mut column = text_null("webhook_url");
                let add = Table::alter().table(table).add_column(&mut column).to_owned();
                manager.alter_table(add).await?;
            }
        }
        manager.create_table(endpoints()).await?;
        manager.create_table(deliveries()).await?;
        manager.create_table(position()).await?;
        // No endpoint is older than the migration, so the events before it are for none.
        let begin = "INSERT INTO webhook_position (id, event_id) \
            SELECT 1, coalesce(max(id), 0) FROM events ON CONFLICT (id) DO NOTHING";
        // SQLite takes `ON CONFLICT` after a `SELECT` for a join unless there is a `WHERE`.
        let begin = begin.replace("FROM events", "FROM events WHERE true");
        manager.get_connection().execute_unprepared(&begin).await?;
        for index in INDEXES {
            manager.get_connection().execute_unprepared(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [POSITION, DELIVERIES, ENDPOINTS] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        for table in ["events", "fetches", "tasks"] {
            let drop = Table::alter().table(table).drop_column("webhook_url").to_owned();
            manager.alter_table(drop).await?;
        }
        Ok(())
    }
}

/// The unique index makes the row without a URL, which has the secret for URLs of tasks, the only one of its account.
const INDEXES: [&str; 6] = [
    "CREATE INDEX IF NOT EXISTS webhook_endpoints_user_id_idx ON webhook_endpoints (user_id)",
    "CREATE UNIQUE INDEX IF NOT EXISTS webhook_endpoints_of_tasks_key ON webhook_endpoints (user_id) WHERE url IS NULL",
    "CREATE INDEX IF NOT EXISTS webhook_deliveries_run_at_ms_idx ON webhook_deliveries (run_at_ms) \
     WHERE run_at_ms IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS webhook_deliveries_user_id_id_idx ON webhook_deliveries (user_id, id)",
    "CREATE INDEX IF NOT EXISTS webhook_deliveries_endpoint_id_id_idx ON webhook_deliveries (endpoint_id, id)",
    "CREATE INDEX IF NOT EXISTS webhook_deliveries_ended_at_idx ON webhook_deliveries (ended_at) \
     WHERE ended_at IS NOT NULL",
];

fn endpoints() -> TableCreateStatement {
    Table::create()
        .table(ENDPOINTS)
        .if_not_exists()
        .col(big_pk_auto("id"))
        .col(big_integer("user_id"))
        .col(text_null("url"))
        .col(json("event_types"))
        .col(text("secret"))
        .col(text_null("previous_secret"))
        .col(timestamp_with_time_zone_null("previous_until"))
        .col(big_integer("after_event_id"))
        .col(timestamp_with_time_zone_null("disabled_at"))
        .col(text_null("disabled_reason"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .foreign_key(
            ForeignKey::create()
                .name("webhook_endpoints_user_id_fkey")
                .from(ENDPOINTS, "user_id")
                .to("users", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}

fn deliveries() -> TableCreateStatement {
    Table::create()
        .table(DELIVERIES)
        .if_not_exists()
        .col(text("id").primary_key())
        .col(big_integer("user_id"))
        .col(big_integer("endpoint_id"))
        .col(big_integer_null("task_id"))
        .col(text("url"))
        .col(text("event_type"))
        .col(json("payload"))
        .col(integer("attempt"))
        .col(integer("failures"))
        .col(big_integer_null("run_at_ms"))
        .col(integer_null("status_code"))
        .col(text_null("error"))
        .col(timestamp_with_time_zone_null("attempted_at"))
        .col(timestamp_with_time_zone_null("ended_at"))
        .col(boolean("delivered"))
        .col(timestamp_with_time_zone("created_at"))
        .foreign_key(
            ForeignKey::create()
                .name("webhook_deliveries_endpoint_id_fkey")
                .from(DELIVERIES, "endpoint_id")
                .to(ENDPOINTS, "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}

/// One row.
fn position() -> TableCreateStatement {
    Table::create()
        .table(POSITION)
        .if_not_exists()
        .col(big_integer("id").primary_key())
        .col(big_integer("event_id"))
        .to_owned()
}
