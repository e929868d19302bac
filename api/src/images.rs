//! Images of an account.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageView {
    /// The name of the image in recipes.
    #[schema(example = "logo")]
    pub name: String,
    /// `image/png` or `image/jpeg`.
    #[schema(example = "image/png")]
    pub media_type: String,
    /// Size in bytes.
    pub bytes: i64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// Width in pixels.
    pub width_px: i32,
    /// Height in pixels.
    pub height_px: i32,
    /// Time of the upload.
    pub created_at: DateTime<Utc>,
}

/// All images of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageList {
    /// All images, sorted by name.
    pub data: Vec<ImageView>,
    /// Always null, because there is only one page.
    pub next_cursor: Option<String>,
}
