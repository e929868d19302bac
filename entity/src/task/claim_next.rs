//! Choosing and claiming the next task in one statement.
//!
//! The rule is `domain::claim`. Accounts with waiting tasks are found by hops over the index `tasks_waiting_idx`: from one
//! account to the next, however many tasks lie between. Of each account only its oldest due tasks are looked at. A claim so
//! costs a few index look-ups for each account that waits, at most `ClaimPolicy::accounts`, and the number of waiting tasks
//! does not matter.
//!
//! Workers race for tasks. On SQLite writes come one after the other, so the oldest task of each account is enough. On
//! Postgres a row that another claim has locked is skipped (`SKIP LOCKED`), and that claim's task counts as being in
//! processing: a few more tasks of each account are candidates, each as if those before it were claimed already.
//!
//! Both databases must take the partial indexes whatever the tables look like. Statuses therefore stand in the text and not
//! in parameters; SQLite, which keeps no statistics, is told which index to use; and Postgres plans each claim anew, since a
//! plan that was kept from the time when little waited would read all that waits now.

use super::{LEASE, Model};
use domain::{ClaimPolicy, WorkerId};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, Statement};
use std::time::Duration;

/// The accounts that have waiting tasks, in a circle that begins behind account `$1`, at most `$2` of them.
const ACCOUNTS: &str = "
WITH RECURSIVE circle (user_id, first_id, place) AS (
    SELECT found.user_id, found.user_id, 1
    FROM (SELECT coalesce(
        (SELECT min(user_id) FROM {WAITING} WHERE status = 'uploaded' AND user_id > $1),
        (SELECT min(user_id) FROM {WAITING} WHERE status = 'uploaded')) AS user_id) AS found
    WHERE found.user_id IS NOT NULL
    UNION ALL
    SELECT coalesce(
        (SELECT min(user_id) FROM {WAITING} WHERE status = 'uploaded' AND user_id > circle.user_id),
        (SELECT min(user_id) FROM {WAITING} WHERE status = 'uploaded')), circle.first_id, circle.place + 1
    FROM circle
    WHERE circle.place < $2 AND (circle.place = 1 OR circle.user_id <> circle.first_id)
), accounts (user_id) AS (
    SELECT user_id FROM circle WHERE user_id IS NOT NULL AND (place = 1 OR user_id <> first_id)
)";

/// The change of a claim: worker `$3`, begun at `$4`.
const CLAIM: &str = "
UPDATE tasks SET status = 'processing', attempt = attempt + 1, progress = NULL, worker_id = $3, started_at = $4,
    lease_until_ms = {NOW} + {LEASE}";

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

/// The latest claim of account `$1`.
const TURN: &str = "INSERT INTO turns (user_id, claimed_at_ms) VALUES ($1, {NOW})
    ON CONFLICT (user_id) DO UPDATE SET claimed_at_ms = excluded.claimed_at_ms";

/// Claims that run at the same moment must not all want the same row: so many tasks of an account are candidates.
const POSTGRES_WAITING: &str = ", waiting AS (
    SELECT head.id, head.place + coalesce(busy.processing, 0) AS processing,
        coalesce(turns.claimed_at_ms, 0) AS claimed_at_ms
    FROM accounts
    CROSS JOIN LATERAL (
        SELECT id, row_number() OVER (ORDER BY id) AS place FROM (
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

const POSTGRES_CLAIMED: &str = "
    FROM next WHERE tasks.id = next.id RETURNING tasks.*
) SELECT * FROM claimed";

/// How long a claim waits for the row of its account in `turns`.
const TURN_WITHIN: Duration = Duration::from_millis(500);

/// Claims the task whose turn it is, for a new attempt under a lease of [`LEASE`]; `None` when no task is due.
///
/// # Errors
/// Those of the database. When its answer got lost a task may have been claimed all the same, see
/// [`release_others`](super::release_others).
pub async fn claim_next(
    db: &DatabaseConnection,
    policy: ClaimPolicy,
    worker: &WorkerId,
) -> Result<Option<Model>, DbErr> {
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
    Ok(claimed)
}

/// Records that it was this account's turn. After the claim and on its own: a worker that freezes between a claim and its
/// commit would hold the row, and with it every other claim of the account. A turn that is not recorded only means that the
/// account may come a little early next time.
async fn record_turn(db: &DatabaseConnection, user: i64) {
    let backend = db.get_database_backend();
    let turn = TURN.replace("{NOW}", crate::now_ms_sql(backend));
    let turn = Statement::from_sql_and_values(backend, turn, [user.into()]);
    if let Err(error) = crate::in_time(TURN_WITHIN, db.execute_raw(turn)).await {
        tracing::debug!(%error, "the turn of an account was not recorded");
    }
}

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
