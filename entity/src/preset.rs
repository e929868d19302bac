//! Table `presets`: recipes of an account, each under a name that it has once. Those of the installation are no rows.

use domain::UserId;
use domain::recipe::Name;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, IntoActiveModel, QueryOrder};

/// A recipe with a name.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "presets")]
#[allow(missing_docs, reason = "columns say what they are")]
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
#[allow(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What a preset says.
#[derive(Clone, Debug)]
pub struct Content {
    /// One sentence for people.
    pub summary: Option<String>,
    /// The recipe, as checked.
    pub recipe: Json,
}

/// Records a preset; call it in [`crate::user::write`], where [`count`] stays true until the commit. A taken name is an
/// error that [`crate::is_duplicate`] knows.
///
/// # Errors
/// Those of the database.
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

/// The presets of an account, by name.
///
/// # Errors
/// Those of the database.
pub async fn list(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.order_by_asc(Column::Name).all(db).await
}

/// How many presets an account has.
///
/// # Errors
/// Those of the database.
pub async fn count(db: &impl ConnectionTrait, user: UserId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::UserId.eq(user.0)).count(db).await
}

/// The preset of this name, if the account has it.
///
/// # Errors
/// Those of the database.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, name: &str) -> Result<Option<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.filter(Column::Name.eq(name)).one(db).await
}

/// Replaces what a preset says; tasks made from it keep what it said before.
///
/// # Errors
/// Those of the database; [`DbErr::RecordNotUpdated`] when it is gone.
pub async fn replace(db: &DatabaseTransaction, preset: Model, content: Content) -> Result<Model, DbErr> {
    let mut row = preset.into_active_model();
    row.summary = Set(content.summary);
    row.recipe = Set(content.recipe);
    row.updated_at = Set(crate::now());
    row.update(db).await
}

/// Removes a preset; tasks made from it keep their recipe. `false`: another request removed it before.
///
/// # Errors
/// Those of the database.
pub async fn remove(db: &impl ConnectionTrait, preset: &Model) -> Result<bool, DbErr> {
    Ok(Entity::delete_by_id(preset.id).exec(db).await?.rows_affected == 1)
}
