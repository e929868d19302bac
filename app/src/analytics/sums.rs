//! Totals, series and breakdowns.

use super::source::{Query, Source};
use super::value::{MAX_SUMS, Value, unless_more};
use crate::app::Core;
use crate::{Error, Refusal};
use domain::Code;
use domain::analytics::Bucket;
use entity::dataset_fact::{self, Sum, Unit};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of units of time of a series.
const MAX_BUCKETS: usize = 10_000;
/// Maximum number of values of a reply.
const MAX_VALUES: usize = 50_000;

/// A sum of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Total {
    /// The metric.
    pub metric: String,
    /// Its sum.
    pub total: Value,
    /// The first unit of time with facts, and the last one; `None` without facts.
    pub span: Option<(i64, i64)>,
}

/// Sums by unit of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The metric.
    pub metric: String,
    /// The unit.
    pub bucket: Bucket,
    /// The beginning of each unit, the word by which it is split, and the sum. Units without facts have 0.
    pub values: Vec<(i64, String, Value)>,
}

/// Sums by one or two dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Breakdown {
    /// The metric.
    pub metric: String,
    /// The words of both dimensions, and the sum.
    pub values: Vec<(String, String, Value)>,
}

/// The sum of all facts of a query.
///
/// # Errors
/// `metric_unknown`, `dimension_unknown`, `regions_missing`; errors of the database.
pub async fn total(app: &Core, source: &Source, query: &Query) -> Result<Total, Error> {
    let filter = source.filter(query)?;
    let sums = dataset_fact::sums(&app.db, &filter, None, [None, None], 1);
    let sum = app.with_timeout(sums).await?.pop();
    let span = app.with_timeout(dataset_fact::span(&app.db, &filter)).await?;
    Ok(Total {
        total: sum.map(|sum| source.value(&filter.metric, &sum)).unwrap_or_default(),
        metric: filter.metric,
        span,
    })
}

/// Sums by unit of time, each split by the words of a dimension if one is given. Without a range, the series has all
/// units from the first one with facts to the last one.
///
/// # Errors
/// `metric_unknown`, `dimension_unknown`, `regions_missing`, `bucket_too_fine`, `too_many_buckets`; errors of the
/// database.
pub async fn series(
    app: &Core,
    source: &Source,
    query: &Query,
    bucket: Option<Bucket>,
    split_by: Option<&str>,
) -> Result<Series, Error> {
    let filter = source.filter(query)?;
    let kept = source.columns.granularity;
    let bucket = bucket.unwrap_or(kept);
    if !kept.divides(bucket) {
        let accepted: Vec<&str> = Bucket::ALL
            .into_iter()
            .filter(|b| kept.divides(*b))
            .map(Bucket::as_str)
            .collect();
        let detail = format!("{bucket}; accepted: {}", accepted.join(", "));
        return Err(Refusal::of_field("bucket", Code::BucketTooFine).detail(detail).into());
    }
    let split = split_by.map(|name| source.dimension("split_by", name)).transpose()?;
    let span = app.with_timeout(dataset_fact::span(&app.db, &filter)).await?;
    let from = query.from_s.or_else(|| span.map(|(first, _)| first));
    let to = query.to_s.or_else(|| span.map(|(_, last)| kept.next(last)));
    let (Some(from), Some(to)) = (from, to) else {
        let (metric, values) = (filter.metric, Vec::new());
        return Ok(Series { metric, bucket, values });
    };
    let starts = starts(bucket, from, to)?;
    let unit = if kept == Bucket::Hour && bucket > Bucket::Hour {
        Unit::Day
    } else {
        Unit::Kept
    };
    let sums = dataset_fact::sums(&app.db, &filter, Some(unit), [split, None], MAX_SUMS as u64 + 1);
    let sums = app.with_timeout(sums).await?;
    unless_more(sums.len(), MAX_SUMS)?;
    let mut found: BTreeMap<(i64, String), (i64, i64)> = BTreeMap::new();
    for sum in sums {
        let (value, n) = found.entry((bucket.start(sum.at_s), sum.key)).or_default();
        *value += sum.value;
        *n += sum.n;
    }
    let words: BTreeSet<String> = match split {
        Some(_) => found.keys().map(|(_, word)| word.clone()).collect(),
        None => BTreeSet::from([String::new()]),
    };
    unless_more(starts.len().saturating_mul(words.len()), MAX_VALUES)?;
    let mut values = Vec::with_capacity(starts.len() * words.len());
    for start in starts {
        for word in &words {
            let sum = found.get(&(start, word.clone())).copied().unwrap_or_default();
            values.push((start, word.clone(), source.scaled(&filter.metric, sum.0, sum.1)));
        }
    }
    let metric = filter.metric;
    Ok(Series { metric, bucket, values })
}

/// The beginnings of the units of a range.
fn starts(bucket: Bucket, from_s: i64, to_s: i64) -> Result<Vec<i64>, Refusal> {
    let mut starts = Vec::new();
    let mut start = bucket.start(from_s);
    while start < to_s {
        unless_more(starts.len() + 1, MAX_BUCKETS)?;
        starts.push(start);
        start = bucket.next(start);
    }
    Ok(starts)
}

/// Sums by the words of one dimension, or of two.
///
/// # Errors
/// `metric_unknown`, `dimension_unknown`, `regions_missing`, `too_many_buckets`; errors of the database.
pub async fn by(
    app: &Core,
    source: &Source,
    query: &Query,
    dimension: &str,
    cross: Option<&str>,
) -> Result<Breakdown, Error> {
    let filter = source.filter(query)?;
    let dimension = source.dimension("dimension", dimension)?;
    let cross = cross.map(|name| source.dimension("cross", name)).transpose()?;
    if cross == Some(dimension) {
        let refusal = Refusal::of_field("cross", Code::DimensionUnknown);
        return Err(refusal.detail("the same dimension; accepted: another one").into());
    }
    let sums = dataset_fact::sums(&app.db, &filter, None, [Some(dimension), cross], MAX_VALUES as u64 + 1);
    let sums = app.with_timeout(sums).await?;
    unless_more(sums.len(), MAX_VALUES)?;
    let metric = filter.metric;
    let value = |sum: Sum| {
        let value = source.value(&metric, &sum);
        (sum.key, sum.cross, value)
    };
    let values = sums.into_iter().map(value).collect();
    Ok(Breakdown { metric, values })
}
