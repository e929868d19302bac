//! The images of an account, for watermarks and bumpers. Images are immutable: to change one, remove it and upload a
//! new one.

use crate::AppState;
use crate::error::{Error, OnUnique, Refusal};
use crate::extract::{CurrentUser, Owned};
use crate::idempotency::{IdempotencyKey, IdempotencyKeyHeader, KeyGuard, KeyState};
use crate::openapi::{Binary, problems};
use crate::reply::{Message, SuccessMessage};
use crate::request_context::RequestContext;
use crate::routes::tasks::remove_file;
use crate::routes::video::{FileResponse, Validators};
use crate::upload::{ImageForm, NewFile, NewImage};
use anyhow::Context as _;
use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::limits::MAX_IMAGE_BYTES;
use domain::{Code, UserId};
use entity::image::{self, Removal};
use serde::Serialize;
use storage::Key;
use tracing::Instrument;
use utoipa::ToSchema;
use uuid::Uuid;

/// Maximum number of images of an account.
const MAX_IMAGES: u64 = 100;

/// The form of an image upload. The parts may come in any order.
#[derive(ToSchema)]
#[allow(
    dead_code,
    reason = "describes the form in the OpenAPI document; `ImageForm` reads it"
)]
pub(crate) struct ImageUpload {
    /// A PNG or JPEG of at most 4 MiB and 8192 x 8192 pixels.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// The name of the image in recipes; `logo` hides the built-in image of that name.
    name: domain::recipe::Name,
}

/// An image.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImageView {
    /// The name of the image in recipes.
    #[schema(example = "logo")]
    name: String,
    /// `image/png` or `image/jpeg`.
    #[schema(example = "image/png")]
    media_type: String,
    /// Size in bytes.
    bytes: i64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    sha256: String,
    /// Width in pixels.
    width_px: i32,
    /// Height in pixels.
    height_px: i32,
    /// Time of the upload.
    created_at: DateTime<Utc>,
}

/// All images of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImageList {
    /// All images, sorted by name.
    data: Vec<ImageView>,
    /// Always null, because there is only one page.
    next_cursor: Option<String>,
}

impl From<image::Model> for ImageView {
    fn from(image: image::Model) -> Self {
        Self {
            name: image.name,
            media_type: image.media_type,
            bytes: image.bytes,
            sha256: image.sha256,
            width_px: image.width_px,
            height_px: image.height_px,
            created_at: image.created_at,
        }
    }
}

problems!(NewImageProblems: FileMissing, FileEmpty, NameInvalid, MultipartInvalid, PartUnknown, IdempotencyKeyInvalid, TokenMissing,
    TokenInvalid, TokenExpired, RequestTimeout, ImageNameTaken, ImagesTooMany, IdempotencyKeyInUse, UploadTooLarge, NotAnImage,
    ContentTypeUnsupported, ImageTooLarge, IdempotencyKeyReused, Unavailable, StorageFull);
problems!(ImagesProblems: TokenMissing, TokenInvalid, TokenExpired, Unavailable);
problems!(ImageProblems: TokenMissing, TokenInvalid, TokenExpired, ImageNotFound, PreconditionFailed, RangeInvalid, Unavailable);
problems!(RemoveImageProblems: TokenMissing, TokenInvalid, TokenExpired, ImageNotFound, ImageInUse, Unavailable);

/// Uploads an image under a new name.
///
/// Recipes refer to the image by its name, for watermarks and bumpers. An account may have up to 100 images.
#[utoipa::path(post, operation_id = "create_image", path = "/api/images", tag = "images", params(IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = ImageUpload, content_type = "multipart/form-data", description = "The image and its name"),
    responses((status = 201, description = "The image", body = ImageView), NewImageProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    key: IdempotencyKey,
    form: ImageForm,
) -> Result<Response, Error> {
    match key.acquire(&state, user).await? {
        KeyState::Replay(stored) => stored.replay(&form.fingerprint().await?),
        KeyState::Acquired(guard) => {
            let created = receive(state, user, form, guard.clone()).await;
            guard.complete(created).await
        }
    }
}

async fn receive(state: AppState, user: UserId, form: ImageForm, guard: KeyGuard) -> Result<ImageView, Error> {
    let new = form.receive().await?;
    // Spawned, so that a client that disconnects now does not cancel the upload to the storage or the transaction.
    let stored = tokio::spawn(async move { store(&state, user, new, &guard).await }.in_current_span());
    stored.await.context("the task that stores an image panicked")?
}

/// Stores the file, then creates its row.
async fn store(state: &AppState, user: UserId, new: NewImage, guard: &KeyGuard) -> Result<ImageView, Error> {
    let NewImage {
        name,
        bytes,
        header,
        fingerprint,
    } = new;
    let (key, length) = (Key::image(user, Uuid::new_v4()), bytes.len() as u64);
    let stream = futures::stream::iter([Ok(bytes)]);
    let file = NewFile::put(state, key, stream, Some(length), MAX_IMAGE_BYTES).await?;
    let row = image::New {
        name,
        key: file.key(),
        media_type: header.media_type,
        bytes: file.stored().bytes,
        sha256: file.stored().sha256.clone(),
        width_px: header.width_px,
        height_px: header.height_px,
    };
    let written = entity::user::write(&state.db, user, async |db| {
        guard.renew(db).await?;
        if image::count(db, user).await? >= MAX_IMAGES {
            return Err(Refusal::new(Code::ImagesTooMany)
                .detail(format!("accepted: up to {MAX_IMAGES}"))
                .into());
        }
        let image = image::create(db, user, row).await.on_unique(Code::ImageNameTaken)?;
        let view = ImageView::from(image);
        guard.store_reply(db, &fingerprint, &view).await?;
        Ok(view)
    });
    file.commit(written).await
}

/// Lists the account's images.
///
/// All images on one page, sorted by name.
#[utoipa::path(get, operation_id = "list_images", path = "/api/images", tag = "images", security(("bearer" = [])),
    responses((status = 200, description = "All images, sorted by name", body = ImageList), ImagesProblems))]
pub(crate) async fn list(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
) -> Result<Json<ImageList>, Error> {
    let images = image::list(&state.db, user).await?;
    Ok(Json(ImageList {
        data: images.into_iter().map(ImageView::from).collect(),
        next_cursor: None,
    }))
}

/// Downloads an image.
///
/// The reply is the file as it was uploaded.
#[utoipa::path(get, operation_id = "show_image", path = "/api/images/{name}", tag = "images", params(("name" = String, Path, description = "The name of the image")),
    security(("bearer" = [])), responses((status = 200, description = "The file", content((inline(Binary) = "image/jpeg"), (inline(Binary) = "image/png"))), ImageProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    headers: HeaderMap,
    Owned(image): Owned<image::Model>,
) -> Result<Response, Error> {
    let media_type = HeaderValue::from_str(&image.media_type);
    let file = FileResponse {
        key: Key::parse(&image.key).map_err(|error| Error::Internal(error.into()))?,
        bytes: u64::try_from(image.bytes).unwrap_or_default(),
        validators: Validators::new(&image.sha256, image.created_at),
        absent: Code::ImageNotFound,
        headers: HeaderMap::from_iter([
            (
                CONTENT_TYPE,
                media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
            ),
            (CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        ]),
    };
    file.send(&state, &headers).await
}

/// Removes an image that no unfinished task uses.
///
/// Presets may still refer to it; a new task with such a preset is then refused.
#[utoipa::path(delete, operation_id = "remove_image", path = "/api/images/{name}", tag = "images", params(("name" = String, Path, description = "The name of the image")),
    security(("bearer" = [])), responses((status = 200, description = "The image was removed", body = Message), RemoveImageProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: RequestContext,
    Owned(image): Owned<image::Model>,
) -> Result<Json<Message>, Error> {
    match entity::write(&state.db, async |db| image::remove(db, &image).await).await? {
        Removal::Removed => {}
        Removal::InUse => return Err(Code::ImageInUse.into()),
        Removal::Absent => return Err(Code::ImageNotFound.into()),
    }
    remove_file(&state, &image.key).await;
    let message = SuccessMessage::Deleted.in_language(context.language);
    Ok(Json(Message { message }))
}
