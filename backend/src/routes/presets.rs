//! The presets of the installation.

use crate::AppState;
use axum::Json;
use axum::extract::State;
use domain::{Recipe, preset};
use serde::Serialize;
use utoipa::ToSchema;

/// All presets.
#[derive(Serialize, ToSchema)]
pub(crate) struct PresetList {
    data: Vec<PresetView>,
    next_cursor: Option<String>,
}

/// A recipe with a name.
#[derive(Serialize, ToSchema)]
pub(crate) struct PresetView {
    #[schema(example = "web")]
    name: &'static str,
    /// What it makes, in one English sentence.
    summary: &'static str,
    /// Whether an upload that names no preset gets this one.
    default: bool,
    recipe: Recipe,
}

/// Lists the presets.
#[utoipa::path(get, operation_id = "list_presets", path = "/api/presets", tag = "presets",
    responses((status = 200, description = "Every preset", body = PresetList)))]
pub(crate) async fn list(State(state): State<AppState>) -> Json<PresetList> {
    let view = |preset: preset::Preset| PresetView {
        name: preset.name,
        summary: preset.summary,
        default: preset.name == state.config.default_preset,
        recipe: preset.recipe,
    };
    Json(PresetList {
        data: preset::built_in().into_iter().map(view).collect(),
        next_cursor: None,
    })
}
