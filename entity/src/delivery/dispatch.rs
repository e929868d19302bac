//! Turns the log of events into deliveries.

use super::{Entity, Message, Payload};
use crate::{event, webhook};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseConnection, DatabaseTransaction, QuerySelect};
use std::collections::BTreeSet;

/// Maximum number of events of one transaction. Each may become a delivery to every endpoint of its account.
const EVENTS: u64 = 100;
/// Maximum number of rows of one insert, because databases limit the values of a statement.
const ROWS: usize = 500;

/// Table `webhook_position`: its only row has the id of the last event that was turned into deliveries.
mod position {
    #![allow(unreachable_pub, reason = "the derives need public items")]

    use sea_orm::entity::prelude::*;

    /// The position.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "webhook_position")]
    pub struct Model {
        /// Always 1.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        /// The last event.
        pub event_id: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Returns `true` if there are events behind the position.
///
/// # Errors
/// Any database error.
pub async fn has_events(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let position = position::Entity::find().one(db).await?;
    Ok(event::newest(db).await? > position.map_or(0, |position| position.event_id))
}

/// Turns the next events into deliveries. Returns their numbers: events and deliveries.
///
/// # Errors
/// Any database error; nothing has changed then.
pub async fn dispatch(db: &DatabaseConnection) -> Result<(usize, usize), DbErr> {
    crate::write(db, async |db| {
        // The lock makes other workers wait. SQLite has one writing transaction at a time.
        let position = position::Entity::find().lock_exclusive().one(db).await?;
        let position = position.map_or(0, |position| position.event_id);
        let events = event::after(db, position, EVENTS).await?;
        let Some(last) = events.last() else { return Ok((0, 0)) };
        let update = position::Entity::update_many().col_expr(position::Column::EventId, Expr::value(last.id));
        update.exec(db).await?;
        let deliveries = insert(db, &events).await?;
        Ok((events.len(), deliveries))
    })
    .await
}

async fn insert(db: &DatabaseTransaction, events: &[event::Model]) -> Result<usize, DbErr> {
    let users: BTreeSet<i64> = events.iter().map(|event| event.user_id).collect();
    let endpoints = webhook::lock_enabled(db, users.into_iter().collect()).await?;
    let mut rows = Vec::new();
    for event in events {
        for endpoint in &endpoints {
            let url = match &endpoint.url {
                Some(url) if endpoint.wants(event) => url,
                None if endpoint.user_id == event.user_id => match &event.webhook_url {
                    Some(url) => url,
                    None => continue,
                },
                _ => continue,
            };
            let payload = Payload {
                event_type: &event.event_type,
                timestamp: event.at,
                data: event.data.raw(),
            };
            let message = Message {
                endpoint,
                url,
                task: event.of_task(),
                payload,
            };
            rows.push(message.into_row()?);
        }
    }
    for rows in rows.chunks(ROWS) {
        Entity::insert_many(rows.to_vec()).exec_without_returning(db).await?;
    }
    Ok(rows.len())
}
