//! Lookups of the points of rows, before the rows have their effect.
//!
//! Rows are looked up in the order of the file, and `imports.lookup_row` is the last one that was. Answers are stored
//! by point as they arrive ([`entity::lookup`]), so after a kill, or with another file, a point is not asked for again.
//! While the service does not answer, rows wait; after an hour of that their lookups fail.

use super::due::{DueImport, Failure};
use crate::Error;
use crate::app::Core;
use crate::lookups::{CALLS, Lookups, Outcome};
use domain::Code;
use domain::lookup::{POINTS, Point};
use domain::manifest::RowStatus;
use entity::import::{LookupCounts, Status};
use entity::import_row::{self, Ended, Lookup, Waiting};
use entity::{Json, lookup};
use futures::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

/// Rows of one step.
const ROWS: u64 = 2_000;
/// Time after which a step makes no further call, so that it does not hold up other imports.
const STEP: Duration = Duration::from_secs(10);
/// Interval in which the lease is renewed while answers arrive.
const RENEW_EVERY: Duration = Duration::from_secs(8);
/// Steps in a row that wait for the service, a second each, after which lookups fail without it.
const MAX_WAITS: i64 = 3_600;
/// Time for which answers are used.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);
/// Answers that are deleted at once.
const DELETED: u64 = 5_000;

/// The answer for a point. A failure has a code and its detail.
type Answer = Result<Option<Json>, (Code, String)>;
type Answers = HashMap<Point, Answer>;

/// The lookups of a step.
pub(super) struct LookedUp {
    /// Rows up to this one may have their effect.
    pub(super) up_to: i64,
    /// Rows were looked up, and the next ones may be.
    pub(super) has_more: bool,
}

/// Looks up the next rows.
pub(super) async fn run(
    app: &Core,
    due: &DueImport,
    lookups: Option<&Lookups>,
    stop: &CancellationToken,
) -> Result<LookedUp, Failure> {
    let import = &due.import;
    let up_to = import.lookup_row.unwrap_or(i64::MAX);
    if up_to == i64::MAX || matches!(import.status, Status::Canceled | Status::Failed) {
        let has_more = false;
        return Ok(LookedUp { up_to, has_more });
    }
    let rows = import_row::waiting(&app.db, import.id, up_to, ROWS);
    let mut rows = app.with_timeout(rows).await?;
    if rows.is_empty() {
        return store(app, due, i64::MAX, Vec::new(), true).await;
    }
    let points: Vec<Point> = rows
        .iter()
        .map(|row| row.point.parse().map_err(anyhow::Error::from))
        .collect::<Result<_, _>>()?;
    let mut missing: BTreeSet<Point> = points.iter().copied().collect();
    let mut answers = match lookups {
        Some(lookups) => stored(app, lookups, &missing).await?,
        None => Answers::new(),
    };
    missing.retain(|point| !answers.contains_key(point));
    let open = lookups.filter(|lookups| !lookups.is_closed());
    match open {
        Some(lookups) => answers.extend(ask(app, due, lookups, missing, stop).await?),
        None if import.lookup_waits < MAX_WAITS => {}
        None => {
            let failed = || Err((Code::LookupFailed, "the service did not answer for an hour".to_owned()));
            answers.extend(missing.into_iter().map(|point| (point, failed())));
        }
    }
    // The rows behind one without an answer wait with it. Their answers are stored.
    let answered = points.iter().take_while(|point| answers.contains_key(point)).count();
    rows.truncate(answered);
    let Some(last) = rows.last() else {
        return wait(app, due, up_to).await;
    };
    let up_to = last.row;
    let looked_up = rows.into_iter().zip(points);
    let looked_up = looked_up.filter_map(|(row, point)| Some((row, answers.get(&point)?.clone())));
    store(app, due, up_to, looked_up.collect(), open.is_some()).await
}

/// Records that the import waits for the service.
async fn wait(app: &Core, due: &DueImport, up_to: i64) -> Result<LookedUp, Failure> {
    let waits = app.with_timeout(due.lease.wait_for_lookup(&app.db));
    waits.await?.then_some(()).ok_or(Failure::Lost)?;
    let has_more = false;
    Ok(LookedUp { up_to, has_more })
}

/// The stored answers for points.
async fn stored(app: &Core, lookups: &Lookups, points: &BTreeSet<Point>) -> Result<Answers, Error> {
    let by_key: HashMap<String, Point> = points.iter().map(|point| (lookups.key(*point), *point)).collect();
    let keys: Vec<String> = by_key.keys().cloned().collect();
    let found = app.with_timeout(lookup::find(&app.db, &keys, KEPT_FOR)).await?;
    let answer = |found: lookup::Model| Some((*by_key.get(&found.key)?, Ok(found.result)));
    Ok(found.into_iter().filter_map(answer).collect())
}

/// Asks for points, and stores each answer as it arrives. Points that are to be asked for later get none.
async fn ask(
    app: &Core,
    due: &DueImport,
    lookups: &Lookups,
    points: BTreeSet<Point>,
    stop: &CancellationToken,
) -> Result<Answers, Failure> {
    let mut answers = Answers::new();
    let points: Vec<Point> = points.into_iter().collect();
    let until = Instant::now() + STEP;
    let calls = points.chunks(POINTS).map(<[Point]>::to_vec).map(async |points| {
        let outcome = lookups.ask(&points, until).await;
        (points, outcome)
    });
    let calls: Vec<_> = calls.collect();
    // More than are made at the same time, so that the next call begins while answers are stored: one transaction for
    // all that have arrived, because other writers wait for it.
    let mut calls = stream::iter(calls).buffer_unordered(2 * CALLS).ready_chunks(2 * CALLS);
    let mut renewal = interval(RENEW_EVERY);
    loop {
        tokio::select! {
            answered = calls.next() => match answered {
                Some(answered) => answers.extend(keep(app, lookups, answered).await?),
                None => return Ok(answers),
            },
            () = stop.cancelled() => return Err(Failure::Stopped),
            _ = renewal.tick() => {
                let renewed = app.with_timeout(due.lease.renew(&app.db)).await?;
                renewed.then_some(()).ok_or(Failure::Lost)?;
            }
        }
    }
}

/// Stores the results of calls.
async fn keep(app: &Core, lookups: &Lookups, answered: Vec<(Vec<Point>, Outcome)>) -> Result<Answers, Error> {
    let (mut answers, mut found) = (Answers::new(), Vec::new());
    for (points, outcome) in answered {
        let failure = match outcome {
            Outcome::Found(results) => {
                for (point, result) in points.into_iter().zip(results) {
                    found.push((lookups.key(point), result.clone()));
                    answers.insert(point, Ok(result));
                }
                continue;
            }
            Outcome::Invalid(reason) => (Code::LookupInvalid, reason),
            Outcome::Failed => (Code::LookupFailed, "no answer after five tries".to_owned()),
            Outcome::Later => continue,
        };
        answers.extend(points.into_iter().map(|point| (point, Err(failure.clone()))));
    }
    let written = entity::write(&app.db, async |db| {
        lookup::store(db, found).await?;
        Ok::<_, Error>(())
    });
    app.with_timeout(written).await?;
    Ok(answers)
}

/// Stores the lookups of rows up to the row `up_to`. `is_answered` tells if the import does not wait for the service.
async fn store(
    app: &Core,
    due: &DueImport,
    up_to: i64,
    rows: Vec<(Waiting, Answer)>,
    is_answered: bool,
) -> Result<LookedUp, Failure> {
    let id = due.import.id;
    let mut counts = LookupCounts::default();
    let mut failed: BTreeMap<(&str, String), Vec<i64>> = BTreeMap::new();
    let mut looked_up = Vec::with_capacity(rows.len());
    for (row, answer) in rows {
        let (lookup, result, error) = match answer {
            Ok(Some(result)) => (Lookup::Found, Some(result), None),
            Ok(None) => (Lookup::NoData, None, None),
            Err((code, detail)) => {
                failed.entry((code.as_str(), detail)).or_default().push(row.row);
                (Lookup::Failed, None, Some(code))
            }
        };
        match lookup {
            Lookup::Found => counts.found += 1,
            Lookup::NoData => counts.no_data += 1,
            Lookup::Failed | Lookup::Waiting => counts.failed += 1,
        }
        let error = error.map(Code::as_str);
        looked_up.push(import_row::LookedUp {
            row,
            lookup,
            result,
            error,
        });
    }
    let has_more = !looked_up.is_empty();
    let written = entity::write(&app.db, async |db| {
        let is_held = due.lease.looked_up(db, up_to, counts, is_answered).await?;
        is_held.then_some(()).ok_or(Failure::Lost)?;
        import_row::set_lookups(db, id, looked_up).await?;
        for ((code, detail), rows) in failed.into_iter().filter(|_| due.import.lookup_required) {
            let ended = Ended {
                code: Some(code.to_owned()),
                detail: Some(detail),
                ..Ended::default()
            };
            import_row::fail_pending(db, id, &rows, ended).await?;
            let counts = [(RowStatus::Error, rows.len() as u64)];
            due.lease.add(db, RowStatus::Pending, &counts).await?;
        }
        Ok::<_, Failure>(())
    });
    app.with_timeout(written).await?;
    Ok(LookedUp { up_to, has_more })
}

/// Deletes some answers that are not used any more. Returns `false` if there are none.
///
/// # Errors
/// Errors of the database.
pub async fn forget_some(app: &Core) -> Result<bool, Error> {
    let deleted = app.with_timeout(lookup::delete_older(&app.db, KEPT_FOR, DELETED));
    Ok(deleted.await? == DELETED)
}
