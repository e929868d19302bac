//! The path and the parameters of queries.

use crate::error::{Error, Refusal};
use crate::extract::read_path;
use crate::routes::parameters::{invalid_parameter, parameter};
use app::analytics::Query;
use axum::extract::{FromRequestParts, Query as Pairs};
use axum::http::request::Parts;
use domain::Code;
use domain::analytics::{BoundingBox, Bucket, parse_instant};
use domain::recipe::Name;
use std::collections::BTreeMap;
use utoipa::IntoParams;

/// Maximum length of a word of a fact in characters.
const WORD_CHARS: usize = 100;
/// Maximum number of regions of a query.
const MAX_REGIONS: usize = 500;
/// The parameters of all queries, besides those of groups.
const COMMON: [&str; 5] = ["metric", "from", "to", "region", "bbox"];
/// The beginning of the name of a parameter for the words of a group.
const GROUP: &str = "group.";

/// The parameters of all queries in the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(
    dead_code,
    reason = "describes the parameters in the OpenAPI document; `AnalyticsQuery` reads them"
)]
pub(crate) struct CommonQuery {
    /// The metric; may be absent if the dataset has one only.
    metric: Option<String>,
    /// The first time: a year, a month, a date, or a time of RFC 3339; UTC without an offset.
    from: Option<String>,
    /// The first time after the range. Facts of a unit of time belong to its beginning.
    to: Option<String>,
    /// Only regions with this code; up to 500 of them, as several parameters.
    region: Option<Vec<String>>,
    /// Only regions whose bounding box meets this one: `west,south,east,north` in degrees. West may be greater than
    /// east (RFC 7946).
    bbox: Option<String>,
    /// Only facts with this word of a group: `group.NAME=word`, once for each group.
    #[param(rename = "group", style = DeepObject, value_type = Option<BTreeMap<String, String>>)]
    groups: Option<BTreeMap<String, String>>,
}

/// The source in the path, and the parameter behind it, if there is one.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct SourcePath {
    /// The name of a dataset of facts.
    pub(super) source: String,
    #[param(ignore)]
    pub(super) rest: String,
}

impl<S: Send + Sync> FromRequestParts<S> for SourcePath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let pairs: Vec<(String, String)> = read_path(parts, Code::DatasetNotFound).await?;
        let mut values = pairs.into_iter().map(|(_, value)| value);
        let (source, rest) = (values.next().unwrap_or_default(), values.next().unwrap_or_default());
        if source.parse::<Name>().is_err() {
            return Err(Refusal::new(Code::DatasetNotFound)
                .detail("accepted: the name of a dataset")
                .into());
        }
        Ok(Self { source, rest })
    }
}

/// The unread parameters.
pub(crate) struct AnalyticsQuery(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for AnalyticsQuery {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let pairs = Pairs::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Pairs(pairs) = pairs.map_err(|_| Refusal::new(Code::QueryInvalid))?;
        Ok(Self(pairs))
    }
}

/// Parameters that were read.
pub(super) struct ReadQuery {
    pub(super) facts: Query,
    /// All parameters, as a part of the `ETag`.
    pub(super) text: String,
    pairs: Vec<(String, String)>,
}

impl AnalyticsQuery {
    /// Reads the parameters; `more` are the names of those that only this operation has.
    pub(super) fn read(self, more: &[&str]) -> Result<ReadQuery, Refusal> {
        let pairs = self.0;
        let is_known = |name: &str| COMMON.contains(&name) || more.contains(&name) || name.starts_with(GROUP);
        if let Some((name, value)) = pairs.iter().find(|(name, _)| !is_known(name)) {
            let accepted = [&COMMON[..], more, &["group.NAME"]].concat().join(", ");
            let name: String = name.chars().take(100).collect();
            return Err(invalid_parameter(&name, value, &format!("the parameters {accepted}")));
        }
        let facts = facts(&pairs)?;
        // No control character can end a value, because the texts are quoted.
        let text = format!("{pairs:?}");
        Ok(ReadQuery { facts, text, pairs })
    }
}

impl ReadQuery {
    pub(super) fn option(&self, name: &str) -> Result<Option<&str>, Refusal> {
        parameter(&self.pairs, name)
    }

    pub(super) fn bucket(&self) -> Result<Option<Bucket>, Refusal> {
        let read = |text: &str| {
            let accepted = Bucket::ALL.map(Bucket::as_str).join(", ");
            Bucket::from_word(text).ok_or_else(|| invalid_parameter("bucket", text, &accepted))
        };
        self.option("bucket")?.map(read).transpose()
    }
}

fn facts(pairs: &[(String, String)]) -> Result<Query, Refusal> {
    let (from_s, to_s) = (time(pairs, "from")?, time(pairs, "to")?);
    if let (Some(from), Some(to)) = (from_s, to_s)
        && from >= to
    {
        let refusal = Refusal::of_field("to", Code::PeriodInvalid);
        return Err(refusal.detail("accepted: a time after from"));
    }
    let regions: Vec<String> = values(pairs, "region").collect();
    regions.iter().try_for_each(|region| check_word("region", region))?;
    if regions.len() > MAX_REGIONS {
        let accepted = format!("up to {MAX_REGIONS} regions");
        return Err(invalid_parameter("region", &regions.len().to_string(), &accepted));
    }
    let mut groups: Vec<(String, String)> = Vec::new();
    for (name, word) in pairs {
        let Some(name) = name.strip_prefix(GROUP) else { continue };
        if groups.iter().any(|(given, _)| given == name) {
            return Err(invalid_parameter(&format!("{GROUP}{name}"), word, "the parameter once"));
        }
        check_word(&format!("{GROUP}{name}"), word)?;
        groups.push((name.to_owned(), word.clone()));
    }
    Ok(Query {
        metric: parameter(pairs, "metric")?.map(str::to_owned),
        from_s,
        to_s,
        regions,
        area: parameter(pairs, "bbox")?.map(area).transpose()?,
        groups,
    })
}

/// Refuses words that no fact can have.
fn check_word(parameter: &str, word: &str) -> Result<(), Refusal> {
    if word.chars().count() <= WORD_CHARS && !word.contains(char::is_control) {
        return Ok(());
    }
    Err(invalid_parameter(
        parameter,
        &word.replace(char::is_control, "\u{fffd}"),
        "up to 100 characters in one line",
    ))
}

fn values<'a>(pairs: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = String> + 'a {
    let given = pairs.iter().filter(move |(given, _)| given == name);
    given.map(|(_, value)| value.clone())
}

fn time(pairs: &[(String, String)], name: &str) -> Result<Option<i64>, Refusal> {
    let read = |text: &str| {
        parse_instant(text).map(|(at_s, _)| at_s).ok_or_else(|| {
            let given: String = text.chars().take(100).collect();
            let detail =
                format!("{name}={given}; accepted: a year, a month, a date or a time of RFC 3339, from 1900 to 2200");
            Refusal::of_field(name, Code::PeriodInvalid).detail(detail)
        })
    };
    parameter(pairs, name)?.map(read).transpose()
}

fn area(text: &str) -> Result<BoundingBox, Refusal> {
    BoundingBox::parse(text).map_err(|accepted| {
        let given: String = text.chars().take(100).collect();
        Refusal::of_field("bbox", Code::BoxInvalid).detail(format!("bbox={given}; {accepted}"))
    })
}
