//! A disk that fills up while the service runs. Changes that were acknowledged are there after a kill and a restart,
//! refused ones are not, and once the disk has free space the same process serves again.
//!
//! `tests/campaign full-disk` runs the test for longer, with `TEST_CAMPAIGN_SECONDS` and `TEST_CAMPAIGN_SEED`.

use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tests::random::Random;
use tests::server::Server;
use tests::{Caller, MP4, PNG, Postgres, Reply, SmallDisk};

/// The maximum number of requests until the full disk must have caused refusals. A database still writes while its log
/// file has free pages.
const MAX_REQUESTS: u32 = 600;
/// The maximum number of presets and of images, below the limit of an account.
const MAX_RESOURCES: usize = 60;
/// The number of refusals that end the phase with a full disk.
const REFUSALS: u32 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_survive_a_full_disk_and_a_kill() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seconds = number("TEST_CAMPAIGN_SECONDS").unwrap_or(0);
    let seed = number("TEST_CAMPAIGN_SEED").unwrap_or(9);
    println!("seed {seed}");
    let variants: &[Full] = if std::env::var("TEST_DATABASE_URL").is_ok() {
        &[Full::Tables, Full::Log, Full::Files]
    } else {
        &[Full::Both, Full::Tables, Full::Files]
    };
    let share = Duration::from_secs(seconds) / u32::try_from(variants.len()).unwrap();
    for full in variants {
        println!("full: {full:?}");
        let Some(setup) = Setup::create(*full) else { return };
        fill_and_restart(setup, share, seed).await;
    }
}

/// The data on the disk that fills up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The whole SQLite database and the files.
    Both,
    /// The whole SQLite database, or the tables of Postgres.
    Tables,
    /// The write-ahead log of Postgres.
    Log,
    /// The stored files.
    Files,
}

/// The environment of a service: a small disk for the data that fills up, a directory for the rest.
pub(crate) struct Setup {
    full: Full,
    environment: Vec<(&'static str, String)>,
    database_url: String,
    pub(crate) objects: PathBuf,
    log: PathBuf,
    // Declared before the disk, so that Postgres is stopped before the disk is unmounted.
    postgres: Option<Postgres>,
    pub(crate) disk: SmallDisk,
    _home: tempfile::TempDir,
}

impl Setup {
    /// Returns `None` and prints why if the machine has no Postgres or no right to mount.
    pub(crate) fn create(full: Full) -> Option<Self> {
        let is_postgres = std::env::var("TEST_DATABASE_URL").is_ok();
        let disk = SmallDisk::mount(if is_postgres && full == Full::Tables { 80 } else { 16 })?;
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let directory = |name: &str, on: &[Full]| {
            let parent = if on.contains(&full) { disk.path() } else { home.path() };
            let path = parent.join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let tables = directory("tables", &[Full::Both, Full::Tables]);
        let objects = directory("objects", &[Full::Both, Full::Files]);
        let postgres = if is_postgres {
            let log = directory("log", &[Full::Log]);
            Some(Postgres::start(&tables, &log, &["max_connections=40"])?)
        } else {
            None
        };
        let file = format!("sqlite://{}/rushes.db", tables.display());
        let database_url = postgres.as_ref().map_or(file, |postgres| postgres.url.clone());
        let data = home.path().join("data").display().to_string();
        Some(Self {
            full,
            environment: vec![
                ("RUSHES_DATA_DIR", data),
                ("STORAGE_URL", format!("file://{}", objects.display())),
                ("DATABASE_URL", database_url.clone()),
            ],
            database_url,
            objects,
            log: home.path().join("log.txt"),
            postgres,
            disk,
            _home: home,
        })
    }

    pub(crate) async fn start(&self) -> Server {
        let mut server = Server::start("up", &self.log, &self.environment);
        server.ready().await;
        server
    }
}

/// Repeats until the time is over: fill the disk until requests are refused, free it, kill the process, start it again
/// and compare rows and files with the replies.
async fn fill_and_restart(mut setup: Setup, duration: Duration, seed: u64) {
    let mut server = setup.start().await;
    let mut client = Client::new(Caller::sign_up(&server.url).await, setup.full, seed);
    let begun = Instant::now();
    for round in 0.. {
        client.act_often(20).await;
        let others = entity::connect(&setup.database_url, 1).await.unwrap();
        setup.disk.fill();
        let (before, mut requests) = (client.refused, 0);
        while client.refused < before + REFUSALS && requests < MAX_REQUESTS {
            if setup.full == Full::Log {
                // Other clients also write, so the log switches to its next file. Postgres may stop here; this is
                // expected.
                let _ = others.execute_unprepared("SELECT pg_switch_wal()").await;
            }
            // Also the space that the database has freed since then.
            setup.disk.fill();
            client.act_often(1).await;
            requests += 1;
        }
        assert!(client.refused > before, "the disk was never full");
        if setup.full != Full::Log {
            for _ in 0..3 {
                client.sign_up().await;
                client.replace_preset().await;
            }
        }
        setup.disk.free();
        if let Some(postgres) = &mut setup.postgres {
            postgres.restart_if_ended();
        }
        // The same process serves again.
        let freed = Instant::now();
        while !client.create_preset().await {
            assert!(freed.elapsed() < Duration::from_secs(30), "{}", server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let resumed = freed.elapsed().as_millis();
        println!("round {round}: refused after {requests} requests, resumed after {resumed} ms");
        client.is_settled = true;
        client.act_often(30).await;
        client.is_settled = false;
        server.end(if round % 2 == 0 { "-KILL" } else { "-TERM" }).await;
        server = setup.start().await;
        client.caller.url.clone_from(&server.url);
        client.compare(&setup.database_url, &setup.objects).await;
        if round > 0 && begun.elapsed() >= duration {
            break;
        }
    }
    server.stop().await;
}

/// A client that keeps the acknowledged state.
struct Client {
    caller: Caller,
    full: Full,
    random: Random,
    created: u64,
    refused: u32,
    /// True while the disk has free space: then any refusal fails the test.
    is_settled: bool,
    /// Summaries by name.
    presets: BTreeMap<String, String>,
    /// Presets whose last request got no definite reply.
    doubtful: BTreeSet<String>,
    images: BTreeSet<String>,
    tasks: BTreeSet<i64>,
    accounts: u64,
}

impl Client {
    fn new(caller: Caller, full: Full, seed: u64) -> Self {
        Self {
            caller,
            full,
            random: Random::new(seed),
            created: 0,
            refused: 0,
            is_settled: false,
            presets: BTreeMap::new(),
            doubtful: BTreeSet::new(),
            images: BTreeSet::new(),
            tasks: BTreeSet::new(),
            accounts: 1,
        }
    }

    fn one_of<'a, T: Clone + 'a>(random: &mut Random, mut of: impl ExactSizeIterator<Item = &'a T>) -> Option<T> {
        of.nth(random.below(of.len())).cloned()
    }

    /// Returns true if a request succeeded. Panics unless it succeeded or was refused because of the disk or a limit.
    fn is_acknowledged(&mut self, reply: &Reply) -> bool {
        let is_success = (200..300).contains(&reply.status);
        let is_disk_full = matches!(reply.status, 503 | 507);
        // The limits of sign-ups per address and of images and presets per account.
        let is_limit = matches!(reply.status, 422 | 429);
        assert!(is_success || is_limit || is_disk_full && !self.is_settled, "{reply:?}");
        self.refused += u32::from(is_disk_full);
        is_success
    }

    async fn act_often(&mut self, times: u32) {
        for _ in 0..times {
            self.act().await;
        }
    }

    async fn act(&mut self) {
        // With a full log Postgres stops, and the reply to a commit may be lost. Only presets are used then: their
        // names tell if the commit took place.
        let kinds = if self.full == Full::Log { 8 } else { 16 };
        match self.random.below(kinds) {
            0..=5 if self.presets.len() < MAX_RESOURCES => drop(self.create_preset().await),
            7 if self.full != Full::Log => self.replace_preset().await,
            0..=7 => self.remove_preset().await,
            8 | 9 if self.images.len() < MAX_RESOURCES => self.create_image().await,
            8..=10 => self.remove_image().await,
            11 | 12 => self.create_task().await,
            13 | 14 => self.remove_task().await,
            _ => self.sign_up().await,
        }
    }

    async fn create_preset(&mut self) -> bool {
        self.created += 1;
        let name = format!("preset-{}", self.created);
        let summary = self.summary();
        let preset = json!({ "name": name, "summary": summary, "recipe": { "outputs": [{ "kind": "mp4" }] } });
        let reply = self.caller.post("/api/presets", &preset).await;
        let is_created = self.is_acknowledged(&reply);
        if is_created {
            self.presets.insert(name, summary);
        } else if reply.status == 503 && self.full == Full::Log {
            self.doubtful.insert(name);
        }
        is_created
    }

    /// A new text for each preset.
    fn summary(&self) -> String {
        format!("{:0>150}", self.created)
    }

    async fn replace_preset(&mut self) {
        self.created += 1;
        let Some(name) = Self::one_of(&mut self.random, self.presets.keys()) else {
            return;
        };
        let summary = self.summary();
        let content = json!({ "summary": summary, "recipe": { "outputs": [{ "kind": "mp4" }] } });
        let path = format!("/api/presets/{name}");
        let request = self.caller.request(reqwest::Method::PUT, &path).json(&content);
        let reply = Reply::read(request.send().await.unwrap()).await;
        if self.is_acknowledged(&reply) {
            self.presets.insert(name, summary);
        }
    }

    async fn remove_preset(&mut self) {
        let Some(name) = Self::one_of(&mut self.random, self.presets.keys()) else {
            return;
        };
        let reply = self.caller.delete(&format!("/api/presets/{name}")).await;
        if reply.status == 404 && self.doubtful.contains(&name) {
            return;
        }
        if self.is_acknowledged(&reply) {
            self.presets.remove(&name);
        } else if self.full == Full::Log {
            self.doubtful.insert(name);
        }
    }

    async fn create_image(&mut self) {
        self.created += 1;
        let bytes = [PNG, &[7; 9_000]].concat();
        let name = format!("image-{}", self.created);
        let reply = self.caller.image(&name, bytes).await;
        if self.is_acknowledged(&reply) {
            self.images.insert(name);
        }
    }

    async fn remove_image(&mut self) {
        let Some(name) = Self::one_of(&mut self.random, self.images.iter()) else {
            return;
        };
        let reply = self.caller.delete(&format!("/api/images/{name}")).await;
        if self.is_acknowledged(&reply) {
            self.images.remove(&name);
        }
    }

    async fn create_task(&mut self) {
        self.created += 1;
        let bytes = [MP4, &self.created.to_le_bytes(), &[7; 30_000]].concat();
        let reply = self.caller.upload("clip.mp4", bytes, &[]).await;
        if self.is_acknowledged(&reply) {
            self.tasks.insert(reply.body["task_id"].as_i64().unwrap());
        }
    }

    async fn remove_task(&mut self) {
        let Some(id) = Self::one_of(&mut self.random, self.tasks.iter()) else {
            return;
        };
        let reply = self.caller.delete(&format!("/api/tasks/{id}")).await;
        if self.is_acknowledged(&reply) {
            self.tasks.remove(&id);
        }
    }

    async fn sign_up(&mut self) {
        self.created += 1;
        let name = format!("guest{}x{}", self.created, self.random.next());
        let password = "123abc456";
        let email = format!("{name}@example.com");
        let form = json!({ "username": name, "password1": password, "password2": password, "email": email });
        let reply = self.caller.post("/api/auth/signup", &form).await;
        self.accounts += u64::from(self.is_acknowledged(&reply));
    }

    /// Compares the acknowledged state with rows and files.
    async fn compare(&self, database: &str, objects: &Path) {
        let db = entity::connect(database, 2).await.unwrap();
        let texts = async |query: &str| {
            let statement = Statement::from_string(db.get_database_backend(), query);
            let rows = db.query_all_raw(statement).await.unwrap();
            rows.iter()
                .map(|row| row.try_get_by_index::<String>(0).unwrap())
                .collect::<BTreeSet<_>>()
        };
        let ids = |ids: &BTreeSet<i64>| ids.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let certain = |presets: &BTreeSet<String>| {
            let is_certain = |preset: &&String| {
                preset
                    .split_once(' ')
                    .is_some_and(|(name, _)| !self.doubtful.contains(name))
            };
            presets.iter().filter(is_certain).cloned().collect::<BTreeSet<_>>()
        };
        let found = texts("SELECT name || ' ' || summary FROM presets").await;
        let acknowledged = self.presets.iter().map(|(name, summary)| format!("{name} {summary}"));
        assert_eq!(certain(&found), certain(&acknowledged.collect()));
        assert_eq!(texts("SELECT name FROM images").await, self.images);
        assert_eq!(texts("SELECT CAST(id AS TEXT) FROM tasks").await, ids(&self.tasks));
        let accounts = texts("SELECT username FROM users").await.len();
        assert_eq!(u64::try_from(accounts).unwrap(), self.accounts);

        let named = texts("SELECT key FROM sources UNION SELECT key FROM images").await;
        let mut found = BTreeSet::new();
        files_below(objects, objects, &mut found);
        let lost: Vec<_> = named.difference(&found).collect();
        assert!(lost.is_empty(), "rows without files: {lost:?}");
        let trash = texts("SELECT key FROM trash").await;
        let orphaned: Vec<_> = found
            .iter()
            .filter(|file| !named.contains(*file) && !trash.contains(*file))
            .collect();
        assert!(orphaned.is_empty(), "files that no row names: {orphaned:?}");
    }
}

fn files_below(root: &Path, directory: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path: PathBuf = entry.path();
        if path.is_dir() {
            files_below(root, &path, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}
