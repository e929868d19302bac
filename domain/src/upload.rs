//! The status of an upload.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The status of an upload, which says what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UploadStatus {
    /// Bytes are missing: those of the next request of the client, or of the next attempt to fetch the file.
    Waiting,
    /// Bytes arrive, or the file is verified.
    Receiving,
    /// The whole file is stored and verified; there is no task of it yet.
    Complete,
    /// There is a task of the file.
    Finished,
    /// The file could not be fetched; the error tells why.
    Failed,
}
