//! Images, credentials, datasets and presets of an account, found by the name in the path.

use super::path::parse_path;
use super::principal::{Owned, Principal};
use crate::AppState;
use crate::error::{Error, Refusal};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::Code;
use domain::recipe::Name;
use entity::{credential, dataset, image, preset};

/// Parses the name of a new image, credential or preset.
pub(crate) fn read_name(text: &str) -> Result<Name, Refusal> {
    text.trim().parse::<Name>().map_err(|error| {
        let given: String = error.value.chars().take(100).collect();
        Refusal::new(Code::NameInvalid)
            .detail(format!("{given:?}; accepted: {}", error.expected))
            .field("name", Code::NameInvalid)
    })
}

/// The name of a preset in the path.
pub(crate) struct PresetName(pub(crate) Name);

impl FromRequestParts<AppState> for PresetName {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        let name = parse_path(parts, Code::PresetNotFound, "the name of a preset").await?;
        Ok(Self(name))
    }
}

impl FromRequestParts<AppState> for Owned<image::Model> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let Principal { account, .. } = Principal::from_request_parts(parts, state).await?;
        let name: Name = parse_path(parts, Code::ImageNotFound, "the name of an image").await?;
        let found = image::of_user(&state.app.db, account, &name).await?;
        Ok(Self(found.ok_or(Code::ImageNotFound)?))
    }
}

impl FromRequestParts<AppState> for Owned<credential::Model> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let Principal { account, .. } = Principal::from_request_parts(parts, state).await?;
        let name: Name = parse_path(parts, Code::CredentialNotFound, "the name of a credential").await?;
        let found = credential::of_user(&state.app.db, account, &name).await?;
        Ok(Self(found.ok_or(Code::CredentialNotFound)?))
    }
}

impl FromRequestParts<AppState> for Owned<dataset::Model> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let Principal { account, .. } = Principal::from_request_parts(parts, state).await?;
        let name: Name = parse_path(parts, Code::DatasetNotFound, "the name of a dataset").await?;
        Ok(Self(app::datasets::show(&state.app, account, name.as_str()).await?))
    }
}

impl FromRequestParts<AppState> for Owned<preset::Model> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let Principal { account, .. } = Principal::from_request_parts(parts, state).await?;
        let PresetName(name) = PresetName::from_request_parts(parts, state).await?;
        if domain::preset::find(name.as_str()).is_some() {
            return Err(Code::PresetBuiltIn.into());
        }
        let found = preset::of_user(&state.app.db, account, name.as_str()).await?;
        Ok(Self(found.ok_or(Code::PresetNotFound)?))
    }
}
