//! The file of a new task: just stored, or a complete resumable upload.

use super::complete_upload;
use super::session::{Session, interrupted};
use crate::app::Core;
use crate::{Error, NewFile};
use domain::{UploadPurpose, UserId};
use entity::watched_file::WatchedFile;
use entity::{DatabaseTransaction, fetch, source};

/// The file of a new task.
pub enum File {
    /// A file that no row refers to yet.
    New {
        /// The file name as given by the user.
        given_name: String,
        /// The file.
        file: Box<NewFile>,
    },
    /// A file of a watched folder, stored but without a row that refers to it ([`watch`](crate::watch)).
    Watched {
        /// The name in the folder.
        given_name: String,
        /// The stored file.
        file: Box<NewFile>,
        /// The row of the file in the folder, which takes the task.
        row: WatchedFile,
    },
    /// The id of a resumable upload. With it a task is refused with `upload_not_found`, `upload_unfinished`,
    /// `upload_used`, `upload_purpose_wrong` or `upload_interrupted`, and with `not_media` if it is complete and none.
    Upload(String),
}

/// The file of a task that is being created.
pub(super) enum OpenFile {
    New {
        given_name: String,
        file: Box<NewFile>,
        watched: Option<WatchedFile>,
    },
    Upload(Box<Session>),
}

impl File {
    /// Takes over an upload, and completes it if its last request could not.
    pub(super) async fn open(self, app: &Core, user: UserId) -> Result<OpenFile, Error> {
        let id = match self {
            Self::New { given_name, file } => {
                let watched = None;
                return Ok(OpenFile::New {
                    given_name,
                    file,
                    watched,
                });
            }
            Self::Watched { given_name, file, row } => {
                let watched = Some(row);
                return Ok(OpenFile::New {
                    given_name,
                    file,
                    watched,
                });
            }
            Self::Upload(id) => id,
        };
        let session = complete_upload::take(app, user, &id, UploadPurpose::Video).await?;
        Ok(OpenFile::Upload(Box::new(session)))
    }
}

impl OpenFile {
    /// The file name as given by the user.
    pub(super) fn given_name(&self) -> &str {
        match self {
            Self::New { given_name, .. } => given_name,
            Self::Upload(session) => &session.row.file_name,
        }
    }

    /// The values of the source.
    pub(super) fn row(&self) -> source::New {
        match self {
            Self::New { file, .. } => source::New {
                key: file.key(),
                bytes: file.stored().bytes,
                sha256: file.stored().sha256.clone(),
            },
            Self::Upload(session) => source::New {
                key: session.row.key.clone(),
                bytes: session.row.received(),
                sha256: session.row.sha256.clone().unwrap_or_default(),
            },
        }
    }

    /// Hands the file over to the source, in the transaction that creates the task.
    ///
    /// # Errors
    /// `upload_interrupted` when another request has the upload, or another watcher the file.
    pub(super) async fn attach(&self, db: &DatabaseTransaction, task: i64) -> Result<(), Error> {
        match self {
            Self::New { watched: None, .. } => Ok(()),
            Self::New { watched: Some(row), .. } => {
                let is_ours = row.attach(db, task).await?;
                is_ours.then_some(()).ok_or_else(interrupted)
            }
            Self::Upload(session) => {
                let is_ours = session.lease.attach(db, task).await?;
                is_ours.then_some(()).ok_or_else(interrupted)?;
                if session.row.fetched {
                    fetch::forget_request(db, &session.row.id).await?;
                }
                Ok(())
            }
        }
    }

    /// Keeps or removes a new file, and releases an upload, by the outcome of the transaction.
    pub(super) async fn decide<T>(self, written: &Result<T, Error>) {
        match self {
            Self::New { file, .. } => file.decide(written).await,
            Self::Upload(session) => drop(session.release().await),
        }
    }
}
