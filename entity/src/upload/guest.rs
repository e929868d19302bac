//! Uploads of guests: those that wait for their task, and the error of one that gets none.

use super::lease::is_free;
use super::{Column, Entity, Model};
use crate::guest_link;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Query;
use sea_orm::{DatabaseTransaction, ExprTrait, QueryOrder, QuerySelect};

/// Uploads of guests that are received and have neither a task nor an error, which no request holds and whose link is
/// not revoked; at most `limit`.
///
/// # Errors
/// Any database error.
pub async fn received_from_guests(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<Model>, DbErr> {
    let links = Query::select()
        .column(guest_link::Column::Id)
        .from(guest_link::Entity)
        .and_where(Expr::col(guest_link::Column::Revoked).eq(false))
        .to_owned();
    let received = Entity::find()
        .filter(Column::GuestLinkId.in_subquery(links))
        .filter(Column::TaskId.is_null())
        .filter(Column::ErrorCode.is_null())
        .filter(Expr::col(Column::LengthBytes).eq(Expr::col(Column::ReceivedBytes)))
        .filter(is_free(db));
    // The least recently held first, so that one that fails again and again does not keep the others.
    received.order_by_asc(Column::UntilMs).limit(limit).all(db).await
}

/// Lets the uploads of a link that are no task yet expire at once.
///
/// # Errors
/// Any database error.
pub async fn expire_of_guests(db: &DatabaseTransaction, link: i64) -> Result<(), DbErr> {
    let update = Entity::update_many()
        .filter(Column::GuestLinkId.eq(link))
        .filter(Column::TaskId.is_null())
        .col_expr(Column::ExpiresAtMs, crate::now_ms(db));
    update.exec(db).await.map(drop)
}

/// Records the error for which there will be no task of a guest's file. Returns `false` if there is a task, or the
/// upload is gone.
///
/// # Errors
/// Any database error.
pub async fn fail(db: &DatabaseTransaction, id: &str, code: &str, detail: &str) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .filter(Column::Id.eq(id))
        .filter(Column::TaskId.is_null())
        .filter(Column::ErrorCode.is_null())
        .col_expr(Column::ErrorCode, Expr::value(code))
        .col_expr(Column::ErrorDetail, Expr::value(detail));
    Ok(update.exec(db).await?.rows_affected == 1)
}
