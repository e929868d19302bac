//! Tables `uploads` and `upload_parts`: files on their way in that clients may resume after a cut.
//!
//! *Problem.* The connection of an upload breaks, or the process that receives it dies, and the client continues at any
//! process. The length that a client was told must never shrink, no two requests may write to one upload, and no file
//! may become two videos.
//!
//! *Mechanism.* A row holds the number of durable bytes. A request that writes takes a lease ([`crate::lease`]) on it
//! ([`UploadLease`]) and moves the number on when bytes are durable ([`UploadLease::checkpoint`]). A newcomer does not
//! wait for the end of a lease: it asks for the row ([`UploadLease::ask`]). A holder that finds the question
//! ([`UploadLease::state`]) stores its bytes and releases the row. The newcomer takes the row when it is free, or by
//! force when the holder neither answers nor renews its lease ([`UploadLease::take`]).
//!
//! *Invariants.*
//! - Each write of a holder has the condition `holder = ?`, so a request that was replaced changes nothing.
//! - The row refers to its file until a source does: [`UploadLease::attach`] is part of the transaction that creates
//!   the source, and succeeds once.
//! - `received_bytes` grows only after the bytes are durable.
//!
//! *Rejected.* The refusal 423 while another request holds the lock, as other servers do: the holder is mostly the
//! broken connection of the same client, which a server notices late.

mod expiry;
mod guest;
mod lease;

pub use expiry::{Expired, REPLACED_AFTER, expired};
pub use guest::{expire_of_guests, fail, received_from_guests};
pub use lease::{Checkpoint, EmptyFile, Holding, Ownership, UploadLease};

use crate::fetch;
use domain::{UploadPurpose, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Query;
use sea_orm::{Condition, DatabaseTransaction, ExprTrait, QueryOrder, QuerySelect};
use std::time::{Duration, SystemTime};

/// A resumable upload.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "uploads")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    /// A random UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub user_id: i64,
    /// Storage key of the file, which becomes that of the source.
    pub key: String,
    /// The name as given by the client.
    pub file_name: String,
    /// The header `Upload-Metadata` as it was sent.
    pub metadata: String,
    /// The length of the whole file; `None` until the client knows it.
    pub length_bytes: Option<i64>,
    /// Number of durable bytes.
    pub received_bytes: i64,
    /// The state of the hash of the file, as `storage` writes it; `None` before the first byte.
    pub hash_state: Option<String>,
    /// Hexadecimal SHA-256; set when the file is complete and checked.
    pub sha256: Option<String>,
    /// The client writes the parts to the bucket itself; `received_bytes` are those that were verified.
    pub presigned: bool,
    /// A worker fetches the file from a URL ([`crate::fetch`]).
    pub fetched: bool,
    /// The multipart upload of a bucket.
    pub multipart_id: Option<String>,
    /// Size of the parts of a multipart upload; 0 in a directory.
    pub part_bytes: i64,
    /// Storage key of the bytes behind the last whole part of a multipart upload.
    pub tail_key: Option<String>,
    /// The request that may write: the fencing token.
    pub holder: Option<String>,
    /// The request that asks the holder to release the row.
    pub claimant: Option<String>,
    /// A holder lost the row without releasing it, and may still write to the multipart upload.
    pub replaced: bool,
    /// End of the lease of the holder, on the database clock.
    pub until_ms: i64,
    /// The upload is removed after this time, on the database clock.
    pub expires_at_ms: i64,
    /// The task that was created from the file.
    pub task_id: Option<i64>,
    /// The link of the guest who sends the file ([`crate::guest_link`]).
    pub guest_link_id: Option<i64>,
    /// The session of the guest, who alone may continue the upload.
    pub guest_session: Option<String>,
    /// The largest length of the file, if it is below that of the installation.
    pub max_bytes: Option<i64>,
    /// The code of the error for which there is no task of a guest's file.
    pub error_code: Option<String>,
    /// Its detail.
    pub error_detail: Option<String>,
    pub purpose: Purpose,
}

/// [`UploadPurpose`] as a text column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[allow(missing_docs, reason = "see `UploadPurpose`")]
pub enum Purpose {
    #[default]
    Video,
    Manifest,
}

impl From<Purpose> for UploadPurpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Video => Self::Video,
            Purpose::Manifest => Self::Manifest,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The length of the whole file in bytes, if it is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length_bytes.and_then(|bytes| u64::try_from(bytes).ok())
    }

    /// Number of durable bytes.
    #[must_use]
    pub fn received(&self) -> u64 {
        u64::try_from(self.received_bytes).unwrap_or_default()
    }

    /// Returns `true` if all bytes are durable.
    #[must_use]
    pub fn is_received(&self) -> bool {
        self.length_bytes == Some(self.received_bytes)
    }

    /// Returns `true` if a request holds the upload, on the clock of this process.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holder.is_some() && self.until_ms > crate::now().timestamp_millis()
    }

    /// The time after which the upload is removed.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(self.expires_at_ms).unwrap_or_default())
    }
}

/// The parts of a multipart upload.
pub mod part {
    use sea_orm::entity::prelude::*;

    /// A part that the bucket has stored.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "upload_parts")]
    #[allow(missing_docs, reason = "explained by their names")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub upload_id: String,
        /// The number of the part, from 0.
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i32,
        /// The name that the bucket has given to the content.
        pub content_id: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    #[allow(missing_docs, reason = "has no variants")]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The values of a new upload.
#[derive(Clone, Debug)]
pub struct New {
    /// A random UUID.
    pub id: String,
    /// Storage key of the file.
    pub key: String,
    /// The name as given by the client.
    pub file_name: String,
    /// The header `Upload-Metadata`.
    pub metadata: String,
    /// The length of the file, if it is known.
    pub length_bytes: Option<u64>,
    /// The client writes the parts to the bucket itself.
    pub presigned: bool,
    /// A worker fetches the file from a URL.
    pub fetched: bool,
    /// The multipart upload of a bucket.
    pub multipart_id: Option<String>,
    /// Size of its parts.
    pub part_bytes: u64,
    /// The guest who sends the file.
    pub guest: Option<Guest>,
    /// The purpose of the file.
    pub purpose: UploadPurpose,
}

/// A guest who sends a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The link of the guest.
    pub link: i64,
    /// The id of the session.
    pub session: String,
    /// The largest length of a file.
    pub max_bytes: u64,
}

/// Inserts an upload without bytes that expires after `lifetime`.
///
/// # Errors
/// Any database error.
pub async fn create(db: &DatabaseTransaction, user: UserId, new: &New, lifetime: Duration) -> Result<Model, DbErr> {
    let columns = [
        (Column::Id, new.id.as_str().into()),
        (Column::UserId, user.0.into()),
        (Column::Key, new.key.as_str().into()),
        (Column::FileName, new.file_name.as_str().into()),
        (Column::Metadata, new.metadata.as_str().into()),
        (Column::LengthBytes, Expr::value(new.length_bytes.map(stored))),
        (Column::ReceivedBytes, 0_i64.into()),
        (Column::Presigned, new.presigned.into()),
        (Column::Fetched, new.fetched.into()),
        (Column::MultipartId, Expr::value(new.multipart_id.clone())),
        (Column::PartBytes, stored(new.part_bytes).into()),
        (Column::Replaced, false.into()),
        (Column::UntilMs, 0_i64.into()),
        (Column::ExpiresAtMs, crate::in_ms(db, crate::millis(lifetime))),
        (
            Column::GuestLinkId,
            Expr::value(new.guest.as_ref().map(|guest| guest.link)),
        ),
        (
            Column::GuestSession,
            Expr::value(new.guest.as_ref().map(|guest| guest.session.clone())),
        ),
        (
            Column::MaxBytes,
            Expr::value(new.guest.as_ref().map(|guest| stored(guest.max_bytes))),
        ),
        (Column::Purpose, new.purpose.as_str().into()),
    ];
    let (columns, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let insert = Query::insert()
        .into_table(Entity)
        .columns(columns)
        .values_panic(values)
        .to_owned();
    db.execute(&insert).await?;
    let row = Entity::find_by_id(new.id.as_str()).one(db).await?;
    row.ok_or_else(|| DbErr::RecordNotFound(format!("upload {}", new.id)))
}

/// The number of uploads of the account that are no task yet, and may become one: those of its guests, or all others.
///
/// # Errors
/// Any database error.
pub async fn count_open(db: &impl ConnectionTrait, user: UserId, of_guests: bool) -> Result<u64, DbErr> {
    let open = Entity::find().filter(Column::UserId.eq(user.0));
    let open = open.filter(Column::TaskId.is_null());
    // The files of failed fetches are removed already.
    let failed = Query::select()
        .column(fetch::Column::UploadId)
        .from(fetch::Entity)
        .and_where(Expr::col(fetch::Column::ErrorCode).is_not_null())
        .to_owned();
    let open = open.filter(Column::Id.not_in_subquery(failed));
    let open = if of_guests {
        open.filter(Column::GuestLinkId.is_not_null())
    } else {
        open.filter(Column::GuestLinkId.is_null())
    };
    open.count(db).await
}

/// An upload of the account that has not expired.
///
/// # Errors
/// Any database error.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, id: &str) -> Result<Option<Model>, DbErr> {
    current(db, id, Condition::all().add(Column::UserId.eq(user.0))).await
}

/// An upload of the session of a guest that has not expired.
///
/// # Errors
/// Any database error.
pub async fn of_guest(db: &impl ConnectionTrait, guest: &Guest, id: &str) -> Result<Option<Model>, DbErr> {
    let is_of_session = Condition::all()
        .add(Column::GuestLinkId.eq(guest.link))
        .add(Column::GuestSession.eq(guest.session.as_str()));
    current(db, id, is_of_session).await
}

async fn current(db: &impl ConnectionTrait, id: &str, owned: Condition) -> Result<Option<Model>, DbErr> {
    // Postgres accepts no NUL in text.
    if id.contains('\0') {
        return Ok(None);
    }
    let is_current = Expr::col(Column::ExpiresAtMs).gt(crate::now_ms(db));
    Entity::find_by_id(id).filter(owned).filter(is_current).one(db).await
}

/// Lets an upload expire after `lifetime` from now. Returns `false` if it has expired already.
///
/// # Errors
/// Any database error.
pub async fn extend(db: &impl ConnectionTrait, id: &str, lifetime: Duration) -> Result<bool, DbErr> {
    let is_current = Expr::col(Column::ExpiresAtMs).gt(crate::now_ms(db));
    let update = Entity::update_many().filter(Column::Id.eq(id)).filter(is_current);
    let expires_at_ms = crate::in_ms(db, crate::millis(lifetime));
    let extended = update.col_expr(Column::ExpiresAtMs, expires_at_ms).exec(db).await?;
    Ok(extended.rows_affected == 1)
}

/// The names that the bucket has given to the parts of an upload, in order.
///
/// # Errors
/// Any database error.
pub async fn parts(db: &impl ConnectionTrait, id: &str) -> Result<Vec<String>, DbErr> {
    let parts = part::Entity::find()
        .select_only()
        .column(part::Column::ContentId)
        .filter(part::Column::UploadId.eq(id))
        .order_by_asc(part::Column::Number);
    parts.into_tuple().all(db).await
}

/// A number of bytes as a column stores it.
fn stored(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
