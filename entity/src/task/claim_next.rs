//! Selecting and claiming the next task in one statement.
//!
//! *Problem.* The rule of fair share (`domain::claim`) compares accounts. The cost of a claim must not grow with the
//! number of waiting tasks, and concurrent claims must neither wait for each other nor take the same task.
//!
//! *Mechanism.* Accounts with waiting tasks are found by a loose index scan over `tasks_waiting_idx`: a recursive query
//! jumps from one account to the next, however many tasks lie between. Of each account, only the oldest due tasks are
//! candidates. A claim costs a few index look-ups for each account with waiting tasks, of which it examines at most
//! `ClaimPolicy::accounts`.
//!
//! *Concurrency.* SQLite has one writer at a time, so the oldest due task of each account is the only candidate. On
//! Postgres a row that another claim has locked is skipped (`SKIP LOCKED`). Several tasks of each account are therefore
//! candidates, and each is ranked as if those before it were in processing already.
//!
//! *Query plans.* Both databases must use the partial indexes, for any content of the tables. Statuses are therefore
//! literals in the SQL and not parameters. SQLite keeps no statistics, so it is told which index to use. Postgres plans
//! each claim anew, because a cached plan from a time with few waiting tasks would read all that wait now.

use super::{Claimed, Model};
use crate::lease::LEASE;
use domain::{ClaimPolicy, WorkerId};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, Statement};
use std::time::Duration;

/// The accounts with waiting tasks, by id in a circle that begins after account `$1`; at most `$2` of them.
const ACCOUNTS: &str = "
WITH RECURSIVE circle (user_id, first_id, step) AS (
    SELECT found.user_id, found.user_id, 1
    FROM (SELECT coalesce(
        (SELECT min(user_id) FROM {WAITING} WHERE status = 'uploaded' AND user_id > $1),
        (SELECT min(user_id) FROM {WAITING} WHERE status = 'uploaded')) AS user_id) AS found
    WHERE found.user_id IS NOT NULL
    UNION ALL
    SELECT coalesce(
        (SELECT min(user_id) FROM {WAITING} WHERE status = 'uploaded' AND user_id > circle.user_id),
        (SELECT min(user_id) FROM {WAITING} WHERE status = 'uploaded')), circle.first_id, circle.step + 1
    FROM circle
    WHERE circle.step < $2 AND (circle.step = 1 OR circle.user_id <> circle.first_id)
), accounts (user_id) AS (
    SELECT user_id FROM circle WHERE user_id IS NOT NULL AND (step = 1 OR user_id <> first_id)
)";

/// The columns that a claim sets: worker `$3`, started at `$4`.
const CLAIM: &str = "
UPDATE tasks SET status = 'processing', attempt = attempt + 1, progress = NULL, worker_id = $3, started_at = $4,
    lease_until_ms = {NOW} + {LEASE}";

/// The task to claim, on SQLite.
const SQLITE: &str = "
WHERE id = (
    SELECT task_id FROM (
        SELECT
            (SELECT id FROM {WAITING} WHERE status = 'uploaded' AND user_id = accounts.user_id AND run_at_ms <= {NOW}
                ORDER BY id LIMIT 1) AS task_id,
            (SELECT count(*) FROM {PROCESSING} WHERE status = 'processing' AND user_id = accounts.user_id) AS processing,
            coalesce((SELECT claimed_at_ms FROM turns WHERE user_id = accounts.user_id), 0) AS claimed_at_ms
        FROM accounts) AS waiting
    WHERE task_id IS NOT NULL
    ORDER BY processing, claimed_at_ms, task_id LIMIT 1)
RETURNING *";

/// Stores the time of the latest claim of account `$1`.
const TURN: &str = "INSERT INTO turns (user_id, claimed_at_ms) VALUES ($1, {NOW})
    ON CONFLICT (user_id) DO UPDATE SET claimed_at_ms = excluded.claimed_at_ms";

/// The task to claim, on Postgres. Eight tasks of each account are candidates, so that concurrent claims find another
/// row when the first one is locked.
const POSTGRES_WAITING: &str = ", waiting AS (
    SELECT head.id, head.rank + coalesce(busy.processing, 0) AS processing,
        coalesce(turns.claimed_at_ms, 0) AS claimed_at_ms
    FROM accounts
    CROSS JOIN LATERAL (
        SELECT id, row_number() OVER (ORDER BY id) AS rank FROM (
            SELECT id FROM tasks WHERE status = 'uploaded' AND user_id = accounts.user_id AND run_at_ms <= {NOW}
            ORDER BY id LIMIT 8) AS oldest) AS head
    LEFT JOIN (SELECT user_id, count(*) AS processing FROM tasks WHERE status = 'processing' GROUP BY user_id) AS busy
        ON busy.user_id = accounts.user_id
    LEFT JOIN turns ON turns.user_id = accounts.user_id
), next AS MATERIALIZED (
    SELECT tasks.id FROM waiting JOIN tasks ON tasks.id = waiting.id
    WHERE tasks.status = 'uploaded'
    ORDER BY waiting.processing, waiting.claimed_at_ms, waiting.id LIMIT 1
    FOR UPDATE OF tasks SKIP LOCKED
), claimed AS (";

/// The end of the statement on Postgres: the join of the update with the selected task, and its result.
const POSTGRES_CLAIMED: &str = "
    FROM next WHERE tasks.id = next.id RETURNING tasks.*
) SELECT * FROM claimed";

/// Limit for storing the time of the latest claim: another transaction may hold the row in `turns`.
const TURN_TIMEOUT: Duration = Duration::from_millis(500);

/// Claims the next task for `worker`: a new attempt with a lease of [`LEASE`]. Returns `None` when no task is due.
///
/// # Errors
/// Any database error. If the reply to the commit was lost, a task may have been claimed; see
/// [`release_unknown`](super::release_unknown).
pub async fn claim_next(
    db: &DatabaseConnection,
    policy: ClaimPolicy,
    worker: &WorkerId,
) -> Result<Option<Claimed>, DbErr> {
    let backend = db.get_database_backend();
    let values = [
        policy.after.0.into(),
        i64::from(policy.accounts).into(),
        worker.to_string().into(),
        crate::now().into(),
    ];
    let claim = Statement::from_sql_and_values(backend, sql(backend), values);
    let claimed = crate::write(db, async |db| {
        if backend == DbBackend::Postgres {
            db.execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan")
                .await?;
        }
        super::Entity::find().from_raw_sql(claim).one(db).await
    });
    let claimed: Option<Model> = claimed.await?;
    if let Some(task) = &claimed {
        record_turn(db, task.user_id).await;
    }
    Ok(claimed.map(Claimed))
}

/// Stores the time of the account's latest claim, in a statement of its own after the claim. Within the transaction of
/// the claim, a worker that stalls before its commit would lock the row and block every other claim of the account. If
/// the time is not stored, the account may only be served a little early next time.
async fn record_turn(db: &DatabaseConnection, user: i64) {
    let backend = db.get_database_backend();
    let turn = TURN.replace("{NOW}", crate::now_ms_sql(backend));
    let turn = Statement::from_sql_and_values(backend, turn, [user.into()]);
    if let Err(error) = crate::with_timeout(TURN_TIMEOUT, db.execute_raw(turn)).await {
        tracing::debug!(%error, "failed to record the latest claim of an account");
    }
}

/// The whole statement for a database.
fn sql(backend: DbBackend) -> String {
    let (text, [waiting, processing]) = match backend {
        DbBackend::Sqlite => (
            [ACCOUNTS, CLAIM, SQLITE].concat(),
            [
                "tasks INDEXED BY tasks_waiting_idx",
                "tasks INDEXED BY tasks_processing_idx",
            ],
        ),
        _ => (
            [ACCOUNTS, POSTGRES_WAITING, CLAIM, POSTGRES_CLAIMED].concat(),
            ["tasks", "tasks"],
        ),
    };
    let text = text.replace("{WAITING}", waiting).replace("{PROCESSING}", processing);
    text.replace("{NOW}", crate::now_ms_sql(backend))
        .replace("{LEASE}", &crate::millis(LEASE).to_string())
}
