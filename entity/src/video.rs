//! Table `videos`: the entries of the library. A video has one source and the tasks of this source. It is published
//! when one of these tasks is: then the outputs of that task are shown.
//!
//! Every change of a video is followed by an entry in `library_changes`, appended by the functions here that end with
//! the number of the change, or by the caller, who calls [`crate::library_change::append`] as the last statement, after
//! appending the event.

mod entry;

pub use entry::{Entry, entries_after, entries_of, ids_between};

use crate::user;
use chrono::{DateTime, Utc};
use domain::{TaskId, UserId, VideoId, Visibility};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, IntoActiveModel, QuerySelect};
use uuid::Uuid;

/// An entry of the library.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "videos")]
#[allow(missing_docs, reason = "the other columns are explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    pub source_id: i64,
    /// Random and never changed: public links contain it, so they stay valid when secrets are rotated.
    pub public_id: String,
    pub title: String,
    pub description: String,
    /// An array of strings.
    pub tags: Json,
    pub region: Option<String>,
    /// The id of the video in another system; unique within the account.
    pub external_id: Option<String>,
    /// An object that clients define.
    pub metadata: Json,
    pub visibility: VideoVisibility,
    /// The visibility that it gets when a task of it is processed; `None` if its owner publishes it.
    pub publish_as: Option<VideoVisibility>,
    /// The task whose outputs are shown; `None` while the video is private.
    pub task_id: Option<i64>,
    pub published_at: Option<ChronoDateTimeUtc>,
    pub created_at: ChronoDateTimeUtc,
    pub updated_at: ChronoDateTimeUtc,
}

/// [`Visibility`] as a text column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[allow(missing_docs, reason = "see `Visibility`")]
pub enum VideoVisibility {
    Private,
    Unlisted,
    Public,
}

impl From<VideoVisibility> for Visibility {
    fn from(visibility: VideoVisibility) -> Self {
        match visibility {
            VideoVisibility::Private => Self::Private,
            VideoVisibility::Unlisted => Self::Unlisted,
            VideoVisibility::Public => Self::Public,
        }
    }
}

impl From<Visibility> for VideoVisibility {
    fn from(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Private => Self::Private,
            Visibility::Unlisted => Self::Unlisted,
            Visibility::Public => Self::Public,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "named after the related tables")]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::user::Entity",
        from = "Column::UserId",
        to = "crate::user::Column::Id"
    )]
    Owner,
    #[sea_orm(
        belongs_to = "crate::source::Entity",
        from = "Column::SourceId",
        to = "crate::source::Column::Id"
    )]
    Source,
}

impl Related<user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Owner.def()
    }
}

impl Related<crate::source::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Source.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The id as its own type.
    #[must_use]
    pub const fn video_id(&self) -> VideoId {
        VideoId(self.id)
    }

    /// The account that the video belongs to.
    #[must_use]
    pub const fn owner(&self) -> UserId {
        UserId(self.user_id)
    }
}

/// Columns to change; those that are `None` stay.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "columns of the row")]
pub struct Changes {
    pub title: Option<String>,
    pub description: Option<String>,
    pub tags: Option<Vec<String>>,
    pub region: Option<Option<String>>,
    pub external_id: Option<Option<String>>,
    pub metadata: Option<Json>,
}

/// Creates the private video of a new source. The caller appends the change.
///
/// # Errors
/// Any database error.
pub async fn create(db: &DatabaseTransaction, user: UserId, source: i64, title: String) -> Result<Model, DbErr> {
    let now = crate::now();
    let row = ActiveModel {
        id: NotSet,
        user_id: Set(user.0),
        source_id: Set(source),
        public_id: Set(Uuid::new_v4().simple().to_string()),
        title: Set(title),
        description: Set(String::new()),
        tags: Set(Json::Array(Vec::new())),
        region: Set(None),
        external_id: Set(None),
        metadata: Set(Json::Object(serde_json::Map::new())),
        visibility: Set(VideoVisibility::Private),
        publish_as: Set(None),
        task_id: Set(None),
        published_at: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
    };
    row.insert(db).await
}

/// The video with this id, if it belongs to the account.
///
/// # Errors
/// Any database error.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, id: VideoId) -> Result<Option<Model>, DbErr> {
    let mine = Entity::find_by_id(id.0).filter(Column::UserId.eq(user.0));
    mine.one(db).await
}

/// The video of a source.
///
/// # Errors
/// Any database error.
pub async fn of_source(db: &impl ConnectionTrait, source: i64) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::SourceId.eq(source)).one(db).await
}

/// Changes a video. Call it in [`user::write`]; the caller appends the change. For an `external_id` that is taken, the
/// error satisfies [`crate::is_duplicate`].
///
/// # Errors
/// Any database error.
pub async fn update(db: &DatabaseTransaction, video: Model, changes: Changes) -> Result<Model, DbErr> {
    let mut row = video.into_active_model();
    let Changes {
        title,
        description,
        tags,
        region,
        external_id,
        metadata,
    } = changes;
    let text = |old, new: Option<String>| new.map_or(old, Set);
    row.title = text(row.title, title);
    row.description = text(row.description, description);
    row.tags = tags.map_or(row.tags, |tags| Set(Json::from(tags)));
    row.region = region.map_or(row.region, Set);
    row.external_id = external_id.map_or(row.external_id, Set);
    row.metadata = metadata.map_or(row.metadata, Set);
    row.updated_at = Set(crate::now());
    row.update(db).await
}

/// Shows the outputs of a task of the video. A video that was published before keeps its time of publication. Call it
/// in [`user::write`], where the status of the task has been read; the caller appends the change.
///
/// # Errors
/// Any database error.
pub async fn publish(
    db: &DatabaseTransaction,
    video: Model,
    task: TaskId,
    visibility: Visibility,
) -> Result<Model, DbErr> {
    let published_at = video.published_at.unwrap_or_else(crate::now);
    set_shown(db, video, visibility, Some((task, published_at))).await
}

/// Hides a video. Call it in [`user::write`]; the caller appends the change.
///
/// # Errors
/// Any database error.
pub async fn unpublish(db: &DatabaseTransaction, video: Model) -> Result<Model, DbErr> {
    set_shown(db, video, Visibility::Private, None).await
}

async fn set_shown(
    db: &DatabaseTransaction,
    video: Model,
    visibility: Visibility,
    shown: Option<(TaskId, DateTime<Utc>)>,
) -> Result<Model, DbErr> {
    let mut row = video.into_active_model();
    row.visibility = Set(visibility.into());
    row.publish_as = Set(None);
    row.task_id = Set(shown.map(|(task, _)| task.0));
    row.published_at = Set(shown.map(|(_, at)| at));
    row.updated_at = Set(crate::now());
    row.update(db).await
}

/// Publishes a video when a task of it is processed. Call it in [`user::write`]. A task that is processed at the same
/// time does not see it if the row is locked already, so the caller must look for a processed task afterwards.
///
/// # Errors
/// Any database error.
pub async fn publish_later(db: &DatabaseTransaction, video: Model, visibility: Visibility) -> Result<Model, DbErr> {
    let mut row = video.into_active_model();
    row.publish_as = Set(Some(visibility.into()));
    row.updated_at = Set(crate::now());
    row.update(db).await
}

/// The video of a task that was processed, and `true` if it is published now because its owner has asked for that
/// ([`publish_later`]). The row is locked, so that one who asks at the same time either is heard, or sees the task.
pub(crate) async fn of_processed(
    db: &DatabaseTransaction,
    task: TaskId,
    source: i64,
) -> Result<Option<(Model, bool)>, DbErr> {
    let video = Entity::find().filter(Column::SourceId.eq(source));
    let Some(video) = video.lock_exclusive().one(db).await? else {
        return Ok(None);
    };
    match video.publish_as {
        Some(visibility) => Ok(Some((publish(db, video, task, visibility.into()).await?, true))),
        None => Ok(Some((video, false))),
    }
}

/// Makes a video private that shows the outputs of a task.
pub(crate) async fn hide(db: &impl ConnectionTrait, task: TaskId) -> Result<(), DbErr> {
    let shown = Entity::update_many()
        .col_expr(Column::Visibility, Expr::value(VideoVisibility::Private))
        .col_expr(Column::TaskId, Expr::value(Option::<i64>::None))
        .col_expr(Column::PublishedAt, Expr::value(Option::<DateTime<Utc>>::None))
        .col_expr(Column::UpdatedAt, Expr::value(crate::now()))
        .filter(Column::TaskId.eq(task.0));
    shown.exec(db).await.map(drop)
}

/// Ids of one statement, which each connection keeps prepared.
const IDS_OF_STATEMENT: usize = 200;

/// The videos of an account with one of these external ids, with their ids.
///
/// # Errors
/// Any database error.
pub async fn with_external_ids(
    db: &impl ConnectionTrait,
    user: UserId,
    external_ids: &[String],
) -> Result<Vec<(String, i64)>, DbErr> {
    let mut found = Vec::new();
    for ids in external_ids.chunks(IDS_OF_STATEMENT) {
        let mine = Entity::find().select_only().columns([Column::ExternalId, Column::Id]);
        let mine = mine.filter(Column::UserId.eq(user.0));
        let mine = mine.filter(Column::ExternalId.is_in(ids.iter().map(String::as_str)));
        found.extend(mine.into_tuple::<(String, i64)>().all(db).await?);
    }
    Ok(found)
}
