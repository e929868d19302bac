//! The event of the end of an import.

use crate::Error;
use domain::EventType;
use entity::DatabaseTransaction;
use entity::event::{self, New as Event};

/// Appends `import.finished`, in the transaction that ends the import. It is the last statement of that transaction
/// that takes a lock (`entity::event`).
pub(super) async fn append_event(db: &DatabaseTransaction, import: i64) -> Result<(), Error> {
    let event = Event::of_import(db, EventType::ImportFinished, import).await?;
    Ok(event::append(db, vec![event]).await?)
}
