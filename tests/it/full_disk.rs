//! Disks that fill up under a running service: what was answered with success is there after a kill and a restart, what was
//! refused is not, and with room on the disk the same process goes on.
//!
//! `tests/campaign full-disk` runs it for longer; see `TEST_CAMPAIGN_SECONDS` and `TEST_CAMPAIGN_SEED` there.

use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tests::random::Random;
use tests::server::Server;
use tests::{Caller, MP4, PNG, Postgres, Reply, SmallDisk};

/// Most requests to a full disk until some were refused: a database goes on for as long as its log has room inside.
const TRIES: u32 = 600;
/// Presets and images that are kept: fewer than an account may have.
const MANY: usize = 60;
/// Refusals that are waited for.
const REFUSALS: u32 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_with_success_outlives_a_full_disk_and_a_kill() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seconds = number("TEST_CAMPAIGN_SECONDS").unwrap_or(0);
    let seed = number("TEST_CAMPAIGN_SEED").unwrap_or(9);
    println!("seed {seed}");
    let places: &[Full] = if std::env::var("TEST_DATABASE_URL").is_ok() {
        &[Full::Tables, Full::Log, Full::Files]
    } else {
        &[Full::Both, Full::Tables, Full::Files]
    };
    let share = Duration::from_secs(seconds) / u32::try_from(places.len()).unwrap();
    for place in places {
        println!("full: {place:?}");
        let Some(setup) = Setup::make(*place) else { return };
        story(setup, share, seed).await;
    }
}

/// What lies on the disk that fills up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The whole SQLite database and the files.
    Both,
    /// The whole SQLite database, or the tables of Postgres.
    Tables,
    /// The write-ahead log of Postgres.
    Log,
    Files,
}

/// A place for a service: a small disk, and a directory elsewhere.
pub(crate) struct Setup {
    full: Full,
    environment: Vec<(&'static str, String)>,
    database_url: String,
    pub(crate) objects: PathBuf,
    log: PathBuf,
    // Ends before its disk does.
    postgres: Option<Postgres>,
    pub(crate) disk: SmallDisk,
    _home: tempfile::TempDir,
}

impl Setup {
    /// `None`, said aloud, where the machine cannot give it.
    pub(crate) fn make(full: Full) -> Option<Self> {
        let is_postgres = std::env::var("TEST_DATABASE_URL").is_ok();
        let disk = SmallDisk::mount(if is_postgres && full == Full::Tables { 80 } else { 16 })?;
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let place = |name: &str, on: &[Full]| {
            let parent = if on.contains(&full) { disk.path() } else { home.path() };
            let path = parent.join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let tables = place("tables", &[Full::Both, Full::Tables]);
        let objects = place("objects", &[Full::Both, Full::Files]);
        let postgres = if is_postgres {
            let log = place("log", &[Full::Log]);
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

async fn story(mut setup: Setup, lasts: Duration, seed: u64) {
    let mut server = setup.start().await;
    let mut client = Client::new(Caller::sign_up(&server.url).await, setup.full, seed);
    let begun = Instant::now();
    for round in 0.. {
        client.act_often(20).await;
        let others = entity::connect(&setup.database_url, 1).await.unwrap();
        setup.disk.fill();
        let (before, mut tries) = (client.refused, 0);
        while client.refused < before + REFUSALS && tries < TRIES {
            if setup.full == Full::Log {
                // Others write, too: the log goes on to its next file. The end of Postgres is no error of the test.
                let _ = others.execute_unprepared("SELECT pg_switch_wal()").await;
            }
            // Also what a database gives back meanwhile.
            setup.disk.fill();
            client.act_often(1).await;
            tries += 1;
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
            postgres.again();
        }
        // The same process goes on.
        let freed = Instant::now();
        while !client.create_preset().await {
            assert!(freed.elapsed() < Duration::from_secs(30), "{}", server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let resumed = freed.elapsed().as_millis();
        println!("round {round}: refused after {tries} requests, resumed after {resumed} ms");
        client.is_settled = true;
        client.act_often(30).await;
        client.is_settled = false;
        server.end(if round % 2 == 0 { "-KILL" } else { "-TERM" }).await;
        server = setup.start().await;
        client.caller.url.clone_from(&server.url);
        client.compare(&setup.database_url, &setup.objects).await;
        if round > 0 && begun.elapsed() >= lasts {
            break;
        }
    }
    server.stop().await;
}

/// A client that remembers what it was told.
struct Client {
    caller: Caller,
    full: Full,
    random: Random,
    made: u64,
    refused: u32,
    /// With room on the disk again, requests may fail for no reason.
    is_settled: bool,
    /// With what each says of itself.
    presets: BTreeMap<String, String>,
    /// Presets about which an answer said nothing for sure.
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
            made: 0,
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

    /// Whether a request did what it should; anything but success and a refusal for want of room ends the test.
    fn believe(&mut self, reply: &Reply) -> bool {
        let is_done = (200..300).contains(&reply.status);
        let is_refused = matches!(reply.status, 503 | 507);
        // Too many sign-ups from one address, 100 images or presets.
        let is_ordinary = matches!(reply.status, 422 | 429);
        assert!(is_done || is_ordinary || is_refused && !self.is_settled, "{reply:?}");
        self.refused += u32::from(is_refused);
        is_done
    }

    async fn act_often(&mut self, times: u32) {
        for _ in 0..times {
            self.act().await;
        }
    }

    async fn act(&mut self) {
        // When its log is full, Postgres ends, and the answer to a commit of that moment may be lost: a name tells what came of it.
        let kinds = if self.full == Full::Log { 8 } else { 16 };
        match self.random.below(kinds) {
            0..=5 if self.presets.len() < MANY => drop(self.create_preset().await),
            7 if self.full != Full::Log => self.replace_preset().await,
            0..=7 => self.remove_preset().await,
            8 | 9 if self.images.len() < MANY => self.create_image().await,
            8..=10 => self.remove_image().await,
            11 | 12 => self.create_task().await,
            13 | 14 => self.remove_task().await,
            _ => self.sign_up().await,
        }
    }

    async fn create_preset(&mut self) -> bool {
        self.made += 1;
        let name = format!("preset-{}", self.made);
        let summary = self.summary();
        let preset = json!({ "name": name, "summary": summary, "recipe": { "outputs": [{ "kind": "mp4" }] } });
        let reply = self.caller.post("/api/presets", &preset).await;
        let is_made = self.believe(&reply);
        if is_made {
            self.presets.insert(name, summary);
        } else if reply.status == 503 && self.full == Full::Log {
            self.doubtful.insert(name);
        }
        is_made
    }

    /// Another one each time.
    fn summary(&self) -> String {
        format!("{:0>150}", self.made)
    }

    async fn replace_preset(&mut self) {
        self.made += 1;
        let Some(name) = Self::one_of(&mut self.random, self.presets.keys()) else {
            return;
        };
        let summary = self.summary();
        let content = json!({ "summary": summary, "recipe": { "outputs": [{ "kind": "mp4" }] } });
        let path = format!("/api/presets/{name}");
        let request = self.caller.request(reqwest::Method::PUT, &path).json(&content);
        let reply = Reply::read(request.send().await.unwrap()).await;
        if self.believe(&reply) {
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
        if self.believe(&reply) {
            self.presets.remove(&name);
        } else if self.full == Full::Log {
            self.doubtful.insert(name);
        }
    }

    async fn create_image(&mut self) {
        self.made += 1;
        let bytes = [PNG, &[7; 9_000]].concat();
        let name = format!("image-{}", self.made);
        let reply = self.caller.image(&name, bytes).await;
        if self.believe(&reply) {
            self.images.insert(name);
        }
    }

    async fn remove_image(&mut self) {
        let Some(name) = Self::one_of(&mut self.random, self.images.iter()) else {
            return;
        };
        let reply = self.caller.delete(&format!("/api/images/{name}")).await;
        if self.believe(&reply) {
            self.images.remove(&name);
        }
    }

    async fn create_task(&mut self) {
        self.made += 1;
        let bytes = [MP4, &self.made.to_le_bytes(), &[7; 30_000]].concat();
        let reply = self.caller.upload("clip.mp4", bytes, &[]).await;
        if self.believe(&reply) {
            self.tasks.insert(reply.body["task_id"].as_i64().unwrap());
        }
    }

    async fn remove_task(&mut self) {
        let Some(id) = Self::one_of(&mut self.random, self.tasks.iter()) else {
            return;
        };
        let reply = self.caller.delete(&format!("/api/tasks/{id}")).await;
        if self.believe(&reply) {
            self.tasks.remove(&id);
        }
    }

    async fn sign_up(&mut self) {
        self.made += 1;
        let name = format!("guest{}x{}", self.made, self.random.next());
        let password = "123abc456";
        let email = format!("{name}@example.com");
        let form = json!({ "username": name, "password1": password, "password2": password, "email": email });
        let reply = self.caller.post("/api/auth/signup", &form).await;
        self.accounts += u64::from(self.believe(&reply));
    }

    /// Compares what it was told with the rows and files that there are.
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
        let told = self.presets.iter().map(|(name, summary)| format!("{name} {summary}"));
        assert_eq!(certain(&found), certain(&told.collect()));
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
        let left: Vec<_> = found
            .iter()
            .filter(|file| !named.contains(*file) && !trash.contains(*file))
            .collect();
        assert!(left.is_empty(), "files that no row names: {left:?}");
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
