//! Migrations of the database, for SQLite and Postgres, one change each.
//!
//! During an upgrade, processes of the previous version run beside this one. A migration must therefore not break their
//! statements. A change that would is made in three steps: *expand* (add the new structure), *move* (fill it, and keep
//! old and new in step), and, in a later version, *contract* (drop the old structure).

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
mod m0016_output_positions;
mod m0017_videos;
mod m0018_library_changes;
mod m0019_uploads;
mod m0020_account_events;
mod m0021_fetches;
mod m0022_webhooks;
mod m0023_credentials;
mod m0024_guest_links;
mod m0025_watched_files;
mod m0026_webhook_failures;
mod m0027_imports;
mod m0028_publish_as;
mod m0029_datasets;
mod m0030_import_retention;
mod m0031_lookups;

pub use sea_orm_migration::prelude::MigratorTrait;

use sea_orm_migration::prelude::*;
use std::time::Duration;

/// All migrations, in the order in which they are applied.
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
            Box::new(m0016_output_positions::Migration),
            Box::new(m0017_videos::Migration),
            Box::new(m0018_library_changes::Migration),
            Box::new(m0019_uploads::Migration),
            Box::new(m0020_account_events::Migration),
            Box::new(m0021_fetches::Migration),
            Box::new(m0022_webhooks::Migration),
            Box::new(m0023_credentials::Migration),
            Box::new(m0024_guest_links::Migration),
            Box::new(m0025_watched_files::Migration),
            Box::new(m0026_webhook_failures::Migration),
            Box::new(m0027_imports::Migration),
            Box::new(m0028_publish_as::Migration),
            Box::new(m0029_datasets::Migration),
            Box::new(m0030_import_retention::Migration),
            Box::new(m0031_lookups::Migration),
        ]
    }
}

/// Maximum number of attempts while another process migrates the same database.
const MAX_ATTEMPTS: u32 = 10;

/// Applies all pending migrations. Several processes may call it at the same time: every migration can be applied again
/// (`IF NOT EXISTS`, or a check before a transaction). The slower process may fail, at the latest when it records the
/// migration, and finds it applied at the next attempt.
///
/// # Errors
/// The error of the last of ten attempts.
pub async fn run(db: &sea_orm_migration::sea_orm::DatabaseConnection) -> Result<(), DbErr> {
    for attempt in 1..MAX_ATTEMPTS {
        if Migrator::up(db, None).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100) * attempt).await;
    }
    Migrator::up(db, None).await
}
