//! The form of an image upload. Images are small, so the file is read into memory.

use super::multipart::FormReader;
use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::read_name;
use app::idempotency::Fingerprint;
use app::images::{ImageFile, NewImage};
use app::too_large;
use axum::extract::{FromRequest, Request};
use domain::Code;
use domain::limits::MAX_IMAGE_BYTES;

/// The unread form of an image upload.
pub(crate) struct ImageForm(FormReader);

impl FromRequest<AppState> for ImageForm {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        FormReader::open(request, state, MAX_IMAGE_BYTES).await.map(Self)
    }
}

impl ImageForm {
    /// Reads the form to its end.
    pub(crate) async fn receive(mut self) -> Result<NewImage, Error> {
        let (mut name, mut file) = (None, None);
        while let Some(part) = self.0.next().await? {
            match part.name().as_str() {
                "name" if name.is_none() => name = Some(read_name(&part.text(Code::NameInvalid).await?)?),
                "file" if file.is_none() => {
                    file = Some(part.read_all(MAX_IMAGE_BYTES, too_large(MAX_IMAGE_BYTES)).await?);
                }
                "name" | "file" => {
                    let refusal = Refusal::new(Code::MultipartInvalid);
                    return Err(refusal.detail("a part occurs twice").into());
                }
                _ => return Err(part.unknown_part("file, name").into()),
            }
        }
        let bytes = file.ok_or_else(|| Refusal::of_field("file", Code::FileMissing))?;
        if bytes.is_empty() {
            return Err(Refusal::of_field("file", Code::FileEmpty).into());
        }
        let file = ImageFile::check(bytes)?;
        let name = name.ok_or_else(|| {
            Refusal::of_field("name", Code::NameInvalid).detail("the part `name` of the form is missing")
        })?;
        let fingerprint = self.0.fingerprint();
        Ok(NewImage {
            name,
            file,
            fingerprint,
        })
    }

    /// Reads the form to its end; returns only its fingerprint.
    pub(crate) async fn fingerprint(self) -> Result<Fingerprint, Error> {
        self.0.skip_to_end().await
    }
}
