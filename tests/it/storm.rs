//! A load test of races: clients send valid requests in parallel about a few tasks, images and presets, while workers
//! process the tasks. No reply is 5xx. At the end every acknowledged creation has its row, and rows and files agree
//! exactly. `./test` runs a fixed number of requests; `tests/campaign storm` runs the test for longer.

pub(crate) mod client;

use crate::consistency;
use client::{Account, Client, Clips};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::random::Random;
use tests::{Options, TestApp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The minimum and the maximum number of requests per client and the seed in `./test`. Plans and downloads succeed only
/// after a worker has processed a task, so a client continues until its account has had each of [`REQUIRED`].
const MIN_REQUESTS: u64 = 60;
const MAX_REQUESTS: u64 = 2_000;
const DEFAULT_SEED: u64 = 1;

/// Replies that each account must have had; without them the test proves nothing.
const REQUIRED: [&str; 12] = [
    "create 201",
    "delete 200",
    "retry 201",
    "retry 409",
    "cancel 200",
    "cancel 409",
    "plan 200",
    "download 200",
    "image 201",
    "delete image 200",
    "preset 201",
    "delete preset 200",
];

/// Clients per account. All clients and two workers together need fewer database connections than the pool has.
const CLIENTS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn parallel_valid_requests_cause_no_5xx_and_rows_and_files_agree_at_the_end() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let (time, seed) = (
        number("TEST_CAMPAIGN_SECONDS").map(Duration::from_secs),
        number("TEST_CAMPAIGN_SEED").unwrap_or(DEFAULT_SEED),
    );
    let mut app = TestApp::with(Options {
        config: |config| config.app.throttle.network.burst = 1_000,
        ..Options::default()
    })
    .await;
    let clips = Arc::new(Clips::make(app.directory.path()));
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    let mut accounts = Vec::new();
    for number in 0..2 {
        let account = Arc::new(Account::new(app.caller().await));
        for client in 0..CLIENTS {
            let random = Random::new(seed.wrapping_mul(1_000).wrapping_add(number * 100 + client));
            let client = Client::new(account.clone(), clips.clone(), random);
            clients.spawn(async move {
                let mut count = 0;
                let account = client.account().clone();
                let is_incomplete = || REQUIRED.iter().any(|required| account.count(required) == 0);
                let continues = |count| count < MIN_REQUESTS || (count < MAX_REQUESTS && is_incomplete());
                while time.map_or_else(|| continues(count), |time| begun.elapsed() < time) {
                    client.act().await;
                    count += 1;
                }
            });
        }
        accounts.push(account);
    }
    let stop = CancellationToken::new();
    let locker = tokio::spawn(lock_accounts(app.db.clone(), accounts.clone(), stop.clone()));
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    stop.cancel();
    locker.await.unwrap();
    consistency::wait_for_tasks(&app.db).await;
    app.stop().await;
    for account in &accounts {
        println!(
            "seed {seed}, {:.0} s: {}",
            begun.elapsed().as_secs_f64(),
            account.summary()
        );
        account.check_replies();
        consistency::check_rows(&app.db, account).await;
    }
    consistency::check_files(&app).await;
    for required in REQUIRED {
        for account in &accounts {
            assert!(account.count(required) > 0, "no reply was {required}");
        }
    }
}

/// Locks one account after the other for 30 ms, so that requests queue at the lock and run at the same time after it.
async fn lock_accounts(db: entity::DatabaseConnection, accounts: Vec<Arc<Account>>, stop: CancellationToken) {
    let mut round = 0;
    while !stop.is_cancelled() {
        let account = &accounts[round % accounts.len()];
        let held = entity::user::write(&db, account.user(&db).await, async |_| {
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok::<_, entity::DbErr>(())
        });
        held.await.unwrap();
        tokio::time::sleep(Duration::from_millis(70)).await;
        round += 1;
    }
}
