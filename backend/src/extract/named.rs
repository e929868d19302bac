//! Images and presets of an account, found by the name in the path.

use super::{CurrentUser, Owned};
use crate::AppState;
use crate::error::{Error, Refusal};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use domain::Code;
use domain::recipe::Name;
use entity::{image, preset};

/// Parses the name of a new image or preset.
pub(crate) fn read_name(text: &str) -> Result<Name, Refusal> {
    text.trim().parse::<Name>().map_err(|error| {
        let given: String = error.value.chars().take(100).collect();
        Refusal::new(Code::NameInvalid)
            .detail(format!("{given:?}; accepted: {}", error.expected))
            .field("name", Code::NameInvalid)
    })
}

/// The name at the end of the path; `None` when it is not a valid name, so that no row can have it.
async fn name_in_path(parts: &mut Parts, state: &AppState) -> Option<Name> {
    let Path(text) = Path::<String>::from_request_parts(parts, state).await.ok()?;
    text.parse().ok()
}

impl FromRequestParts<AppState> for Owned<image::Model> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let CurrentUser(user) = CurrentUser::from_request_parts(parts, state).await?;
        let name = name_in_path(parts, state).await.ok_or(Code::ImageNotFound)?;
        let found = image::of_user(&state.db, user, &name).await?;
        Ok(Self(found.ok_or(Code::ImageNotFound)?))
    }
}

impl FromRequestParts<AppState> for Owned<preset::Model> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let CurrentUser(user) = CurrentUser::from_request_parts(parts, state).await?;
        let name = name_in_path(parts, state).await.ok_or(Code::PresetNotFound)?;
        if domain::preset::find(name.as_str()).is_some() {
            return Err(Code::PresetBuiltIn.into());
        }
        let found = preset::of_user(&state.db, user, name.as_str()).await?;
        Ok(Self(found.ok_or(Code::PresetNotFound)?))
    }
}
