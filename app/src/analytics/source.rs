//! The facts that a query is about.

use super::value::Value;
use crate::app::Core;
use crate::datasets::{self, Columns};
use crate::{Error, Refusal};
use domain::analytics::BoundingBox;
use domain::dataset::{FactColumns, GROUPS_MAX};
use domain::{Code, UserId};
use entity::dataset::{self, Version};
use entity::dataset_fact::{Dimension, Filter, Sum, Within};

/// A loaded table of facts.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its columns when it was loaded.
    pub columns: FactColumns,
    /// Its rows; `None` before the first load.
    pub facts: Option<Version>,
    /// Its regions, if it has any and they are loaded.
    pub regions: Option<Version>,
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
        facts: found.loaded(),
        regions: regions.and_then(|dataset| dataset.loaded()),
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
    pub(super) fn dimension(&self, parameter: &str, name: &str) -> Result<Dimension, Refusal> {
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

    pub(super) fn filter(&self, query: &Query) -> Result<Filter, Refusal> {
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
            (Some(area), Some(regions)) => Some(Within { regions, area }),
            (Some(_), None) => return Err(regions_missing()),
        };
        Ok(Filter {
            // No import has the id 0.
            of: self.facts.unwrap_or(Version { dataset: 0, version: 0 }),
            metric: self.metric(query.metric.as_deref())?.to_owned(),
            from_s: query.from_s,
            to_s: query.to_s,
            regions: query.regions.clone(),
            within,
            groups,
        })
    }

    pub(super) fn value(&self, metric: &str, sum: &Sum) -> Value {
        self.scaled(metric, sum.value, sum.n)
    }

    /// The number that an integer stands for.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a JSON number is read as the same type of 53 bits"
    )]
    pub(super) fn scaled(&self, metric: &str, value: i64, n: i64) -> Value {
        let value = value as f64 / 10_f64.powi(i32::from(self.columns.scale(metric)));
        Value { value, n }
    }
}

pub(super) fn regions_missing() -> Refusal {
    Refusal::new(Code::RegionsMissing)
        .detail("accepted: a dataset whose columns name a dataset of regions that is loaded")
}

/// The beginning of a value for error messages.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}
