//! The sender of uploads.

use crate::Error;
use crate::app::Core;
use domain::{Code, UserId};
use entity::upload;

/// The sender of uploads: an account, or a guest with a link of it.
#[derive(Clone, Debug)]
pub struct Uploader {
    /// The account to which the files belong.
    pub account: UserId,
    /// The guest, who sees the uploads of one session alone.
    pub guest: Option<upload::Guest>,
}

impl From<UserId> for Uploader {
    fn from(account: UserId) -> Self {
        Self { account, guest: None }
    }
}

impl Uploader {
    /// An upload that this sender may see.
    ///
    /// # Errors
    /// `upload_not_found`; errors of the database.
    pub(super) async fn find(&self, app: &Core, id: &str) -> Result<upload::Model, Error> {
        let found = match &self.guest {
            Some(guest) => app.with_timeout(upload::of_guest(&app.db, guest, id)).await?,
            None => app.with_timeout(upload::of_user(&app.db, self.account, id)).await?,
        };
        found.ok_or_else(|| Code::UploadNotFound.into())
    }
}
