//! The file of a new import: just stored, or a complete resumable upload.

use super::complete_upload;
use super::session::{Session, interrupted};
use crate::app::Core;
use crate::{Error, NewFile};
use domain::{UploadPurpose, UserId};
use entity::{DatabaseTransaction, trash};
use std::time::Duration;

/// The file of a new import.
pub enum ManifestFile {
    /// A file that no row refers to yet.
    New {
        /// The file name as given by the user.
        given_name: String,
        /// The file.
        file: Box<NewFile>,
    },
    /// The id of a resumable upload. With it an import is refused with `upload_not_found`, `upload_unfinished`,
    /// `upload_used`, `upload_purpose_wrong` or `upload_interrupted`.
    Upload(String),
}

/// The file of an import that is being created.
pub(crate) struct OpenManifest(Opened);

enum Opened {
    New { given_name: String, file: Box<NewFile> },
    Upload(Box<Session>),
}

impl ManifestFile {
    /// Takes over an upload.
    pub(crate) async fn open(self, app: &Core, user: UserId) -> Result<OpenManifest, Error> {
        match self {
            Self::New { given_name, file } => Ok(OpenManifest(Opened::New { given_name, file })),
            Self::Upload(id) => {
                let session = complete_upload::take(app, user, &id, UploadPurpose::Manifest).await?;
                Ok(OpenManifest(Opened::Upload(Box::new(session))))
            }
        }
    }
}

impl OpenManifest {
    pub(crate) fn given_name(&self) -> &str {
        match &self.0 {
            Opened::New { given_name, .. } => given_name,
            Opened::Upload(session) => &session.row.file_name,
        }
    }

    pub(crate) fn key(&self) -> String {
        match &self.0 {
            Opened::New { file, .. } => file.key(),
            Opened::Upload(session) => session.row.key.clone(),
        }
    }

    pub(crate) fn sha256(&self) -> &str {
        match &self.0 {
            Opened::New { file, .. } => &file.stored().sha256,
            Opened::Upload(session) => session.row.sha256.as_deref().unwrap_or_default(),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match &self.0 {
            Opened::New { file, .. } => file.stored().bytes,
            Opened::Upload(session) => session.row.received(),
        }
    }

    /// Hands the file over to an import, in the transaction that creates it. An upload is gone then.
    ///
    /// # Errors
    /// `upload_interrupted` when another request has the upload.
    pub(crate) async fn attach(&self, db: &DatabaseTransaction) -> Result<(), Error> {
        match &self.0 {
            Opened::New { file, .. } => trash::remove_key(db, &file.key()).await?,
            Opened::Upload(session) => {
                let is_ours = session.lease.delete(db).await?;
                is_ours.then_some(()).ok_or_else(interrupted)?;
                trash::add_keys(db, session.row.tails().as_slice(), Duration::ZERO).await?;
            }
        }
        Ok(())
    }

    /// Keeps or removes a new file, and releases an upload, by the outcome of the transaction. `is_used` tells if the
    /// import has the file.
    pub(crate) async fn decide<T>(self, written: &Result<T, Error>, is_used: bool) {
        match self.0 {
            Opened::New { file, .. } if written.is_ok() && !is_used => file.discard().await,
            Opened::New { file, .. } => file.decide(written).await,
            Opened::Upload(session) => drop(session.release().await),
        }
    }
}
