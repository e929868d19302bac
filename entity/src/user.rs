//! Table `users`: accounts.

use domain::UserId;
use domain::account::{Email, Username};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::LockType;
use sea_orm::{
    ActiveValue::NotSet, ActiveValue::Set, DatabaseConnection, DatabaseTransaction, QueryOrder, QuerySelect,
};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(unique)]
    pub username: String,
    #[sea_orm(unique)]
    pub email: String,
    pub password_hash: String,
    pub created_at: ChronoDateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The id as its own type.
    #[must_use]
    pub const fn user_id(&self) -> UserId {
        UserId(self.id)
    }
}

/// Creates an account.
///
/// # Errors
/// Any database error. If the name or the email address is taken, it satisfies [`crate::is_duplicate`].
pub async fn create(
    db: &DatabaseTransaction,
    username: &Username,
    email: &Email,
    password_hash: String,
) -> Result<Model, DbErr> {
    let row = ActiveModel {
        id: NotSet,
        username: Set(username.as_str().to_owned()),
        email: Set(email.as_str().to_owned()),
        password_hash: Set(password_hash),
        created_at: Set(crate::now()),
    };
    row.insert(db).await
}

/// The account with this name.
///
/// # Errors
/// Any database error.
pub async fn find_by_username(db: &impl ConnectionTrait, username: &str) -> Result<Option<Model>, DbErr> {
    if username.contains('\0') {
        // Postgres refuses text with a NUL byte, and no name contains one.
        return Ok(None);
    }
    Entity::find().filter(Column::Username.eq(username)).one(db).await
}

/// The account with this email address.
///
/// # Errors
/// Any database error.
pub async fn find_by_email(db: &impl ConnectionTrait, email: &Email) -> Result<Option<UserId>, DbErr> {
    let found = Entity::find().filter(Column::Email.eq(email.as_str())).one(db).await?;
    Ok(found.map(|user| user.user_id()))
}

/// Returns `true` if the name is taken.
///
/// # Errors
/// Any database error.
pub async fn has_name(db: &impl ConnectionTrait, username: &Username) -> Result<bool, DbErr> {
    let found = Entity::find().filter(Column::Username.eq(username.as_str()));
    found.count(db).await.map(|count| count > 0)
}

/// Returns `true` if an account has this email address.
///
/// # Errors
/// Any database error.
pub async fn has_email(db: &impl ConnectionTrait, email: &Email) -> Result<bool, DbErr> {
    let found = Entity::find().filter(Column::Email.eq(email.as_str()));
    found.count(db).await.map(|count| count > 0)
}

/// Returns `true` if the account exists.
///
/// # Errors
/// Any database error.
pub async fn exists(db: &impl ConnectionTrait, user: UserId) -> Result<bool, DbErr> {
    let found: Option<i64> = Entity::find_by_id(user.0)
        .select_only()
        .column(Column::Id)
        .into_tuple()
        .one(db)
        .await?;
    Ok(found.is_some())
}

/// The ids of accounts above `after` in order, at most `limit`.
///
/// # Errors
/// Any database error.
pub async fn ids_after(db: &impl ConnectionTrait, after: UserId, limit: u64) -> Result<Vec<UserId>, DbErr> {
    let ids: Vec<i64> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Id.gt(after.0))
        .order_by_asc(Column::Id)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?;
    Ok(ids.into_iter().map(UserId).collect())
}

/// Locks the account until the end of the transaction. It is the first lock of every transaction that takes more than
/// one (see the lock order in [`crate`]). `FOR NO KEY UPDATE` excludes other holders of this lock, but not inserts of
/// rows that refer to the account. SQLite has one writing transaction at a time and needs no lock.
///
/// # Errors
/// Any database error.
pub async fn lock(db: &impl ConnectionTrait, user: UserId) -> Result<(), DbErr> {
    let row = Entity::find_by_id(user.0)
        .select_only()
        .column(Column::Id)
        .lock(LockType::NoKeyUpdate);
    row.into_tuple::<i64>().one(db).await.map(|_| ())
}

/// [`crate::write`] with a lock on the account: no other transaction removes rows of the account that `work` has read
/// before the commit.
///
/// # Errors
/// The errors of `work`, and any database error.
pub async fn write<T, E: From<DbErr>>(
    db: &DatabaseConnection,
    user: UserId,
    work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, E>,
) -> Result<T, E> {
    crate::write(db, async |db| {
        lock(db, user).await?;
        // Boxed: otherwise the future of every caller grows by the size of this one.
        Box::pin(work(db)).await
    })
    .await
}

/// Replaces the password hash, as when the parameters of the hash function have changed.
///
/// # Errors
/// Any database error.
pub async fn set_password_hash(db: &impl ConnectionTrait, user: UserId, hash: String) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::PasswordHash, Expr::value(hash));
    update.filter(Column::Id.eq(user.0)).exec(db).await.map(|_| ())
}
