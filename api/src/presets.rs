//! Presets: named recipes.

use domain::Recipe;
use domain::recipe::Name;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// All presets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PresetList {
    /// The built-in presets, then those of the account sorted by name.
    pub data: Vec<PresetView>,
    /// Always null, because there is only one page.
    pub next_cursor: Option<String>,
}

/// A named recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PresetView {
    /// The name of the preset in uploads.
    #[schema(example = "web")]
    pub name: String,
    /// A description in one sentence.
    pub summary: Option<String>,
    /// True for presets of the installation, which cannot be changed.
    pub built_in: bool,
    /// True for the preset of uploads without a preset and a recipe.
    pub default: bool,
    /// The recipe.
    pub recipe: Recipe,
}

/// The content of a preset.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PresetContent, example = json!({"summary": "A small MP4", "recipe": {"frame": {"max_short_side_px": 360}, "outputs": [{"kind": "mp4"}]}}))]
pub struct PresetContentBody {
    /// A description of at most 200 characters in one line.
    pub summary: Option<String>,
    /// The recipe.
    #[schema(required, nullable = false, value_type = Recipe)]
    pub recipe: Option<Value>,
}

/// A new preset.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPreset, example = json!({"name": "small", "summary": "A small MP4", "recipe": {"frame": {"max_short_side_px": 360}, "outputs": [{"kind": "mp4"}]}}))]
pub struct NewPresetBody {
    /// The name of the preset in uploads.
    #[schema(required, nullable = false, value_type = Name)]
    pub name: Option<String>,
    /// A description of at most 200 characters in one line.
    pub summary: Option<String>,
    /// The recipe.
    #[schema(required, nullable = false, value_type = Recipe)]
    pub recipe: Option<Value>,
}
