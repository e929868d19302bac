//! The choice of the next task: the SQL against the rule in `domain`, and its cost.

use crate::seed::{claim_next, database, new_user, server, task_of};
use crate::skip;
use domain::claim::{Waiting, next};
use domain::{ClaimPolicy, TaskId, UserId, WorkerId};
use entity::DatabaseConnection;
use entity::task::{self, Claim, Claimed};
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

async fn accounts(db: &DatabaseConnection, count: usize) -> Vec<UserId> {
    let mut accounts = Vec::with_capacity(count);
    for _ in 0..count {
        accounts.push(new_user(db).await);
    }
    accounts
}

/// Claims all waiting tasks; returns their accounts in the order of the claims.
async fn claim_all(db: &DatabaseConnection) -> Vec<UserId> {
    let mut order = Vec::new();
    while let Some(task) = claim_next(db).await {
        order.push(task.owner());
    }
    order
}

#[tokio::test]
async fn the_first_tasks_of_all_accounts_are_claimed_before_the_second_task_of_one() {
    let (db, _directory) = database("fair").await;
    let users = accounts(&db, 4).await;
    let (busy, others) = (users[0], &users[1..]);
    for _ in 0..5 {
        task_of(&db, busy).await;
    }
    for other in others {
        task_of(&db, *other).await;
    }
    // One worker: each task ends before the next is claimed.
    let mut order = Vec::new();
    while let Some(task) = claim_next(&db).await {
        order.push(task.owner());
        assert!(
            entity::write(&db, async |db| task::cancel(db, task.owner(), task.task_id()).await)
                .await
                .unwrap()
                .is_some()
        );
        // A second task of an account with one claim comes before the remaining tasks of the busy account.
        if order.len() == 2 {
            task_of(&db, others[0]).await;
        }
        // The times of claims have a resolution of one millisecond.
        let later = Duration::from_millis(2);
        tokio::time::sleep(later).await;
    }
    let [a, b, c, d] = [busy, others[0], others[1], others[2]];
    assert_eq!(order, [a, b, c, d, a, b, a, a, a]);
}

#[tokio::test]
async fn concurrent_workers_are_shared_fairly_between_accounts() {
    let (db, _directory) = database("shared").await;
    let users = accounts(&db, 3).await;
    for user in [0, 0, 0, 0, 1, 1, 2].map(|index| users[index]) {
        task_of(&db, user).await;
    }
    // No task ends, so the account with the fewest tasks in processing is next.
    let [a, b, c] = [users[0], users[1], users[2]];
    assert_eq!(claim_all(&db).await, [a, b, c, a, b, a, a]);
}

#[tokio::test]
async fn concurrent_claims_take_different_tasks_even_of_one_account() {
    let (db, _directory) = database("race").await;
    let user = new_user(&db).await;
    for _ in 0..12 {
        task_of(&db, user).await;
    }
    let claims = (0..4).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            let mut claimed = Vec::new();
            for _ in 0..3 {
                claimed.extend(claim_next(&db).await.map(|task| task.id));
            }
            claimed
        })
    });
    let claimed = futures::future::join_all(claims).await;
    let claimed: Vec<_> = claimed.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(claimed.len(), 12, "no claim came back empty while tasks were waiting");
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 12, "each task once");
}

#[tokio::test]
async fn a_claim_that_stalls_before_its_commit_blocks_no_other() {
    let (db, _directory) = database("stalled").await;
    if db.get_database_backend() != DbBackend::Postgres {
        return skip::other_setup("SQLite has one writer at a time, so a stalled transaction blocks all others");
    }
    let users = accounts(&db, 2).await;
    let (first, second) = (task_of(&db, users[0]).await, task_of(&db, users[0]).await);
    let other = task_of(&db, users[1]).await;
    let stalled = db.begin().await.unwrap();
    for statement in [
        format!(
            "UPDATE tasks SET status = 'processing', attempt = 1 WHERE id = {}",
            first.id
        ),
        format!("INSERT INTO turns (user_id, claimed_at_ms) VALUES ({}, 1)", users[0].0),
    ] {
        stalled.execute_unprepared(&statement).await.unwrap();
    }
    let all = async {
        let mut claimed = Vec::new();
        while let Some(task) = claim_next(&db).await {
            claimed.push(task.id);
        }
        claimed
    };
    let claimed = tokio::time::timeout(Duration::from_secs(30), all).await;
    let mut claimed = claimed.expect("a claim waits for the stalled one");
    claimed.sort_unstable();
    assert_eq!(claimed, [second.id, other.id], "also a task of the same account");
    stalled.rollback().await.unwrap();
    assert_eq!(claim_next(&db).await.map(|task| task.id), Some(first.id));
}

#[tokio::test]
async fn accounts_beyond_the_limit_of_one_claim_are_reached_by_later_claims() {
    let (db, _directory) = database("circle").await;
    let users = accounts(&db, 7).await;
    for user in &users {
        for _ in 0..3 {
            task_of(&db, *user).await;
        }
    }
    let mut policy = ClaimPolicy {
        accounts: 2,
        ..ClaimPolicy::default()
    };
    let worker = WorkerId("worker".to_owned());
    let mut turns = BTreeMap::<UserId, usize>::new();
    for _ in 0..14 {
        let task = task::claim_next(&db, policy, &worker).await.unwrap().unwrap();
        policy.after = task.owner();
        *turns.entry(task.owner()).or_default() += 1;
        entity::write(&db, async |db| task::cancel(db, task.owner(), task.task_id()).await)
            .await
            .unwrap();
    }
    assert_eq!(turns.len(), 7, "{turns:?}");
    assert!(turns.values().all(|turns| *turns >= 1), "{turns:?}");
}

/// A deterministic pseudo-random sequence (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound).unwrap()
    }
}

#[tokio::test]
async fn the_sql_chooses_the_task_that_the_rule_chooses() {
    let (db, _directory) = database("rule").await;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let users = accounts(&db, 6).await;
    let mut running: Vec<Claim> = Vec::new();
    for step in 0..160 {
        match random.below(5) {
            0 | 1 => {
                task_of(&db, users[random.below(6)]).await;
            }
            2 if !running.is_empty() => {
                let claim = running.swap_remove(random.below(running.len() as u64));
                let delay = Duration::from_secs(600 * random.below(2) as u64);
                assert!(claim.release(&db, delay).await.unwrap());
            }
            _ => {
                let expected = next(&waiting(&db).await);
                let policy = ClaimPolicy {
                    after: users[random.below(6)],
                    ..ClaimPolicy::default()
                };
                let worker = WorkerId("worker".to_owned());
                let claimed = task::claim_next(&db, policy, &worker).await.unwrap();
                assert_eq!(claimed.as_deref().map(task::Model::task_id), expected, "step {step}");
                running.extend(claimed.iter().map(Claimed::claim));
            }
        }
    }
}

/// All due tasks, read with a query that is independent of the claim.
async fn waiting(db: &DatabaseConnection) -> Vec<Waiting> {
    let query =
        "SELECT id, (SELECT count(*) FROM tasks p WHERE p.status = 'processing' AND p.user_id = t.user_id) AS busy,
            coalesce((SELECT claimed_at_ms FROM turns WHERE turns.user_id = t.user_id), 0) AS claimed_at_ms
        FROM tasks t WHERE t.status = 'uploaded' AND t.run_at_ms < 1000000000000000 AND t.run_at_ms <= ";
    let now = match server() {
        Some(_) => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        None => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
    };
    let query = Statement::from_string(db.get_database_backend(), format!("{query}{now}"));
    let rows = db.query_all_raw(query).await.unwrap();
    let read = |row: &sea_orm::QueryResult| Waiting {
        task: TaskId(row.try_get("", "id").unwrap()),
        processing: u32::try_from(row.try_get::<i64>("", "busy").unwrap()).unwrap(),
        claimed_at_ms: row.try_get("", "claimed_at_ms").unwrap(),
    };
    rows.iter().map(read).collect()
}

/// Inserts `each` waiting tasks for each account, all with the source of `like`.
async fn insert_tasks(db: &DatabaseConnection, like: TaskId, users: &[UserId], each: usize) {
    for user in users {
        let insert = format!(
            "INSERT INTO tasks (user_id, source_id, file_path, timestamp, status, display_name, recipe, attempt, failures, run_at_ms)
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {each})
            SELECT {user}, source_id, file_path, timestamp, 'uploaded', display_name, recipe, 0, 0, 0
            FROM tasks, n WHERE id = {like}"
        );
        db.execute_unprepared(&insert).await.unwrap();
    }
}

/// The median duration of `count` consecutive claims.
async fn median_claim(db: &DatabaseConnection, count: usize) -> Duration {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        claim_next(db).await.unwrap();
        times.push(begun.elapsed());
    }
    times.sort();
    times[count / 2]
}

#[tokio::test]
async fn a_hundred_thousand_waiting_tasks_do_not_slow_a_claim() {
    let (db, _directory) = database("flood").await;
    let users = accounts(&db, 101).await;
    let first = task_of(&db, users[0]).await.task_id();
    insert_tasks(&db, first, &users[..2], 200).await;
    let few = median_claim(&db, 40).await;
    insert_tasks(&db, first, &users[..1], 60_000).await;
    let of_one = median_claim(&db, 40).await;
    insert_tasks(&db, first, &users[1..], 400).await;
    let of_many = median_claim(&db, 40).await;
    println!("a claim among 400 tasks: {few:?}, 60,000 of one account: {of_one:?}, 100,000 of 101: {of_many:?}");
    // A claim that reads all waiting tasks takes about a hundred times as long. The cost of 101 accounts is a few index
    // look-ups each.
    assert!(of_one < few * 20 + Duration::from_millis(20), "{few:?} {of_one:?}");
    assert!(of_many < few * 40 + Duration::from_millis(50), "{few:?} {of_many:?}");
}
