//! The images of an account, for watermarks and bumpers. One is never changed: it is removed and uploaded again.

use crate::AppState;
use crate::context::Context;
use crate::error::{Error, OnUnique, Refusal};
use crate::extract::{CurrentUser, Owned};
use crate::once::{Hold, Once, OnceHeader, Turn};
use crate::openapi::{Binary, problems};
use crate::reply::{Message, Said};
use crate::routes::tasks::erase;
use crate::routes::video::{File, Version};
use crate::upload::{ImageForm, MAX_IMAGE_BYTES, NewFile, NewImage};
use anyhow::Context as _;
use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::{Code, UserId};
use entity::image::{self, Removal};
use serde::Serialize;
use storage::Key;
use tracing::Instrument;
use utoipa::ToSchema;
use uuid::Uuid;

/// Most images of one account.
const MOST: u64 = 100;

/// The form of an image; its parts come in any order.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only described, never built: the form is read as it comes")]
pub(crate) struct ImageUpload {
    /// A PNG or JPEG of at most 4 MiB and 8192 pixels a side.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// The name by which recipes call it; `logo` hides the built-in one.
    name: domain::recipe::Name,
}

/// An image.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImageView {
    /// The name by which recipes call it.
    #[schema(example = "logo")]
    name: String,
    /// `image/png` or `image/jpeg`.
    #[schema(example = "image/png")]
    media_type: String,
    /// Its size.
    bytes: i64,
    /// 64 hexadecimal digits.
    sha256: String,
    /// Its width in pixels.
    width_px: i32,
    /// Its height in pixels.
    height_px: i32,
    /// When it was uploaded.
    created_at: DateTime<Utc>,
}

/// All images of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImageList {
    /// Every image, by name.
    data: Vec<ImageView>,
    /// Always null: there is one page.
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

/// Takes an image under a name that the account does not have yet.
///
/// Recipes call it by that name, for watermarks and bumpers. An account may have 100 of them.
#[utoipa::path(post, operation_id = "create_image", path = "/api/images", tag = "images", params(OnceHeader), security(("bearer" = [])),
    request_body(content = ImageUpload, content_type = "multipart/form-data", description = "The image and its name"),
    responses((status = 201, description = "The image", body = ImageView), NewImageProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    once: Once,
    form: ImageForm,
) -> Result<Response, Error> {
    match once.turn(&state, user).await? {
        Turn::Again(kept) => kept.replay(&form.mark().await?),
        Turn::First(hold) => {
            let made = make(state, user, form, hold.clone()).await;
            hold.settle(made).await
        }
    }
}

async fn make(state: AppState, user: UserId, form: ImageForm, hold: Hold) -> Result<ImageView, Error> {
    let new = form.receive().await?;
    // On its own: a client that hangs up now cannot leave the work half recorded.
    let recorded = tokio::spawn(async move { record(&state, user, new, &hold).await }.in_current_span());
    recorded.await.context("an image was not recorded")?
}

async fn record(state: &AppState, user: UserId, new: NewImage, hold: &Hold) -> Result<ImageView, Error> {
    let NewImage {
        name,
        bytes,
        facts,
        mark,
    } = new;
    let (key, length) = (Key::image(user, Uuid::new_v4()), bytes.len() as u64);
    let stream = futures::stream::iter([Ok(bytes)]);
    let file = NewFile::put(state, key, stream, Some(length), MAX_IMAGE_BYTES as u64).await?;
    let row = image::New {
        name,
        key: file.key(),
        media_type: facts.media_type,
        bytes: file.stored().bytes,
        sha256: file.stored().sha256.clone(),
        width_px: facts.width_px,
        height_px: facts.height_px,
    };
    let written = entity::user::write(&state.db, user, async |db| {
        hold.renew(db).await?;
        if image::count(db, user).await? >= MOST {
            return Err(Refusal::new(Code::ImagesTooMany)
                .detail(format!("accepted: up to {MOST}"))
                .into());
        }
        let image = image::create(db, user, row).await.on_unique(Code::ImageNameTaken)?;
        let view = ImageView::from(image);
        hold.finish(db, &mark, &view).await?;
        Ok(view)
    });
    file.settle(written).await
}

/// Lists the account's images.
///
/// All of them on one page, by name.
#[utoipa::path(get, operation_id = "list_images", path = "/api/images", tag = "images", security(("bearer" = [])),
    responses((status = 200, description = "Every image, by name", body = ImageList), ImagesProblems))]
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

/// Sends an image.
///
/// The file as it was uploaded.
#[utoipa::path(get, operation_id = "show_image", path = "/api/images/{name}", tag = "images", params(("name" = String, Path, description = "The name of the image")),
    security(("bearer" = [])), responses((status = 200, description = "The file", content((inline(Binary) = "image/jpeg"), (inline(Binary) = "image/png"))), ImageProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    headers: HeaderMap,
    Owned(image): Owned<image::Model>,
) -> Result<Response, Error> {
    let media_type = HeaderValue::from_str(&image.media_type);
    let file = File {
        key: Key::parse(&image.key).map_err(|error| Error::Internal(error.into()))?,
        bytes: u64::try_from(image.bytes).unwrap_or_default(),
        version: Version::new(&image.sha256, image.created_at),
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

/// Removes an image that no unfinished task names.
///
/// Presets may still name it; a task made from such a preset is then refused.
#[utoipa::path(delete, operation_id = "remove_image", path = "/api/images/{name}", tag = "images", params(("name" = String, Path, description = "The name of the image")),
    security(("bearer" = [])), responses((status = 200, description = "The image is gone", body = Message), RemoveImageProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: Context,
    Owned(image): Owned<image::Model>,
) -> Result<Json<Message>, Error> {
    match entity::write(&state.db, async |db| image::remove(db, &image).await).await? {
        Removal::Removed => {}
        Removal::InUse => return Err(Code::ImageInUse.into()),
        Removal::Absent => return Err(Code::ImageNotFound.into()),
    }
    erase(&state, &image.key).await;
    let message = Said::Deleted.in_language(context.language);
    Ok(Json(Message { message }))
}
