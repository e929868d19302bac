//! Table `images`: images that accounts have uploaded. They are immutable; names are unique within an account.

use domain::UserId;
use domain::recipe::Name;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, QueryOrder};
use std::time::Duration;

/// An uploaded image.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "images")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    pub name: String,
    pub key: String,
    pub media_type: String,
    pub bytes: i64,
    pub sha256: String,
    pub width_px: i32,
    pub height_px: i32,
    pub created_at: ChronoDateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The values of a new image, whose file is stored.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "columns of the row")]
pub struct New {
    pub name: Name,
    pub key: String,
    pub media_type: &'static str,
    pub bytes: u64,
    pub sha256: String,
    pub width_px: u32,
    pub height_px: u32,
}

/// Inserts the row of a stored image and removes the file from the trash list. Call it in [`crate::user::write`], where
/// the result of [`count`] stays valid until the commit. For a name that is taken, the error satisfies
/// [`crate::is_duplicate`].
///
/// # Errors
/// Any database error.
pub async fn create(db: &DatabaseTransaction, user: UserId, new: New) -> Result<Model, DbErr> {
    super::trash::remove_key(db, &new.key).await?;
    let row = ActiveModel {
        id: NotSet,
        user_id: Set(user.0),
        name: Set(new.name.to_string()),
        key: Set(new.key),
        media_type: Set(new.media_type.to_owned()),
        bytes: Set(i64::try_from(new.bytes).unwrap_or(i64::MAX)),
        sha256: Set(new.sha256),
        width_px: Set(i32::try_from(new.width_px).unwrap_or(i32::MAX)),
        height_px: Set(i32::try_from(new.height_px).unwrap_or(i32::MAX)),
        created_at: Set(crate::now()),
    };
    row.insert(db).await
}

/// The images of an account, ordered by name.
///
/// # Errors
/// Any database error.
pub async fn list(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.order_by_asc(Column::Name).all(db).await
}

/// The number of images of an account.
///
/// # Errors
/// Any database error.
pub async fn count(db: &impl ConnectionTrait, user: UserId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::UserId.eq(user.0)).count(db).await
}

/// The image of an account with this name.
///
/// # Errors
/// Any database error.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, name: &Name) -> Result<Option<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.filter(Column::Name.eq(name.as_str())).one(db).await
}

/// The result of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The row is deleted; the file is on the trash list, due at once.
    Removed,
    /// An unfinished task needs the image.
    InUse,
    /// Another request has removed it.
    Absent,
}

/// Removes an image unless an unfinished task needs it. Call it in a transaction.
///
/// # Errors
/// Any database error.
pub async fn remove(db: &impl ConnectionTrait, image: &Model) -> Result<Removal, DbErr> {
    // Tasks are created under the same lock: either the use is visible here, or the task does not find the image.
    super::user::lock(db, UserId(image.user_id)).await?;
    if super::image_use::exists(db, image.user_id, &image.name).await? {
        return Ok(Removal::InUse);
    }
    if Entity::delete_by_id(image.id).exec(db).await?.rows_affected == 0 {
        return Ok(Removal::Absent);
    }
    super::trash::add_keys(db, std::slice::from_ref(&image.key), Duration::ZERO).await?;
    Ok(Removal::Removed)
}
