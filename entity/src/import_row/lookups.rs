//! The lookups of rows.

use super::{ActiveModel, Column, Ended, Entity, Lookup, ROWS_OF_STATEMENT, State};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{DatabaseTransaction, QueryOrder, QuerySelect};

/// A row whose point is to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "explained by the columns")]
pub struct Waiting {
    pub row: i64,
    pub point: String,
    byte: i64,
    line: i64,
}

/// The lookup of a row. Failures have a code, and found points a result.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "explained by the columns")]
pub struct LookedUp {
    pub row: Waiting,
    pub lookup: Lookup,
    pub result: Option<Json>,
    pub error: Option<&'static str>,
}

/// Pending rows after a row whose points are to be looked up, in the order of the file.
///
/// # Errors
/// Any database error.
pub async fn waiting(db: &impl ConnectionTrait, import: i64, after: i64, limit: u64) -> Result<Vec<Waiting>, DbErr> {
    let rows = Entity::find()
        .select_only()
        .columns([Column::Row, Column::Byte, Column::Line, Column::Point])
        .filter(Column::ImportId.eq(import))
        .filter(Column::Row.gt(after))
        .filter(Column::Status.eq(State::Pending))
        .filter(Column::Lookup.eq(Lookup::Waiting));
    let rows = rows.order_by_asc(Column::Row).limit(limit);
    let rows: Vec<(i64, i64, i64, Option<String>)> = rows.into_tuple().all(db).await?;
    let read = |(row, byte, line, point): (_, _, _, Option<String>)| Waiting {
        row,
        byte,
        line,
        point: point.unwrap_or_default(),
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Stores the lookups of pending rows, which the caller counts ([`crate::import::ImportLease::looked_up`]).
///
/// The rows exist, because the worker holds the import. One statement for many rows is an insertion with a conflict for
/// each: there is no other one for both databases.
///
/// # Errors
/// Any database error.
pub async fn set_lookups(db: &DatabaseTransaction, import: i64, rows: Vec<LookedUp>) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let some = rows.by_ref().take(ROWS_OF_STATEMENT).map(|row| ActiveModel {
            import_id: Set(import),
            row: Set(row.row.row),
            byte: Set(row.row.byte),
            line: Set(row.row.line),
            status: Set(State::Pending),
            lookup: Set(Some(row.lookup)),
            lookup_result: Set(row.result),
            lookup_error: Set(row.error.map(str::to_owned)),
            ..Default::default()
        });
        let existing = OnConflict::columns([Column::ImportId, Column::Row])
            .update_columns([Column::Lookup, Column::LookupResult, Column::LookupError])
            .to_owned();
        let insert = Entity::insert_many(some).on_conflict(existing);
        insert.exec_without_returning(db).await?;
    }
    Ok(())
}

/// Ends pending rows with an error, which the caller counts ([`crate::import::ImportLease::add`]).
///
/// # Errors
/// Any database error.
pub async fn fail_pending(db: &DatabaseTransaction, import: i64, rows: &[i64], ended: Ended) -> Result<(), DbErr> {
    let values = ActiveModel {
        status: Set(State::Error),
        field: Set(ended.field),
        code: Set(ended.code),
        detail: Set(ended.detail),
        ..Default::default()
    };
    for rows in rows.chunks(ROWS_OF_STATEMENT) {
        let update = Entity::update_many()
            .set(values.clone())
            .filter(Column::ImportId.eq(import))
            .filter(Column::Status.eq(State::Pending))
            .filter(Column::Row.is_in(rows.iter().copied()));
        update.exec(db).await?;
    }
    Ok(())
}

/// Lets rows be looked up again that have ended with one of these errors, and whose lookup has failed. Returns their
/// number. Call it before [`super::retry`], which removes the errors.
///
/// # Errors
/// Any database error.
pub async fn look_up_again(db: &DatabaseTransaction, import: i64, codes: &[&str]) -> Result<u64, DbErr> {
    let update = Entity::update_many()
        .filter(Column::ImportId.eq(import))
        .filter(Column::Status.eq(State::Error))
        .filter(Column::Code.is_in(codes.iter().copied()))
        .filter(Column::Lookup.eq(Lookup::Failed))
        .col_expr(Column::Lookup, Expr::value(Lookup::Waiting))
        .col_expr(Column::LookupError, Expr::value(Option::<String>::None));
    Ok(update.exec(db).await?.rows_affected)
}
