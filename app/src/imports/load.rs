//! Rows of datasets: facts are added to the sums of their version, regions are stored with their geometries in three
//! precisions. Queries see the version when the import has ended ([`entity::dataset`]).

use super::due::{DueImport, Failure, Progress, of_row, refused};
use super::geometry::parsed;
use super::sheet::columns;
use crate::app::Core;
use crate::datasets::Columns;
use crate::{Error, Refusal};
use domain::Code;
use domain::dataset::{Fact, FactColumns, RegionColumns, read_fact, read_region};
use domain::manifest::{RowError, RowStatus};
use entity::dataset::Version;
use entity::dataset_fact::Key;
use entity::import_row::{self, Ended, State};
use entity::{DatabaseTransaction, Json, dataset, dataset_fact, dataset_region};
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::spawn_blocking;

/// Rows of facts that end in one transaction.
const FACT_ROWS: u64 = 2_000;
/// Rows of regions that end in one transaction. A geometry may have some megabytes.
const REGION_ROWS: u64 = 8;

/// Loads the next rows. `None` if the import is none of a dataset.
pub(super) async fn run(app: &Core, due: &DueImport) -> Result<Option<Progress>, Failure> {
    let rows = match columns(&due.import)? {
        None => return Ok(None),
        Some(Columns::Facts(columns)) => facts(app, due, &columns).await?,
        Some(Columns::Regions(columns)) => regions(app, due, columns).await?,
    };
    Ok(Some(Progress::of(rows)))
}

async fn facts(app: &Core, due: &DueImport, columns: &FactColumns) -> Result<u64, Failure> {
    let rows = pending(app, due, FACT_ROWS).await?;
    let facts: Vec<Result<Fact, RowError>> = rows
        .iter()
        .map(|row| read_fact(columns, |column| fields(row).and_then(|fields| fields.get(column))))
        .collect();
    let known = known_regions(app, due, columns, &facts).await?;
    let (mut sums, mut ended) = (BTreeMap::new(), Vec::new());
    for (row, fact) in rows.iter().zip(facts) {
        match fact.and_then(|fact| of_known_region(columns, known.as_ref(), fact)) {
            Ok(fact) => add(&mut sums, fact),
            Err(error) => ended.push((row, refused(&of_row(error)))),
        }
    }
    let version = version(due)?;
    end(app, due, rows.len(), ended, async |db| {
        dataset_fact::add(db, version, sums).await.map_err(Error::from)
    })
    .await
}

/// Adds the metrics of a row to their sums.
fn add(sums: &mut BTreeMap<Key, (i64, i64)>, fact: Fact) {
    for (metric, value) in fact.values {
        let key = Key {
            metric,
            at_s: fact.at_s,
            region: fact.region.clone(),
            groups: fact.groups.clone(),
        };
        let (sum, n) = sums.entry(key).or_default();
        *sum += value;
        *n += 1;
    }
}

/// Those of the regions of facts that the dataset of regions has. `None` if facts may have any.
async fn known_regions(
    app: &Core,
    due: &DueImport,
    columns: &FactColumns,
    facts: &[Result<Fact, RowError>],
) -> Result<Option<BTreeSet<String>>, Failure> {
    let Some(name) = &columns.regions else { return Ok(None) };
    let found = app
        .with_timeout(dataset::of_user(&app.db, due.import.owner(), name))
        .await?;
    let Some(regions) = found.and_then(|dataset| dataset.loaded()) else {
        let detail = format!("{name}; accepted: a dataset of regions that is loaded");
        return Err(Failure::File(Refusal::new(Code::RegionsMissing).detail(detail)));
    };
    let codes: BTreeSet<&str> = facts.iter().flatten().map(|fact| fact.region.as_str()).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let known = dataset_region::known(&app.db, regions, &codes);
    Ok(Some(app.with_timeout(known).await?.into_iter().collect()))
}

fn of_known_region(columns: &FactColumns, known: Option<&BTreeSet<String>>, fact: Fact) -> Result<Fact, RowError> {
    match (known, &columns.region) {
        (Some(known), Some(column)) if !known.contains(&fact.region) => {
            let value = Json::from(fact.region.as_str());
            Err(RowError::of_value(
                column,
                Code::RegionUnknown,
                &value,
                "a code of the dataset of regions",
            ))
        }
        _ => Ok(fact),
    }
}

async fn regions(app: &Core, due: &DueImport, columns: RegionColumns) -> Result<u64, Failure> {
    let rows = pending(app, due, REGION_ROWS).await?;
    let version = version(due)?;
    let parse = move || {
        let read = |row: &import_row::Model| {
            let region = read_region(&columns, |column| fields(row).and_then(|fields| fields.get(column)))?;
            parsed(version, &columns.geometry, region)
        };
        let regions: Vec<_> = rows.iter().map(read).collect();
        (rows, regions)
    };
    let (rows, regions) = spawn_blocking(parse).await.map_err(anyhow::Error::from)?;
    let (mut inserted, mut ended) = (Vec::new(), Vec::new());
    for (row, region) in rows.iter().zip(regions) {
        match region {
            Ok(region) => inserted.push(region),
            Err(error) => ended.push((row, refused(&of_row(error)))),
        }
    }
    end(app, due, rows.len(), ended, async |db| {
        dataset_region::insert(db, inserted).await.map_err(Error::from)
    })
    .await
}

/// The rows that the import loads.
fn version(due: &DueImport) -> Result<Version, Failure> {
    let version = due.import.loads();
    version.ok_or_else(|| anyhow::anyhow!("an import of rows of no dataset").into())
}

fn fields(row: &import_row::Model) -> Option<&Map<String, Json>> {
    row.fields.as_ref().and_then(Json::as_object)
}

async fn pending(app: &Core, due: &DueImport, limit: u64) -> Result<Vec<import_row::Model>, Error> {
    let rows = import_row::in_state(&app.db, due.import.id, State::Pending, limit);
    Ok(app.with_timeout(rows).await?)
}

/// Ends the first `rows` rows that are pending, and lets them have their effect, in one transaction. `failed` are those
/// with an error. Returns their number.
async fn end(
    app: &Core,
    due: &DueImport,
    rows: usize,
    failed: Vec<(&import_row::Model, Ended)>,
    effect: impl AsyncFnOnce(&DatabaseTransaction) -> Result<(), Error>,
) -> Result<u64, Failure> {
    let errors = failed.len() as u64;
    let created = (rows as u64).saturating_sub(errors);
    let written = entity::write(&app.db, async |db| {
        let counts = [(RowStatus::Created, created), (RowStatus::Error, errors)];
        let is_held = due.lease.add(db, RowStatus::Pending, &counts).await?;
        is_held.then_some(()).ok_or(Failure::Lost)?;
        for (row, ended) in failed {
            import_row::set_end(db, row, RowStatus::Pending, RowStatus::Error, ended).await?;
        }
        // The rows with errors are no longer pending, so these are the others.
        let ended = import_row::end_pending(db, due.import.id, RowStatus::Created, i64::MAX, created).await?;
        (ended == created).then_some(()).ok_or(Failure::Lost)?;
        if !due.import.is_dry_run {
            effect(db).await?;
        }
        Ok::<_, Failure>(())
    });
    app.with_timeout(written).await?;
    Ok(rows as u64)
}
