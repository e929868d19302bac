//! Rows that create videos.

use super::columns::Kind;
use super::details::{Details, Fields};
use super::row_error::RowError;
use crate::code::Code;
use crate::language::Language;
use crate::recipe::{Name, Recipe};
use crate::recipe_reader::{FieldError, FieldProblem};
use serde_json::{Map, Value};
use std::fmt;

/// Maximum length of a URL in characters.
const URL_CHARS: usize = 8_192;
/// Maximum length of the id of an upload in characters.
const UPLOAD_ID_CHARS: usize = 100;

/// A row that creates a video.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoRow {
    /// The file; absent only in a dry run, see [`VideoRow::check_source`].
    pub source: Option<Source>,
    /// The description of the video.
    pub details: Details,
    /// The recipe of its task.
    pub choice: Choice,
    /// The point for which a region is looked up.
    pub location: Option<Location>,
}

impl VideoRow {
    /// Checks that the row has a file. In a dry run a location is enough.
    ///
    /// # Errors
    /// `source_missing`.
    pub fn check_source(&self, dry_run: bool) -> Result<(), RowError> {
        if self.source.is_some() || (dry_run && self.location.is_some()) {
            return Ok(());
        }
        let accepted = if dry_run {
            "accepted: source_url or upload_id, or lat and lon"
        } else {
            "accepted: source_url or upload_id"
        };
        Err(RowError::new("source_url", Code::SourceMissing, accepted))
    }
}

/// The file of a new video.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// An address with the scheme `http` or `https`. Its host is not checked yet.
    Url(String),
    /// The id of an upload of the account. It may not exist.
    Upload(String),
}

impl fmt::Debug for Source {
    /// Leaves the URL out: it may contain a signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(_) => f.write_str("Url(..)"),
            Self::Upload(id) => f.debug_tuple("Upload").field(id).finish(),
        }
    }
}

/// The recipe of the task of a new video.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// The default of the import.
    Default,
    /// The name of a preset. It may not exist.
    Preset(String),
    /// A recipe that has been checked.
    Recipe(Box<Recipe>),
}

/// A point on the Earth in degrees (WGS 84).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Location {
    /// Latitude, -90 to 90.
    pub lat: f64,
    /// Longitude, -180 to 180.
    pub lon: f64,
}

/// Reads a row of [`Kind::Videos`]. The source may be absent: see [`VideoRow::check_source`].
///
/// # Errors
/// The first field that is unknown or not accepted.
pub fn read_video(fields: &Map<String, Value>) -> Result<VideoRow, RowError> {
    Kind::Videos.check_fields(fields)?;
    let fields = Fields(fields);
    Ok(VideoRow {
        source: source(fields)?,
        details: fields.details()?,
        choice: choice(fields)?,
        location: location(fields)?,
    })
}

fn source(fields: Fields<'_>) -> Result<Option<Source>, RowError> {
    let url = fields.text("source_url", Code::SourceUrlInvalid, |text| {
        let accepted = "an address of 1 to 8192 characters that begins with http:// or https://";
        url(text.trim()).ok_or(accepted)
    })?;
    let upload = fields.text("upload_id", Code::UploadIdInvalid, |text| {
        upload_id(text.trim()).ok_or("1 to 100 of A-Z, a-z, 0-9 and -")
    })?;
    match (url, upload) {
        (Some(_), Some(_)) => Err(RowError::new(
            "upload_id",
            Code::SourceTwice,
            "accepted: one of source_url and upload_id",
        )),
        (url, upload) => Ok(url.map(Source::Url).or(upload.map(Source::Upload))),
    }
}

/// Checks the form of a URL. The parser of the `outbound` crate decides if it is one.
fn url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let is_accepted =
        is_web && !rest.is_empty() && text.chars().count() <= URL_CHARS && !text.contains(char::is_control);
    is_accepted.then(|| text.to_owned())
}

fn upload_id(text: &str) -> Option<String> {
    let is_accepted = (1..=UPLOAD_ID_CHARS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_accepted.then(|| text.to_owned())
}

fn choice(fields: Fields<'_>) -> Result<Choice, RowError> {
    match (fields.value("preset"), fields.value("recipe")) {
        (Some(_), Some(_)) => Err(RowError::new(
            "recipe",
            Code::PresetAndRecipe,
            "accepted: one of preset and recipe",
        )),
        (_, Some(value)) => recipe(value).map(|recipe| Choice::Recipe(Box::new(recipe))),
        _ => {
            let preset = fields.text("preset", Code::PresetUnknown, |text| {
                let name = text.trim().parse::<Name>();
                name.map_err(|error| error.expected)
            })?;
            Ok(preset.map_or(Choice::Default, |name| Choice::Preset(name.to_string())))
        }
    }
}

fn recipe(value: &Value) -> Result<Recipe, RowError> {
    let parsed = match value {
        Value::String(text) => Recipe::parse(text),
        Value::Object(_) => Recipe::parse(&value.to_string()),
        _ => {
            let accepted = "an object, or its JSON as text";
            return Err(RowError::of_value("recipe", Code::RecipeInvalid, value, accepted));
        }
    };
    parsed.map_err(|FieldError { field, problem }| {
        let path = if field.is_empty() {
            "recipe".to_owned()
        } else {
            format!("recipe.{field}")
        };
        let detail = match &problem {
            FieldProblem::Invalid(detail) => detail.clone(),
            FieldProblem::Unknown(accepted) => format!("unknown field; accepted: {accepted}"),
            FieldProblem::Missing => problem.sentence(Language::En).to_owned(),
        };
        RowError::new(&path, Code::RecipeInvalid, &detail)
    })
}

fn location(fields: Fields<'_>) -> Result<Option<Location>, RowError> {
    let lat = degrees(fields, "lat", Code::LatitudeInvalid, 90)?;
    let lon = degrees(fields, "lon", Code::LongitudeInvalid, 180)?;
    let incomplete = |missing: &str| {
        let detail = format!("{missing} is missing; accepted: lat and lon, or none of them");
        Err(RowError::new(missing, Code::LocationIncomplete, &detail))
    };
    match (lat, lon) {
        (Some(lat), Some(lon)) => Ok(Some(Location { lat, lon })),
        (Some(_), None) => incomplete("lon"),
        (None, Some(_)) => incomplete("lat"),
        (None, None) => Ok(None),
    }
}

/// The value of a field from `-max` to `max`: a number, or a text of one with a decimal point.
fn degrees(fields: Fields<'_>, field: &str, code: Code, max: i32) -> Result<Option<f64>, RowError> {
    let Some(value) = fields.value(field) else {
        return Ok(None);
    };
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    };
    // No range contains NaN, which the parser accepts as text.
    let range = f64::from(-max)..=f64::from(max);
    match number.filter(|number| range.contains(number)) {
        Some(degrees) => Ok(Some(degrees)),
        None => {
            let is_decimal_comma = value.as_str().is_some_and(|text| text.contains(','));
            let point = if is_decimal_comma { ", with a decimal point" } else { "" };
            Err(RowError::of_value(
                field,
                code,
                value,
                &format!("-{max} to {max}{point}"),
            ))
        }
    }
}
