//! Maps: regions with their sums as GeoJSON (RFC 7946).

use super::query::{AnalyticsQuery, CommonQuery, ReadQuery, SourcePath};
use super::reply::Form;
use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::Principal;
use crate::openapi::problems;
use crate::routes::parameters::{invalid_parameter, parameter};
use app::analytics::{self, Map, Value};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use domain::analytics::BoundingBox;
use entity::dataset_region::{Precision, Shape};
use futures::stream;
use serde_json::{Value as Json, json};

/// The media type of GeoJSON (RFC 7946 §12).
const MEDIA_TYPE: &str = "application/geo+json";

problems!(MapProblems: QueryInvalid, MetricUnknown, DimensionUnknown, PeriodInvalid, BoxInvalid, BucketsTooMany, MapTooLarge, TokenMissing, TokenInvalid, TokenExpired,
    DatasetNotFound, RegionsMissing, Unavailable);
problems!(RegionProblems: QueryInvalid, TokenMissing, TokenInvalid, TokenExpired, DatasetNotFound, RegionNotFound, Unavailable);

/// Sums a metric by region, with geometries.
///
/// A GeoJSON feature collection (RFC 7946) of the regions that meet `bbox`, or of all. The properties of a feature are
/// `code`, `name`, `value` and `n`. Regions without facts have 0.
#[utoipa::path(get, operation_id = "analytics_map", path = "/analytics/{source}/map", tag = "analytics", params(SourcePath, CommonQuery,
        ("precision" = Option<String>, Query, pattern = "^(auto|full|mid|low)$", description = "The precision of the geometries: `full`, `mid` (0.001°), `low` (0.01°) or `auto`, the finest one with up to 2 MiB, which is the default")),
    security(("bearer" = [])), responses((status = 200, description = "The regions", body = Object, content_type = "application/geo+json"), MapProblems))]
pub(crate) async fn map(
    State(state): State<AppState>,
    principal: Principal,
    path: SourcePath,
    query: AnalyticsQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let query = query.read(&["precision"])?;
    let precision = of_query(&query)?;
    let source = analytics::source(&state.app, principal.account, &path.source).await?;
    Form::of(&headers, &source, &query.text)
        .answer(async || {
            let map = analytics::map(&state.app, &source, &query.facts, precision).await?;
            reply(state.clone(), map, query.facts.area).await
        })
        .await
}

/// Shows a region.
///
/// A GeoJSON feature (RFC 7946).
#[utoipa::path(get, operation_id = "show_region", path = "/regions/{dataset}/{code}", tag = "analytics", params(
        ("dataset" = String, Path, description = "The name of a dataset of regions"),
        ("code" = String, Path, description = "The code of the region"),
        ("precision" = Option<String>, Query, pattern = "^(full|mid|low)$", description = "The precision of the geometry; without it, `full`")),
    security(("bearer" = [])), responses((status = 200, description = "The region", body = Object, content_type = "application/geo+json"), RegionProblems))]
pub(crate) async fn region(
    State(state): State<AppState>,
    principal: Principal,
    path: SourcePath,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let precision = match parameter(&query, "precision")? {
        Some(word) => precision(word, "full, mid, low")?,
        None => Precision::Full,
    };
    let shape = analytics::region(&state.app, principal.account, &path.source, &path.rest, precision).await?;
    let feature = feature(&shape, None);
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], feature).into_response())
}

fn of_query(query: &ReadQuery) -> Result<Option<Precision>, Refusal> {
    match query.option("precision")? {
        None | Some("auto") => Ok(None),
        Some(word) => precision(word, "auto, full, mid, low").map(Some),
    }
}

fn precision(word: &str, accepted: &str) -> Result<Precision, Refusal> {
    match word {
        "full" => Ok(Precision::Full),
        "mid" => Ok(Precision::Mid),
        "low" => Ok(Precision::Low),
        _ => Err(invalid_parameter("precision", word, accepted)),
    }
}

/// The state of the stream of a map.
struct Pages {
    map: Map,
    shapes: Vec<Shape>,
    is_first: bool,
}

/// A feature collection, some regions at a time: all of them may have 64 MiB.
async fn reply(state: AppState, map: Map, area: Option<BoundingBox>) -> Result<Response, Error> {
    // The first regions are read before the reply begins, so that an error of the database is a reply.
    let shapes = analytics::shapes(&state.app, &map, area, "").await?;
    let begin = Pages {
        map,
        shapes,
        is_first: true,
    };
    let pages = stream::try_unfold(Some(begin), move |pages| {
        let state = state.clone();
        async move {
            let Some(pages) = pages else { return Ok(None) };
            let mut text = String::new();
            if pages.is_first {
                text.push_str(&head(&pages.map, area));
            }
            for (index, shape) in pages.shapes.iter().enumerate() {
                if index > 0 || !pages.is_first {
                    text.push(',');
                }
                let sum = pages.map.values.get(&shape.code).copied().unwrap_or_default();
                text.push_str(&feature(shape, Some(sum)));
            }
            let Some(last) = pages.shapes.last() else {
                text.push_str("]}");
                return Ok(Some((text, None)));
            };
            let shapes = analytics::shapes(&state.app, &pages.map, area, &last.code).await;
            let shapes = shapes.map_err(|error| std::io::Error::other(format!("{error:?}")))?;
            let next = Pages {
                shapes,
                is_first: false,
                ..pages
            };
            Ok::<_, std::io::Error>(Some((text, Some(next))))
        }
    });
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], Body::from_stream(pages)).into_response())
}

/// The beginning of a feature collection. Members that RFC 7946 does not define are allowed (§6.1).
fn head(map: &Map, area: Option<BoundingBox>) -> String {
    let bbox = area.map(|area| format!(r#""bbox":{},"#, json!([area.west, area.south, area.east, area.north])));
    let metric = Json::from(map.metric.as_str());
    format!(
        r#"{{"type":"FeatureCollection",{}"metric":{metric},"features":["#,
        bbox.unwrap_or_default()
    )
}

/// A feature. Its geometry is stored as GeoJSON text.
fn feature(shape: &Shape, sum: Option<Value>) -> String {
    let (code, name) = (Json::from(shape.code.as_str()), Json::from(shape.name.as_deref()));
    let sum = sum.map(|Value { value, n }| format!(r#","value":{},"n":{n}"#, json!(value)));
    format!(
        r#"{{"type":"Feature","id":{code},"properties":{{"code":{code},"name":{name}{}}},"geometry":{}}}"#,
        sum.unwrap_or_default(),
        shape.geometry
    )
}
