//! Table `lookups`: answers of the lookup service about points, so that none is asked for twice. Keys are those of
//! `app::lookups`.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{DatabaseTransaction, QueryOrder, QuerySelect, QueryTrait};
use std::time::Duration;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lookups")]
pub struct Model {
    /// The service and the point.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// The result; `None` if the service has nothing about the point.
    pub result: Option<Json>,
    /// The time of the answer by the clock of a worker, in milliseconds since 1970.
    pub at_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Keys of one statement, which each connection keeps prepared.
const KEYS_OF_STATEMENT: usize = 200;

/// Answers with these keys that are not older than `age`.
///
/// # Errors
/// Any database error.
pub async fn find(db: &impl ConnectionTrait, keys: &[String], age: Duration) -> Result<Vec<Model>, DbErr> {
    let mut found = Vec::new();
    for keys in keys.chunks(KEYS_OF_STATEMENT) {
        let answers = Entity::find().filter(Column::Key.is_in(keys.iter().map(String::as_str)));
        found.extend(answers.filter(Column::AtMs.gte(before(age))).all(db).await?);
    }
    Ok(found)
}

/// Stores answers. The newer one of two with the same key stays.
///
/// # Errors
/// Any database error.
pub async fn store(db: &DatabaseTransaction, mut answers: Vec<(String, Option<Json>)>) -> Result<(), DbErr> {
    if answers.is_empty() {
        return Ok(());
    }
    // Two transactions that lock the same rows in the same order do not wait for each other in a circle.
    answers.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let at_ms = crate::now().timestamp_millis();
    let rows = answers.into_iter().map(|(key, result)| ActiveModel {
        key: Set(key),
        result: Set(result),
        at_ms: Set(at_ms),
    });
    let newer = OnConflict::column(Column::Key)
        .update_columns([Column::Result, Column::AtMs])
        .to_owned();
    let insert = Entity::insert_many(rows).on_conflict(newer);
    insert.exec_without_returning(db).await.map(drop)
}

/// Deletes up to `limit` answers that are older than `age`. Returns their number.
///
/// # Errors
/// Any database error.
pub async fn delete_older(db: &impl ConnectionTrait, age: Duration, limit: u64) -> Result<u64, DbErr> {
    let old = Entity::find().select_only().column(Column::Key);
    let old = old
        .filter(Column::AtMs.lt(before(age)))
        .order_by_asc(Column::AtMs)
        .limit(limit);
    let delete = Entity::delete_many().filter(Column::Key.in_subquery(old.into_query()));
    Ok(delete.exec(db).await?.rows_affected)
}

fn before(age: Duration) -> i64 {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    crate::now().timestamp_millis().saturating_sub(age)
}
