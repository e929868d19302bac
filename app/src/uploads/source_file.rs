//! The file of a new task: just stored, or a complete resumable upload.

use super::session::{Session, interrupted};
use crate::app::Core;
use crate::{Error, NewFile, Refusal};
use domain::{Code, UserId};
use entity::watched_file::WatchedFile;
use entity::{DatabaseTransaction, fetch, source, upload};

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
    /// `upload_used` or `upload_interrupted`, and with `not_media` if it is complete and none.
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
        // Before it is taken, so that a request that still sends goes on.
        let found = app.with_timeout(upload::of_user(&app.db, user, &id)).await?;
        check_ready(&found.ok_or(Code::UploadNotFound)?)?;
        let mut session = Session::take_over(app, &user.into(), &id, |_| true).await?;
        let ready = match check_ready(&session.row) {
            Ok(()) => complete(&mut session).await,
            Err(refusal) => Err(refusal.into()),
        };
        match ready {
            Ok(()) => Ok(OpenFile::Upload(Box::new(session))),
            Err(error) => {
                session.release().await;
                Err(error)
            }
        }
    }
}

/// Completes an upload, and checks that its file is there: a restored backup has rows of uploads, but not their files.
async fn complete(session: &mut Session) -> Result<(), Error> {
    session.complete().await?;
    let position = session.position()?;
    let bytes = session.app.storage.head(&position.key).await?;
    (bytes == Some(position.bytes))
        .then_some(())
        .ok_or_else(|| Code::UploadNotFound.into())
}

/// Checks that all bytes of an upload are there, and that it has no task.
fn check_ready(upload: &upload::Model) -> Result<(), Refusal> {
    if let Some(task) = upload.task_id {
        return Err(Refusal::new(Code::UploadUsed).detail(format!("task {task}")));
    }
    if upload.is_received() {
        return Ok(());
    }
    let received = upload.received();
    let detail = match upload.length() {
        Some(length) => format!("{received} of {length} bytes"),
        None => format!("{received} bytes; the length is not known yet"),
    };
    Err(Refusal::new(Code::UploadUnfinished).detail(detail))
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
