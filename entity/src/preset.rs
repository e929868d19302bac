//! Table `presets`: named recipes of accounts. Names are unique within an account. Built-in presets have no rows.

use domain::UserId;
use domain::recipe::Name;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, IntoActiveModel, QueryOrder};

/// A named recipe.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "presets")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    pub name: String,
    pub summary: Option<String>,
    pub recipe: Json,
    pub created_at: ChronoDateTimeUtc,
    pub updated_at: ChronoDateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The values of a preset that its owner may change.
#[derive(Clone, Debug)]
pub struct Content {
    /// A one-sentence description.
    pub summary: Option<String>,
    /// The validated recipe.
    pub recipe: Json,
}

/// Inserts a preset. Call it in [`crate::user::write`], where the result of [`count`] stays valid until the commit. For
/// a name that is taken, the error satisfies [`crate::is_duplicate`].
///
/// # Errors
/// Any database error.
pub async fn create(db: &DatabaseTransaction, user: UserId, name: &Name, content: Content) -> Result<Model, DbErr> {
    let now = crate::now();
    let row = ActiveModel {
        id: NotSet,
        user_id: Set(user.0),
        name: Set(name.to_string()),
        summary: Set(content.summary),
        recipe: Set(content.recipe),
        created_at: Set(now),
        updated_at: Set(now),
    };
    row.insert(db).await
}

/// The presets of an account, ordered by name.
///
/// # Errors
/// Any database error.
pub async fn list(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.order_by_asc(Column::Name).all(db).await
}

/// The number of presets of an account.
///
/// # Errors
/// Any database error.
pub async fn count(db: &impl ConnectionTrait, user: UserId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::UserId.eq(user.0)).count(db).await
}

/// The preset of an account with this name.
///
/// # Errors
/// Any database error.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, name: &str) -> Result<Option<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.filter(Column::Name.eq(name)).one(db).await
}

/// Replaces the content of a preset. Existing tasks keep the recipe that they were created with.
///
/// # Errors
/// Any database error; [`DbErr::RecordNotUpdated`] if the preset has been removed.
pub async fn replace(db: &DatabaseTransaction, preset: Model, content: Content) -> Result<Model, DbErr> {
    let mut row = preset.into_active_model();
    row.summary = Set(content.summary);
    row.recipe = Set(content.recipe);
    row.updated_at = Set(crate::now());
    row.update(db).await
}

/// Removes a preset. Existing tasks keep the recipe that they were created with. Returns `false` if another request has
/// removed it.
///
/// # Errors
/// Any database error.
pub async fn remove(db: &impl ConnectionTrait, preset: &Model) -> Result<bool, DbErr> {
    Ok(Entity::delete_by_id(preset.id).exec(db).await?.rows_affected == 1)
}
