//! Table `users`: accounts.

use domain::UserId;
use domain::account::{Email, Username};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::NotSet, ActiveValue::Set, QuerySelect};

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
/// A unique violation when the name or the address is taken: see [`taken`].
pub async fn create(
    db: &impl ConnectionTrait,
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

/// What a unique violation of [`create`] was about; `None` for another error.
#[must_use]
pub fn taken(error: &DbErr) -> Option<domain::Code> {
    let Some(SqlErr::UniqueConstraintViolation(text)) = error.sql_err() else {
        return None;
    };
    // Postgres names the constraint, SQLite the column.
    let email = text.contains("users_email_key") || text.contains("users.email");
    Some(if email {
        domain::Code::EmailTaken
    } else {
        domain::Code::UsernameTaken
    })
}

/// The account of this name.
///
/// # Errors
/// Those of the database.
pub async fn find_by_username(db: &impl ConnectionTrait, username: &str) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::Username.eq(username)).one(db).await
}

/// Whether a name or an address is taken, in the order in which a client is told.
///
/// # Errors
/// Those of the database.
pub async fn conflict(
    db: &impl ConnectionTrait,
    username: &Username,
    email: &Email,
) -> Result<Option<domain::Code>, DbErr> {
    if Entity::find()
        .filter(Column::Username.eq(username.as_str()))
        .count(db)
        .await?
        > 0
    {
        return Ok(Some(domain::Code::UsernameTaken));
    }
    let found = Entity::find()
        .filter(Column::Email.eq(email.as_str()))
        .count(db)
        .await?;
    Ok((found > 0).then_some(domain::Code::EmailTaken))
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

/// Holds the account until the end of the transaction: of two that do, the second waits. (SQLite lets only one
/// transaction write anyway.)
///
/// # Errors
/// Those of the database.
pub(crate) async fn lock(db: &impl ConnectionTrait, user: UserId) -> Result<(), DbErr> {
    let held = Entity::find_by_id(user.0)
        .select_only()
        .column(Column::Id)
        .lock_exclusive();
    held.into_tuple::<i64>().one(db).await.map(|_| ())
}

/// Stores a hash made with newer parameters.
///
/// # Errors
/// Those of the database.
pub async fn set_password_hash(db: &impl ConnectionTrait, user: UserId, hash: String) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::PasswordHash, Expr::value(hash));
    update.filter(Column::Id.eq(user.0)).exec(db).await.map(|_| ())
}
