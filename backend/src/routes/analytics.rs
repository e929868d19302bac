//! Analytics of datasets: totals, series, breakdowns and maps.

mod map;
mod query;
mod reply;

pub(crate) use map::{__path_map, __path_region, map, region};

use crate::AppState;
use crate::error::Error;
use crate::extract::Principal;
use crate::openapi::problems;
use api::analytics::{BreakdownView, SeriesView, TotalView};
use app::analytics;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use query::{AnalyticsQuery, CommonQuery, SourcePath};
use reply::{Form, Reply};

problems!(TotalProblems: QueryInvalid, MetricUnknown, DimensionUnknown, PeriodInvalid, BoxInvalid, TokenMissing, TokenInvalid, TokenExpired, DatasetNotFound,
    RegionsMissing, Unavailable);
problems!(SeriesProblems: QueryInvalid, MetricUnknown, DimensionUnknown, PeriodInvalid, BoxInvalid, BucketTooFine, BucketsTooMany, TokenMissing, TokenInvalid,
    TokenExpired, DatasetNotFound, RegionsMissing, Unavailable);
problems!(ByProblems: QueryInvalid, MetricUnknown, DimensionUnknown, PeriodInvalid, BoxInvalid, BucketsTooMany, TokenMissing, TokenInvalid, TokenExpired,
    DatasetNotFound, RegionsMissing, Unavailable);

/// Sums a metric.
///
/// Over all facts of a dataset that the parameters select. `Accept: text/csv` gets a table. The reply has an `ETag`,
/// and is built only if it has changed.
#[utoipa::path(get, operation_id = "analytics_total", path = "/analytics/{source}/total", tag = "analytics", params(SourcePath, CommonQuery),
    security(("bearer" = [])), responses((status = 200, description = "The sum", content((TotalView = "application/json"), (String = "text/csv"))), TotalProblems))]
pub(crate) async fn total(
    State(state): State<AppState>,
    principal: Principal,
    path: SourcePath,
    query: AnalyticsQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let query = query.read(&[])?;
    let source = analytics::source(&state.app, principal.account, &path.source).await?;
    let form = Form::of(&headers, &source, &query.text);
    form.unless_known(async || {
        let total = analytics::total(&state.app, &source, &query.facts).await?;
        Ok(Reply::total(total))
    })
    .await
}

/// Sums a metric by unit of time.
///
/// Units without facts have 0. The range is that of `from` and `to`, or that of the facts. At most 10,000 units and
/// 50,000 values.
#[utoipa::path(get, operation_id = "analytics_series", path = "/analytics/{source}/series", tag = "analytics", params(SourcePath, CommonQuery,
        ("bucket" = Option<domain::analytics::Bucket>, Query, description = "The unit of time, in UTC; without it, that of the dataset"),
        ("split_by" = Option<String>, Query, description = "`region` or the name of a group: one value for each of its words")),
    security(("bearer" = [])), responses((status = 200, description = "The sums", content((SeriesView = "application/json"), (String = "text/csv"))), SeriesProblems))]
pub(crate) async fn series(
    State(state): State<AppState>,
    principal: Principal,
    path: SourcePath,
    query: AnalyticsQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let query = query.read(&["bucket", "split_by"])?;
    let (bucket, split_by) = (query.bucket()?, query.option("split_by")?);
    let source = analytics::source(&state.app, principal.account, &path.source).await?;
    let form = Form::of(&headers, &source, &query.text);
    form.unless_known(async || {
        let series = analytics::series(&state.app, &source, &query.facts, bucket, split_by).await?;
        Ok(Reply::series(series, split_by.is_some()))
    })
    .await
}

/// Sums a metric by a dimension.
///
/// `region` or the name of a group, and, with `cross`, by another one too. At most 50,000 values.
#[utoipa::path(get, operation_id = "analytics_by", path = "/analytics/{source}/by/{dimension}", tag = "analytics", params(SourcePath, CommonQuery,
        ("dimension" = String, Path, description = "`region` or the name of a group"),
        ("cross" = Option<String>, Query, description = "Another dimension")),
    security(("bearer" = [])), responses((status = 200, description = "The sums", content((BreakdownView = "application/json"), (String = "text/csv"))), ByProblems))]
pub(crate) async fn by(
    State(state): State<AppState>,
    principal: Principal,
    path: SourcePath,
    query: AnalyticsQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let query = query.read(&["cross"])?;
    let cross = query.option("cross")?;
    let source = analytics::source(&state.app, principal.account, &path.source).await?;
    let form = Form::of(&headers, &source, &format!("{} {}", path.rest, query.text));
    form.unless_known(async || {
        let values = analytics::by(&state.app, &source, &query.facts, &path.rest, cross).await?;
        Ok(Reply::breakdown(values, &path.rest, cross))
    })
    .await
}
