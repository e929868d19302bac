//! Analytics: totals, series, breakdowns and maps of the facts of a dataset.
//!
//! All queries read the version that the dataset named when the query began ([`source`]). Rows of that version are
//! removed only after a later load has ended, so a reply that takes longer may have fewer values; its `ETag` belongs to
//! the version, so clients ask again.

use crate::app::Core;
use crate::datasets::{self, Columns};
use crate::{Error, Refusal};
use domain::analytics::{BoundingBox, Bucket};
use domain::dataset::{DatasetKind, FactColumns, GROUPS_MAX};
use domain::{Code, UserId};
use entity::dataset;
use entity::dataset_fact::{self, Dimension, Filter, Sum, Unit};
use entity::dataset_region::{self, Precision, Shape};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of units of time of a series.
const MAX_BUCKETS: usize = 10_000;
/// Maximum number of values of a reply.
const MAX_VALUES: usize = 50_000;
/// Maximum number of sums that are read for a reply.
const MAX_SUMS: u64 = 200_000;
/// Maximum size of the geometries of a map in bytes.
const MAP_BYTES: i64 = 64 << 20;
/// Size of the geometries of a map above which a lower precision is chosen, in bytes.
const AUTO_BYTES: i64 = 2 << 20;
/// Regions that are read at once.
const SHAPES: u64 = 16;

/// A loaded table of facts.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its columns when it was loaded.
    pub columns: FactColumns,
    /// Its id and version.
    pub facts: (i64, i64),
    /// The id and the version of the dataset of its regions, if that is loaded.
    pub regions: Option<(i64, i64)>,
}

/// The facts that a query is about.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The metric; may be absent if the dataset has one only.
    pub metric: Option<String>,
    /// The first second.
    pub from_s: Option<i64>,
    /// The first second after it.
    pub to_s: Option<i64>,
    /// Codes of regions; all if empty.
    pub regions: Vec<String>,
    /// A box that the regions meet.
    pub area: Option<BoundingBox>,
    /// Words of groups, by the names of the groups.
    pub groups: Vec<(String, String)>,
}

/// A sum and the number of rows in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Value {
    /// The sum.
    pub value: f64,
    /// The number of rows of the file.
    pub n: i64,
}

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

/// The facts of an account with this name.
///
/// # Errors
/// `dataset_not_found`, also for a dataset of regions.
pub async fn source(app: &Core, user: UserId, name: &str) -> Result<Source, Error> {
    let found = datasets::show(app, user, name).await?;
    let columns = found.version_columns.as_ref().unwrap_or(&found.columns);
    let Columns::Facts(columns) = Columns::read(found.kind.into(), columns)? else {
        let detail = format!("{name} has regions; accepted: a dataset of facts");
        return Err(Refusal::new(Code::DatasetNotFound).detail(detail).into());
    };
    let regions = match &columns.regions {
        Some(name) => app.with_timeout(dataset::of_user(&app.db, user, name)).await?,
        None => None,
    };
    Ok(Source {
        columns,
        // No version is 0.
        facts: (found.id, found.version.unwrap_or_default()),
        regions: regions.and_then(|dataset| Some((dataset.id, dataset.version?))),
    })
}

impl Source {
    /// The metric of a query.
    ///
    /// # Errors
    /// `metric_unknown`.
    fn metric(&self, given: Option<&str>) -> Result<&str, Refusal> {
        let mut names = self.columns.metrics.keys();
        let found = match given {
            Some(given) => names.find(|name| *name == given),
            None => names.next().filter(|_| self.columns.metrics.len() == 1),
        };
        found.map(String::as_str).ok_or_else(|| {
            let names: Vec<&str> = self.columns.metrics.keys().map(String::as_str).collect();
            let detail = format!("{}; accepted: {}", shown(given.unwrap_or("absent")), names.join(", "));
            Refusal::of_field("metric", Code::MetricUnknown).detail(detail)
        })
    }

    /// A dimension by its name.
    ///
    /// # Errors
    /// `dimension_unknown`.
    fn dimension(&self, parameter: &str, name: &str) -> Result<Dimension, Refusal> {
        let found = match name {
            "region" => self.columns.region.as_ref().map(|_| Dimension::Region),
            name => self.columns.group(name).map(Dimension::Group),
        };
        found.ok_or_else(|| {
            let region = self.columns.region.as_ref().map(|_| "region");
            let groups = self.columns.groups.keys().map(String::as_str);
            let accepted: Vec<&str> = region.into_iter().chain(groups).collect();
            let detail = format!("{}; accepted: {}", shown(name), accepted.join(", "));
            Refusal::of_field(parameter, Code::DimensionUnknown).detail(detail)
        })
    }

    fn filter(&self, query: &Query) -> Result<Filter, Refusal> {
        let mut groups: [Option<String>; GROUPS_MAX] = Default::default();
        for (name, word) in &query.groups {
            let parameter = format!("group.{name}");
            match self.dimension(&parameter, name)? {
                Dimension::Group(position) => {
                    if let Some(group) = groups.get_mut(position) {
                        *group = Some(word.clone());
                    }
                }
                Dimension::Region => {
                    let refusal = Refusal::of_field(&parameter, Code::DimensionUnknown);
                    return Err(refusal.detail("region; accepted: the parameter region"));
                }
            }
        }
        let within = match (query.area, self.regions) {
            (None, _) => None,
            (Some(area), Some((dataset, version))) => Some((dataset, version, area)),
            (Some(_), None) => return Err(regions_missing()),
        };
        Ok(Filter {
            dataset: self.facts.0,
            version: self.facts.1,
            metric: self.metric(query.metric.as_deref())?.to_owned(),
            from_s: query.from_s,
            to_s: query.to_s,
            regions: query.regions.clone(),
            within,
            groups,
        })
    }

    fn value(&self, metric: &str, sum: &Sum) -> Value {
        self.scaled(metric, (sum.value, sum.n))
    }

    /// The number that an integer stands for.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a JSON number is read as the same type of 53 bits"
    )]
    fn scaled(&self, metric: &str, (value, n): (i64, i64)) -> Value {
        let value = value as f64 / 10_f64.powi(i32::from(self.columns.scale(metric)));
        Value { value, n }
    }
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
    let Some((first, last)) = app.with_timeout(dataset_fact::span(&app.db, &filter)).await? else {
        let (metric, values) = (filter.metric, Vec::new());
        return Ok(Series { metric, bucket, values });
    };
    let from = query.from_s.unwrap_or(first);
    let to = query.to_s.unwrap_or_else(|| kept.next(last));
    let starts = starts(bucket, from, to)?;
    let unit = if kept == Bucket::Hour && bucket > Bucket::Hour {
        Unit::Day
    } else {
        Unit::Kept
    };
    let sums = dataset_fact::sums(&app.db, &filter, Some(unit), [split, None], MAX_SUMS + 1);
    let sums = app.with_timeout(sums).await?;
    unless_more(sums.len(), MAX_SUMS as usize)?;
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
            values.push((start, word.clone(), source.scaled(&filter.metric, sum)));
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

fn unless_more(count: usize, max: usize) -> Result<(), Refusal> {
    if count <= max {
        return Ok(());
    }
    let detail = format!("accepted: up to {max} values; choose a shorter range or a larger unit");
    Err(Refusal::new(Code::BucketsTooMany).detail(detail))
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

/// The regions of a map, with their sums, and the precision of their geometries. [`shapes`] has the geometries.
#[derive(Clone, Debug)]
pub struct Map {
    /// The metric.
    pub metric: String,
    /// The sums by the codes of the regions.
    pub values: BTreeMap<String, Value>,
    /// The dataset of the regions, and its version.
    pub regions: (i64, i64),
    /// The precision.
    pub precision: Precision,
}

/// The sums of the regions that meet the box of a query. Without a precision, the finest one whose geometries have up
/// to 2 MiB is chosen.
///
/// # Errors
/// `metric_unknown`, `dimension_unknown`, `regions_missing`, `map_too_large`; errors of the database.
pub async fn map(app: &Core, source: &Source, query: &Query, precision: Option<Precision>) -> Result<Map, Error> {
    let filter = source.filter(query)?;
    let regions = source.regions.ok_or_else(regions_missing)?;
    let precision = choose(app, regions, query.area, precision).await?;
    let sums = dataset_fact::sums(&app.db, &filter, None, [Some(Dimension::Region), None], MAX_SUMS + 1);
    let sums = app.with_timeout(sums).await?;
    unless_more(sums.len(), MAX_SUMS as usize)?;
    let metric = filter.metric;
    let values = sums
        .into_iter()
        .map(|sum| (sum.key.clone(), source.value(&metric, &sum)));
    Ok(Map {
        values: values.collect(),
        metric,
        regions,
        precision,
    })
}

async fn choose(
    app: &Core,
    regions: (i64, i64),
    area: Option<BoundingBox>,
    given: Option<Precision>,
) -> Result<Precision, Error> {
    let all = [Precision::Full, Precision::Mid, Precision::Low];
    for precision in given.map_or(all.to_vec(), |given| vec![given]) {
        let bytes = dataset_region::bytes_within(&app.db, regions, area, precision);
        let bytes = app.with_timeout(bytes).await?;
        let is_last = given.is_some() || precision == Precision::Low;
        if bytes <= AUTO_BYTES || (is_last && bytes <= MAP_BYTES) {
            return Ok(precision);
        }
    }
    let detail = format!("accepted: up to {MAP_BYTES} bytes of geometries; choose a smaller bbox or a lower precision");
    Err(Refusal::new(Code::MapTooLarge).detail(detail).into())
}

/// Some regions that meet a box after the one with the code `after`, in the order of their codes. Empty at the end.
///
/// # Errors
/// Errors of the database.
pub async fn shapes(app: &Core, map: &Map, area: Option<BoundingBox>, after: &str) -> Result<Vec<Shape>, Error> {
    let shapes = dataset_region::within(&app.db, map.regions, area, map.precision, (after, SHAPES));
    Ok(app.with_timeout(shapes).await?)
}

/// The region with a code of a dataset of regions.
///
/// # Errors
/// `dataset_not_found`, also for a dataset of facts; `region_not_found`.
pub async fn region(app: &Core, user: UserId, name: &str, code: &str, precision: Precision) -> Result<Shape, Error> {
    let found = datasets::show(app, user, name).await?;
    if DatasetKind::from(found.kind) != DatasetKind::Regions {
        let detail = format!("{name} has facts; accepted: a dataset of regions");
        return Err(Refusal::new(Code::DatasetNotFound).detail(detail).into());
    }
    let version = (found.id, found.version.unwrap_or_default());
    let shape = dataset_region::find(&app.db, version, code, precision);
    Ok(app.with_timeout(shape).await?.ok_or(Code::RegionNotFound)?)
}

fn regions_missing() -> Refusal {
    Refusal::new(Code::RegionsMissing)
        .detail("accepted: a dataset whose columns name a dataset of regions that is loaded")
}

/// The beginning of a value for error messages.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}
