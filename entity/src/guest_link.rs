//! Table `guest_links`: links with which guests upload files to an account.
//!
//! A link is known by the hash of its token, which is nowhere stored. It has a number of places: an upload takes one in
//! the transaction that inserts it ([`take_place`]), and returns it if it is removed before there is a task
//! ([`crate::upload::UploadLease::delete`]). So uploads that race for the last place are as many as there are places.

use crate::Json;
use domain::UserId;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, ExprTrait, QueryOrder};
use std::fmt;
use std::time::{Duration, SystemTime};

/// A link.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "guest_links")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    /// Hexadecimal SHA-256 of the token.
    #[sea_orm(unique)]
    pub token_hash: String,
    pub title: Option<String>,
    /// The largest length of a file.
    pub max_bytes: i64,
    /// The number of places.
    pub max_uploads: i64,
    /// The number of places that are taken.
    pub uploads: i64,
    /// No upload begins after this time, on the database clock.
    pub expires_at_ms: i64,
    /// A PHC string.
    pub password_hash: Option<String>,
    /// The preset of the tasks.
    pub preset: Option<String>,
    /// The recipe of the tasks, resolved when the link was created.
    pub recipe: Json,
    /// The owner has withdrawn the link.
    pub revoked: bool,
    pub created_at: ChronoDateTimeUtc,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hashes are not printed.
        write!(f, "GuestLink({}, {} of {})", self.id, self.uploads, self.max_uploads)
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The account that issued the link.
    #[must_use]
    pub const fn owner(&self) -> UserId {
        UserId(self.user_id)
    }

    /// The time after which no upload begins.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(self.expires_at_ms).unwrap_or_default())
    }
}

/// The values of a new link.
#[derive(Clone)]
#[allow(missing_docs, reason = "explained by the columns")]
pub struct New {
    pub token_hash: String,
    pub title: Option<String>,
    pub max_bytes: i64,
    pub max_uploads: i64,
    pub expires_at_ms: i64,
    pub password_hash: Option<String>,
    pub preset: Option<String>,
    pub recipe: Json,
}

/// Changes of a link; an absent value stays.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "explained by the columns")]
pub struct Changes {
    pub title: Option<Option<String>>,
    pub max_bytes: Option<i64>,
    pub max_uploads: Option<i64>,
    pub expires_at_ms: Option<i64>,
    pub revoked: Option<bool>,
}

/// Inserts a link. Call it in [`crate::user::write`], where the result of [`count`] stays valid until the commit.
///
/// # Errors
/// Any database error.
pub async fn create(db: &DatabaseTransaction, user: UserId, new: New) -> Result<Model, DbErr> {
    let row = ActiveModel {
        id: NotSet,
        user_id: Set(user.0),
        token_hash: Set(new.token_hash),
        title: Set(new.title),
        max_bytes: Set(new.max_bytes),
        max_uploads: Set(new.max_uploads),
        uploads: Set(0),
        expires_at_ms: Set(new.expires_at_ms),
        password_hash: Set(new.password_hash),
        preset: Set(new.preset),
        recipe: Set(new.recipe),
        revoked: Set(false),
        created_at: Set(crate::now()),
    };
    row.insert(db).await
}

/// The number of links of an account.
///
/// # Errors
/// Any database error.
pub async fn count(db: &impl ConnectionTrait, user: UserId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::UserId.eq(user.0)).count(db).await
}

/// The links of an account, the newest first.
///
/// # Errors
/// Any database error.
pub async fn list(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.order_by_desc(Column::Id).all(db).await
}

/// The link of an account with this id.
///
/// # Errors
/// Any database error.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, id: i64) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::UserId.eq(user.0)).one(db).await
}

/// The link with this id, of any account: for guests, whose session proves it.
///
/// # Errors
/// Any database error.
pub async fn by_id(db: &impl ConnectionTrait, id: i64) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// The link whose token has this hash.
///
/// # Errors
/// Any database error.
pub async fn by_token_hash(db: &impl ConnectionTrait, hash: &str) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::TokenHash.eq(hash)).one(db).await
}

/// Changes a link of an account. `None` if there is no such link.
///
/// # Errors
/// Any database error.
pub async fn update(
    db: &impl ConnectionTrait,
    user: UserId,
    id: i64,
    changes: Changes,
) -> Result<Option<Model>, DbErr> {
    let row = ActiveModel {
        title: changes.title.map_or(NotSet, Set),
        max_bytes: changes.max_bytes.map_or(NotSet, Set),
        max_uploads: changes.max_uploads.map_or(NotSet, Set),
        expires_at_ms: changes.expires_at_ms.map_or(NotSet, Set),
        revoked: changes.revoked.map_or(NotSet, Set),
        // Without a change, the statement would be empty.
        user_id: Set(user.0),
        ..Default::default()
    };
    let mine = Entity::update_many().set(row).filter(Column::Id.eq(id));
    let changed = mine.filter(Column::UserId.eq(user.0)).exec_with_returning(db).await?;
    Ok(changed.into_iter().next())
}

/// Removes a link of an account. Returns `false` if there is no such link.
///
/// # Errors
/// Any database error.
pub async fn remove(db: &impl ConnectionTrait, user: UserId, id: i64) -> Result<bool, DbErr> {
    let mine = Entity::delete_by_id(id).filter(Column::UserId.eq(user.0));
    Ok(mine.exec(db).await?.rows_affected == 1)
}

/// Takes a place for a new upload. Returns `false` if there is none, or if the link is revoked or has expired.
///
/// # Errors
/// Any database error.
pub async fn take_place(db: &DatabaseTransaction, id: i64) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .filter(Column::Id.eq(id))
        .filter(Column::Revoked.eq(false))
        .filter(Expr::col(Column::Uploads).lt(Expr::col(Column::MaxUploads)))
        .filter(Expr::col(Column::ExpiresAtMs).gt(crate::now_ms(db)))
        .col_expr(Column::Uploads, Expr::col(Column::Uploads).add(1));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Returns the place of an upload that is removed.
pub(crate) async fn return_place(db: &DatabaseTransaction, id: i64) -> Result<(), DbErr> {
    let update = Entity::update_many()
        .filter(Column::Id.eq(id))
        .filter(Column::Uploads.gt(0))
        .col_expr(Column::Uploads, Expr::col(Column::Uploads).sub(1));
    update.exec(db).await.map(drop)
}
