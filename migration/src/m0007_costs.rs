//! Table `costs`: predicted and actual cost of tasks by class of work, for estimates.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("costs")
            .if_not_exists()
            .col(big_pk_auto("id"))
            .col(text("class"))
            .col(double("predicted_cpu_s"))
            .col(double("predicted_wall_s"))
            .col(double("predicted_bytes"))
            .col(double("actual_cpu_s"))
            .col(double("actual_wall_s"))
            .col(double("actual_bytes"))
            .col(timestamp_with_time_zone("at"))
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create()
            .if_not_exists()
            .name("costs_class_id_idx")
            .table("costs")
            .col("class")
            .col("id")
            .to_owned();
        manager.create_index(index).await
    }
}
