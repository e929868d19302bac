//! Backup: a consistent copy of a SQLite database in use, and the list of the stored files that its rows refer to.

use crate::{image, import, output, source};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseConnection, DbBackend, FromQueryResult, QuerySelect, Statement};
use std::path::Path;

/// A stored file or set of files, as a row describes it.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct StoredFile {
    /// Storage key; for a set, a prefix that ends in `/`.
    pub key: String,
    /// Length in bytes; for a set, the sum of its files.
    pub bytes: i64,
    /// Hexadecimal SHA-256; for a set, that of its entry.
    pub sha256: String,
    /// For a set, the name of its entry file.
    pub entry: Option<String>,
}

/// Writes a consistent copy of the database to a file that does not exist yet, with
/// [VACUUM INTO](https://sqlite.org/lang_vacuum.html#vacuuminto). Readers and writers are not blocked. The file is not
/// synced to disk.
///
/// # Errors
/// Any database error; [`DbErr::Custom`] if the database is not SQLite.
pub async fn snapshot(db: &DatabaseConnection, to: &Path) -> Result<(), DbErr> {
    if db.get_database_backend() != DbBackend::Sqlite {
        return Err(DbErr::Custom(
            "only a SQLite database can be copied to a file".to_owned(),
        ));
    }
    let path = to
        .to_str()
        .ok_or_else(|| DbErr::Custom("the path is not UTF-8".to_owned()))?;
    let vacuum = Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO ?", [path.into()]);
    db.execute_raw(vacuum).await.map(|_| ())
}

/// All files that rows refer to: sources, manifests, images and outputs. A file that several tasks share is listed
/// once.
///
/// # Errors
/// Any database error.
pub async fn stored_files(db: &DatabaseConnection) -> Result<Vec<StoredFile>, DbErr> {
    let none = || Expr::value(Option::<String>::None);
    let sources = source::Entity::find()
        .select_only()
        .columns([source::Column::Key, source::Column::Bytes, source::Column::Sha256])
        .column_as(none(), "entry");
    let manifests = import::Entity::find()
        .select_only()
        .columns([import::Column::Key, import::Column::Bytes, import::Column::Sha256])
        .filter(import::Column::Key.ne(""))
        .column_as(none(), "entry");
    let images = image::Entity::find()
        .select_only()
        .columns([image::Column::Key, image::Column::Bytes, image::Column::Sha256])
        .column_as(none(), "entry");
    let outputs = output::Entity::find().select_only().distinct().columns([
        output::Column::Key,
        output::Column::Bytes,
        output::Column::Sha256,
        output::Column::Entry,
    ]);
    let mut named = sources.into_model::<StoredFile>().all(db).await?;
    named.extend(manifests.into_model::<StoredFile>().all(db).await?);
    named.extend(images.into_model::<StoredFile>().all(db).await?);
    named.extend(outputs.into_model::<StoredFile>().all(db).await?);
    Ok(named)
}
