//! The images of an account, for watermarks and bumpers. Images are immutable: to change one, remove it and upload a
//! new one.

use crate::AppState;
use crate::error::Error;
use crate::extract::{Owned, Principal};
use crate::idempotency::{Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::{Binary, problems};
use crate::reply::SuccessMessage;
use crate::request_context::RequestContext;
use crate::routes::video::{FileResponse, Validators, reading_time};
use crate::upload::ImageForm;
use api::images::{ImageList, ImageView};
use api::reply::Message;
use app::images;
use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use domain::Code;
use entity::image;
use std::time::Duration;
use storage::Key;
use utoipa::ToSchema;

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

fn image_view(image: image::Model) -> ImageView {
    ImageView {
        name: image.name,
        media_type: image.media_type,
        bytes: image.bytes,
        sha256: image.sha256,
        width_px: image.width_px,
        height_px: image.height_px,
        created_at: image.created_at,
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
#[utoipa::path(post, operation_id = "create_image", path = "/images", tag = "images", params(IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = ImageUpload, content_type = "multipart/form-data", description = "The image and its name"),
    responses((status = 201, description = "The image", body = ImageView), NewImageProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    principal: Principal,
    key: IdempotencyKey,
    form: ImageForm,
) -> Result<Created<ImageView>, Error> {
    let work = async |form: ImageForm, guard| {
        let new = form.receive().await?;
        let created = images::create(&state.app, principal.account, new, guard, image_view);
        Ok::<_, Error>(created.await?)
    };
    let outcome = key
        .of(principal)
        .once(&state.app, form, ImageForm::fingerprint, work)
        .await;
    outcome.map(Created)
}

/// Lists the account's images.
///
/// All images on one page, sorted by name.
#[utoipa::path(get, operation_id = "list_images", path = "/images", tag = "images", security(("bearer" = [])),
    responses((status = 200, description = "All images, sorted by name", body = ImageList), ImagesProblems))]
pub(crate) async fn list(State(state): State<AppState>, principal: Principal) -> Result<Json<ImageList>, Error> {
    let images = image::list(&state.app.db, principal.account).await?;
    Ok(Json(ImageList {
        data: images.into_iter().map(image_view).collect(),
        next_cursor: None,
    }))
}

/// Downloads an image.
///
/// The reply is the file as it was uploaded.
#[utoipa::path(get, operation_id = "show_image", path = "/images/{name}", tag = "images", params(("name" = String, Path, description = "The name of the image")),
    security(("bearer" = [])), responses((status = 200, description = "The file", content((inline(Binary) = "image/jpeg"), (inline(Binary) = "image/png"))),
        (status = 307, description = "The file is at the address in `Location`, a signed URL of the bucket"), ImageProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    request: Parts,
    Owned(image): Owned<image::Model>,
) -> Result<Response, Error> {
    let media_type = HeaderValue::from_str(&image.media_type);
    let file = FileResponse {
        key: Key::parse(&image.key).map_err(anyhow::Error::from)?,
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
        reading: reading_time(Duration::ZERO, None),
    };
    file.send(&state, &request).await
}

/// Removes an image that no unfinished task uses.
///
/// Presets may still refer to it; a new task with such a preset is then refused.
#[utoipa::path(delete, operation_id = "remove_image", path = "/images/{name}", tag = "images", params(("name" = String, Path, description = "The name of the image")),
    security(("bearer" = [])), responses((status = 200, description = "The image was removed", body = Message), RemoveImageProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: RequestContext,
    Owned(image): Owned<image::Model>,
) -> Result<Json<Message>, Error> {
    images::remove(&state.app, &image).await?;
    let message = SuccessMessage::Deleted.in_language(context.language);
    Ok(Json(Message::new(message)))
}
