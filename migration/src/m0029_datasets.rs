//! Tables `datasets`, `dataset_versions`, `dataset_facts` and `dataset_regions`: facts and regions that accounts load.
//! Columns of `imports`: the dataset that is loaded, and its columns at the beginning.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The groups of a fact.
const GROUPS: [&str; 4] = ["g1", "g2", "g3", "g4"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Sums read ranges of the primary key. SQLite then finds the values beside the key instead of in another tree.
        let is_sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        let by_key = |mut table: TableCreateStatement| match is_sqlite {
            true => table.extra("WITHOUT ROWID").to_owned(),
            false => table,
        };
        manager.create_table(datasets()).await?;
        manager.create_table(versions()).await?;
        manager.create_table(by_key(facts())).await?;
        manager.create_table(regions()).await?;
        for mut column in [big_integer_null("dataset_id"), json_null("dataset_columns")] {
            if !manager.has_column("imports", column.get_column_name()).await? {
                let add = Table::alter().table("imports").add_column(&mut column).to_owned();
                manager.alter_table(add).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["dataset_id", "dataset_columns"] {
            let drop = Table::alter().table("imports").drop_column(column).to_owned();
            manager.alter_table(drop).await?;
        }
        for table in ["dataset_regions", "dataset_facts", "dataset_versions", "datasets"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

fn datasets() -> TableCreateStatement {
    let mut once = Index::create();
    once.unique()
        .name("datasets_user_id_name_key")
        .col("user_id")
        .col("name");
    Table::create()
        .table("datasets")
        .if_not_exists()
        .col(big_pk_auto("id"))
        .col(big_integer("user_id"))
        .col(text("name"))
        .col(text("kind"))
        .col(json("columns"))
        .col(big_integer_null("version"))
        .col(json_null("version_columns"))
        .col(big_integer_null("version_rows"))
        .col(timestamp_with_time_zone_null("loaded_at"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .index(&mut once)
        .foreign_key(
            ForeignKey::create()
                .name("datasets_user_id_fkey")
                .from("datasets", "user_id")
                .to("users", "id"),
        )
        .to_owned()
}

fn versions() -> TableCreateStatement {
    Table::create()
        .table("dataset_versions")
        .if_not_exists()
        .col(big_integer("dataset_id"))
        .col(big_integer("version"))
        .primary_key(Index::create().col("dataset_id").col("version"))
        .to_owned()
}

fn facts() -> TableCreateStatement {
    let mut key = Index::create();
    let mut table = Table::create();
    table
        .table("dataset_facts")
        .if_not_exists()
        .col(big_integer("dataset_id"))
        .col(big_integer("version"))
        .col(text("metric"))
        .col(big_integer("at_s"))
        .col(text("region"));
    key.col("dataset_id")
        .col("version")
        .col("metric")
        .col("at_s")
        .col("region");
    for group in GROUPS {
        table.col(text(group));
        key.col(group);
    }
    table
        .col(big_integer("value"))
        .col(big_integer("n"))
        .primary_key(&mut key)
        .to_owned()
}

fn regions() -> TableCreateStatement {
    Table::create()
        .table("dataset_regions")
        .if_not_exists()
        .col(big_integer("dataset_id"))
        .col(big_integer("version"))
        .col(text("code"))
        .col(text_null("name"))
        .col(double("west"))
        .col(double("south"))
        .col(double("east"))
        .col(double("north"))
        .col(text("geometry"))
        .col(text("geometry_mid"))
        .col(text("geometry_low"))
        .primary_key(Index::create().col("dataset_id").col("version").col("code"))
        .to_owned()
}
