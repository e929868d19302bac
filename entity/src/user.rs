//! Table `users`: accounts.

use domain::UserId;
use domain::account::{Email, Username};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveValue::NotSet, ActiveValue::Set, DatabaseConnection, DatabaseTransaction, QuerySelect};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
#[allow(missing_docs, reason = "columns say what they are")]
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
#[allow(missing_docs, reason = "none yet")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Its typed id.
    #[must_use]
    pub const fn user_id(&self) -> UserId {
        UserId(self.id)
    }
}

/// Makes an account.
///
/// # Errors
/// A unique violation when the name or the address is taken.
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

/// The account of this name.
///
/// # Errors
/// Those of the database.
pub async fn find_by_username(db: &impl ConnectionTrait, username: &str) -> Result<Option<Model>, DbErr> {
    if username.contains('\0') {
        // Nobody is called so, and Postgres takes no such text.
        return Ok(None);
    }
    Entity::find().filter(Column::Username.eq(username)).one(db).await
}

/// Whether an account has this name.
///
/// # Errors
/// Those of the database.
pub async fn has_name(db: &impl ConnectionTrait, username: &Username) -> Result<bool, DbErr> {
    let found = Entity::find().filter(Column::Username.eq(username.as_str()));
    found.count(db).await.map(|count| count > 0)
}

/// Whether an account has this address.
///
/// # Errors
/// Those of the database.
pub async fn has_email(db: &impl ConnectionTrait, email: &Email) -> Result<bool, DbErr> {
    let found = Entity::find().filter(Column::Email.eq(email.as_str()));
    found.count(db).await.map(|count| count > 0)
}

/// Whether the account still exists.
///
/// # Errors
/// Those of the database.
pub async fn exists(db: &impl ConnectionTrait, user: UserId) -> Result<bool, DbErr> {
    let found: Option<i64> = Entity::find_by_id(user.0)
        .select_only()
        .column(Column::Id)
        .into_tuple()
        .one(db)
        .await?;
    Ok(found.is_some())
}

/// Locks the account until the end of the transaction: the first lock of every transaction that takes more than one (see
/// [`crate`]). Of two transactions that lock an account, the second waits. Inserts of rows that refer to the account do not
/// wait. SQLite has one writing transaction at a time and needs no lock.
///
/// # Errors
/// Those of the database.
pub async fn lock(db: &impl ConnectionTrait, user: UserId) -> Result<(), DbErr> {
    let held = Entity::find_by_id(user.0)
        .select_only()
        .column(Column::Id)
        .lock(LockType::NoKeyUpdate);
    held.into_tuple::<i64>().one(db).await.map(|_| ())
}

/// Runs `work` as [`crate::write`] does, in a transaction that has locked the account. Rows of the account that `work`
/// reads are removed by no other transaction before the commit.
///
/// # Errors
/// Those of `work`, and of the database.
pub async fn write<T, E: From<DbErr>>(
    db: &DatabaseConnection,
    user: UserId,
    work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, E>,
) -> Result<T, E> {
    crate::write(db, async |db| {
        lock(db, user).await?;
        // Boxed, as its size would add to that of every caller.
        Box::pin(work(db)).await
    })
    .await
}

/// Stores a hash made with newer parameters.
///
/// # Errors
/// Those of the database.
pub async fn set_password_hash(db: &impl ConnectionTrait, user: UserId, hash: String) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::PasswordHash, Expr::value(hash));
    update.filter(Column::Id.eq(user.0)).exec(db).await.map(|_| ())
}
