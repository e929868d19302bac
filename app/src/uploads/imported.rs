//! The video of a row, created with the task of its file.

use crate::{Error, Refusal};
use domain::manifest::{Details, Location, RowStatus, read_video};
use domain::video::merged_metadata;
use domain::{Code, UserId, Visibility};
use entity::import_row::{self, Ended};
use entity::video::Changes;
use entity::{DatabaseTransaction, Json, video};
use serde_json::{Map, json};

/// Maximum length of the code and the name of a point, in characters.
const WORD_CHARS: usize = 200;

/// A row whose video is created. The point of `lat` and `lon` is in the metadata, as `location`, with the `code` and
/// the `name` that were looked up. A row without a region gets the one that was looked up.
pub struct ImportedVideo {
    row: import_row::Model,
    details: Details,
}

impl ImportedVideo {
    /// The video of a row.
    pub(crate) fn new(row: import_row::Model, mut details: Details, location: Option<Location>) -> Self {
        let found = row.lookup_result.as_ref();
        let text = |field: &str| found?.get(field)?.as_str();
        if let Some(Location { lat, lon }) = location {
            let mut location = Map::from_iter([("lat".to_owned(), json!(lat)), ("lon".to_owned(), json!(lon))]);
            for field in ["code", "name"] {
                if let Some(text) = text(field) {
                    let text: String = text.chars().take(WORD_CHARS).collect();
                    location.insert(field.to_owned(), text.into());
                }
            }
            details.metadata.insert("location".to_owned(), location.into());
        }
        let looked_up = text("region").and_then(|region| domain::video::word(region).ok());
        details.region = details.region.or(looked_up);
        Self { row, details }
    }

    /// The video of the row whose file an upload has fetched.
    ///
    /// # Errors
    /// The values of the row are not valid any more.
    pub(crate) fn fetched(row: import_row::Model) -> Result<Self, Error> {
        let fields = row
            .fields
            .as_ref()
            .and_then(Json::as_object)
            .cloned()
            .unwrap_or_default();
        let read = read_video(&fields);
        let read = read.map_err(|error| Refusal::new(error.code).detail(error.detail))?;
        Ok(Self::new(row, read.details, read.location))
    }

    /// Writes the details of the row into its new video. Call it in [`entity::user::write`].
    ///
    /// # Errors
    /// `external_id_taken`.
    pub(crate) async fn describe(
        &self,
        db: &DatabaseTransaction,
        user: UserId,
        video: video::Model,
    ) -> Result<video::Model, Error> {
        let details = self.details.clone();
        if let Some(id) = &details.external_id
            && !video::with_external_ids(db, user, std::slice::from_ref(id))
                .await?
                .is_empty()
        {
            return Err(Code::ExternalIdTaken.into());
        }
        let merged = |metadata: &Map<String, Json>| merged_metadata(video.metadata.clone(), metadata);
        // The answer of a service must not refuse a row that is valid without it.
        let metadata = merged(&details.metadata).or_else(|_| merged(&without_names(details.metadata.clone())));
        let metadata = metadata.map_err(|error| Refusal::new(Code::MetadataInvalid).detail(error.to_string()))?;
        let changes = Changes {
            title: details.title,
            description: details.description,
            tags: details.tags,
            region: details.region.map(Some),
            external_id: details.external_id.map(Some),
            metadata: Some(metadata),
        };
        let video = video::update(db, video, changes).await?;
        match details.visibility {
            None | Some(Visibility::Private) => Ok(video),
            // The task of the video begins after this transaction.
            Some(visibility) => Ok(video::publish_later(db, video, visibility).await?),
        }
    }

    /// Ends the row, in the transaction that creates the task.
    ///
    /// # Errors
    /// `upload_interrupted` if the row has ended.
    pub(crate) async fn end(&self, db: &DatabaseTransaction, task: i64, video: i64) -> Result<(), Error> {
        let ended = Ended {
            task_id: Some(task),
            video_id: Some(video),
            ..Ended::default()
        };
        let from = RowStatus::from(self.row.status);
        let is_ours = import_row::end(db, &self.row, from, RowStatus::Created, ended).await?;
        is_ours.then_some(()).ok_or_else(|| Code::UploadInterrupted.into())
    }
}

/// The metadata without the code and the name of the point.
fn without_names(mut metadata: Map<String, Json>) -> Map<String, Json> {
    if let Some(location) = metadata.get_mut("location").and_then(Json::as_object_mut) {
        location.retain(|field, _| field == "lat" || field == "lon");
    }
    metadata
}
