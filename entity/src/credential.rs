//! Table `credentials`: access keys of accounts for buckets of their own. Names are unique within an account.

use domain::UserId;
use domain::recipe::Name;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, QueryOrder};

/// The endpoint and the access key of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credentials")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    pub name: String,
    pub endpoint: String,
    pub region: String,
    pub access_key_id: String,
    /// The secret key, encrypted. The database and its backups alone do not tell it.
    pub sealed_secret: String,
    pub created_at: ChronoDateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The values of a new credential.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "explained by their names")]
pub struct New {
    pub name: Name,
    pub endpoint: String,
    pub region: String,
    pub access_key_id: String,
    pub sealed_secret: String,
}

/// Inserts a credential. Call it in [`crate::user::write`], where the result of [`count`] stays valid until the commit.
/// For a name that is taken, the error satisfies [`crate::is_duplicate`].
///
/// # Errors
/// Any database error.
pub async fn create(db: &DatabaseTransaction, user: UserId, new: New) -> Result<Model, DbErr> {
    let row = ActiveModel {
        id: NotSet,
        user_id: Set(user.0),
        name: Set(new.name.to_string()),
        endpoint: Set(new.endpoint),
        region: Set(new.region),
        access_key_id: Set(new.access_key_id),
        sealed_secret: Set(new.sealed_secret),
        created_at: Set(crate::now()),
    };
    row.insert(db).await
}

/// The credentials of an account, ordered by name.
///
/// # Errors
/// Any database error.
pub async fn list(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.order_by_asc(Column::Name).all(db).await
}

/// The number of credentials of an account.
///
/// # Errors
/// Any database error.
pub async fn count(db: &impl ConnectionTrait, user: UserId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::UserId.eq(user.0)).count(db).await
}

/// The credential of an account with this name.
///
/// # Errors
/// Any database error.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, name: &Name) -> Result<Option<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.filter(Column::Name.eq(name.as_str())).one(db).await
}

/// Removes a credential. Returns `false` if another request has removed it.
///
/// # Errors
/// Any database error.
pub async fn remove(db: &impl ConnectionTrait, credential: &Model) -> Result<bool, DbErr> {
    Ok(Entity::delete_by_id(credential.id).exec(db).await?.rows_affected == 1)
}
