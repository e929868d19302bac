//! Clients that send nothing but correct requests, in parallel, about a few tasks, images and presets, while workers settle
//! the tasks. No reply is 5xx; at the end every creation has its row, and rows and files agree exactly. `./test` runs a
//! fixed number of requests; `tests/campaign storm` runs it for longer.

pub(crate) mod client;

use crate::consistency;
use client::{Account, Client, Clips};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::random::Random;
use tests::{Options, TestApp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The short form: the fewest and the most requests of each client, and the seed. Workers decide when a task can be planned
/// or its files be fetched, so a client goes on until its account has seen each of [`NEEDED`].
const USUAL_COUNT: u64 = 60;
const MOST_COUNT: u64 = 2_000;
const USUAL_SEED: u64 = 1;

/// Replies without which the requests have shown nothing.
const NEEDED: [&str; 6] = [
    "create 201",
    "delete 200",
    "retry 201",
    "cancel 200",
    "plan 200",
    "download 200",
];

/// Clients of each account. Their connections to the database are fewer than the pool has, and those of two workers.
const CLIENTS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn correct_clients_in_parallel_provoke_no_5xx_and_leave_files_and_rows_that_agree() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let (time, seed) = (
        number("TEST_CAMPAIGN_SECONDS").map(Duration::from_secs),
        number("TEST_CAMPAIGN_SEED").unwrap_or(USUAL_SEED),
    );
    let mut app = TestApp::with(Options {
        config: |config| config.throttle.network.burst = 1_000,
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
                let lacks = || NEEDED.iter().any(|needed| account.count(needed) == 0);
                let goes_on = |count| count < USUAL_COUNT || (count < MOST_COUNT && lacks());
                while time.map_or_else(|| goes_on(count), |time| begun.elapsed() < time) {
                    client.act().await;
                    count += 1;
                }
            });
        }
        accounts.push(account);
    }
    let calm = CancellationToken::new();
    let locker = tokio::spawn(lock_now_and_then(app.db.clone(), accounts.clone(), calm.clone()));
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    calm.cancel();
    locker.await.unwrap();
    consistency::wait_for_the_workers(&app.db).await;
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
    for needed in NEEDED {
        for account in &accounts {
            assert!(account.count(needed) > 0, "never {needed}: the storm shows nothing");
        }
    }
}

/// Holds one account after the other for a moment, so that requests meet which would pass each other otherwise.
async fn lock_now_and_then(db: entity::DatabaseConnection, accounts: Vec<Arc<Account>>, calm: CancellationToken) {
    let mut turn = 0;
    while !calm.is_cancelled() {
        let account = &accounts[turn % accounts.len()];
        let held = entity::user::write(&db, account.user(&db).await, async |_| {
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok::<_, entity::DbErr>(())
        });
        held.await.unwrap();
        tokio::time::sleep(Duration::from_millis(70)).await;
        turn += 1;
    }
}
