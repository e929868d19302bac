//! Portable migrations, one change each: expand, move, contract. The same on SQLite and Postgres.

mod m0001_users;
mod m0002_sources;
mod m0003_tasks;
mod m0004_outputs;
mod m0005_events;
mod m0006_trash;
mod m0007_costs;
mod m0008_reuse;
mod m0009_images;
mod m0010_presets;
mod m0011_traces;
mod m0012_idempotency_keys;
mod m0013_image_uses;
mod m0014_events_of_tasks;
mod m0015_claims;

use sea_orm_migration::prelude::*;
use std::time::Duration;

/// Every migration, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_users::Migration),
            Box::new(m0002_sources::Migration),
            Box::new(m0003_tasks::Migration),
            Box::new(m0004_outputs::Migration),
            Box::new(m0005_events::Migration),
            Box::new(m0006_trash::Migration),
            Box::new(m0007_costs::Migration),
            Box::new(m0008_reuse::Migration),
            Box::new(m0009_images::Migration),
            Box::new(m0010_presets::Migration),
            Box::new(m0011_traces::Migration),
            Box::new(m0012_idempotency_keys::Migration),
            Box::new(m0013_image_uses::Migration),
            Box::new(m0014_events_of_tasks::Migration),
            Box::new(m0015_claims::Migration),
        ]
    }
}

/// How often a process tries when another one migrates the same database at the same moment.
const TRIES: u32 = 10;

/// Brings the database to the newest shape. Every statement says `IF NOT EXISTS`, so of two processes that start
/// together the one that comes second fails on the book-keeping at most, and finds the work done when it looks again.
///
/// # Errors
/// The last error when it still fails after ten tries.
pub async fn run(db: &sea_orm_migration::sea_orm::DatabaseConnection) -> Result<(), DbErr> {
    for attempt in 1..TRIES {
        if Migrator::up(db, None).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100) * attempt).await;
    }
    Migrator::up(db, None).await
}
