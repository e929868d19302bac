//! Images of an account, for watermarks and bumpers. Images are immutable: to change one, remove it and create a new
//! one.

use crate::app::App;
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::image_header::{ImageHeader, read_header};
use crate::trash::remove_listed;
use crate::uninterrupted::uninterrupted;
use crate::{Error, NewFile, OnUnique, Refusal};
use bytes::Bytes;
use domain::limits::MAX_IMAGE_BYTES;
use domain::recipe::Name;
use domain::{Code, UserId};
use entity::image::{self, Removal};
use serde::Serialize;
use storage::Key;
use uuid::Uuid;

/// Maximum number of images of an account.
const MAX_IMAGES: u64 = 100;

/// A new image.
pub struct NewImage {
    /// Its name.
    pub name: Name,
    /// The file.
    pub file: ImageFile,
    /// The hash of the request, for its idempotency key.
    pub fingerprint: Fingerprint,
}

/// A PNG or JPEG whose structure was checked. It was not decoded: only the sandboxed media child decodes images.
pub struct ImageFile {
    bytes: Bytes,
    header: ImageHeader,
}

impl ImageFile {
    /// Checks a file of at most [`MAX_IMAGE_BYTES`].
    ///
    /// # Errors
    /// `not_an_image` for other or incomplete files; `image_too_large` for too many pixels a side.
    pub fn check(bytes: Bytes) -> Result<Self, Refusal> {
        let header = read_header(&bytes)?;
        Ok(Self { bytes, header })
    }
}

/// Stores an image under a new name. Dropping the future does not stop it.
///
/// # Errors
/// `images_too_many`, `image_name_taken`, `idempotency_key_in_use`, `storage_full`.
pub async fn create<R: Serialize + Send + Sync + 'static>(
    app: &App,
    user: UserId,
    new: NewImage,
    guard: KeyGuard,
    reply: fn(image::Model) -> R,
) -> Result<R, Error> {
    let app = app.clone();
    uninterrupted(async move { store(&app, user, new, &guard, reply).await }).await
}

/// Stores the file, then creates its row.
async fn store<R: Serialize>(
    app: &App,
    user: UserId,
    new: NewImage,
    guard: &KeyGuard,
    reply: fn(image::Model) -> R,
) -> Result<R, Error> {
    let NewImage {
        name,
        file: ImageFile { bytes, header },
        fingerprint,
    } = new;
    let (key, length) = (Key::image(user, Uuid::new_v4()), bytes.len() as u64);
    let stream = futures::stream::iter([Ok(bytes)]);
    let file = NewFile::put(app, key, stream, Some(length), MAX_IMAGE_BYTES).await?;
    let row = image::New {
        name,
        key: file.key(),
        media_type: header.media_type,
        bytes: file.stored().bytes,
        sha256: file.stored().sha256.clone(),
        width_px: header.width_px,
        height_px: header.height_px,
    };
    let written = entity::user::write(&app.db, user, async |db| {
        guard.renew(db).await?;
        Refusal::unless_below(MAX_IMAGES, image::count(db, user).await?, Code::ImagesTooMany)?;
        let image = image::create(db, user, row).await.on_unique(Code::ImageNameTaken)?;
        let reply = reply(image);
        guard.store_reply(db, &fingerprint, &reply).await?;
        Ok(reply)
    });
    file.commit(written).await
}

/// Removes an image that no unfinished task uses.
///
/// # Errors
/// `image_in_use`, `image_not_found`.
pub async fn remove(app: &App, image: &image::Model) -> Result<(), Error> {
    match entity::write(&app.db, async |db| image::remove(db, image).await).await? {
        Removal::Removed => {}
        Removal::InUse => return Err(Code::ImageInUse.into()),
        Removal::Absent => return Err(Code::ImageNotFound.into()),
    }
    remove_listed(app, &image.key).await;
    Ok(())
}
