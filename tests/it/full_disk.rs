//! Disks that fill up under a running service: what was answered with success is there after a kill and a restart, what was
//! refused is not, and with room on the disk the same process goes on.
//!
//! `tests/campaign full-disk` runs it for longer; see `TEST_CAMPAIGN_SECONDS` and `TEST_CAMPAIGN_SEED` there.

use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tests::random::Random;
use tests::server::Server;
use tests::{Caller, MP4, PNG, Postgres, Reply, SmallDisk};

/// Most requests to a full disk until some were refused: SQLite goes on for as long as its log has room inside.
const TRIES: u32 = 600;
/// Refusals that are waited for.
const REFUSALS: u32 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_with_success_outlives_a_full_disk_and_a_kill() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds: u64 = number("TEST_CAMPAIGN_SECONDS").unwrap_or(0);
    let seed = number("TEST_CAMPAIGN_SEED").unwrap_or(9);
    println!("seed {seed}");
    let is_postgres = std::env::var("TEST_DATABASE_URL").is_ok();
    let places: &[Full] = if is_postgres {
        &[Full::Database, Full::Files]
    } else {
        &[Full::Both, Full::Database, Full::Files]
    };
    for place in places {
        let share = Duration::from_secs(seconds) / u32::try_from(places.len()).unwrap();
        let size = if is_postgres && *place == Full::Database {
            80
        } else {
            16
        };
        let Some(disk) = SmallDisk::mount(size) else { return };
        let home = tempfile::tempdir().unwrap();
        let small = |is_small: bool| {
            if is_small {
                disk.path().to_owned()
            } else {
                home.path().to_owned()
            }
        };
        let database = small(*place != Full::Files);
        let server = is_postgres.then(|| Postgres::start(&database, &["max_connections=40", "fsync=off"]));
        let database_url = match &server {
            Some(None) => return,
            Some(Some(server)) => server.url.clone(),
            None => format!("sqlite://{}/rushes.db", database.display()),
        };
        let objects = small(*place != Full::Database).join("objects");
        let environment = vec![
            ("RUSHES_DATA_DIR", home.path().join("data").display().to_string()),
            ("STORAGE_URL", format!("file://{}", objects.display())),
            ("DATABASE_URL", database_url),
        ];
        println!("full: {place:?}");
        story(&disk, (home.path(), environment), &objects, (share, seed)).await;
    }
}

/// What lies on the disk that fills up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    Both,
    Database,
    Files,
}

type Environment = Vec<(&'static str, String)>;

async fn story(
    disk: &SmallDisk,
    (home, environment): (&Path, Environment),
    objects: &Path,
    (lasts, seed): (Duration, u64),
) {
    let log = home.join("log");
    let mut service = Server::start("up", &log, &environment);
    service.ready().await;
    let mut client = Client::new(Caller::sign_up(&service.url).await, seed);
    let begun = Instant::now();
    for round in 0.. {
        for _ in 0..20 {
            client.act().await;
        }
        disk.fill();
        let before = client.refused;
        for _ in 0..TRIES {
            client.act().await;
            if client.refused >= before + REFUSALS {
                break;
            }
        }
        assert!(client.refused > before, "the disk was never full");
        disk.free();
        // The same process, at once.
        let freed = Instant::now();
        while !client.create_preset().await {
            assert!(freed.elapsed() < Duration::from_secs(30), "{}", service.log());
        }
        println!("round {round}: resumed after {} ms", freed.elapsed().as_millis());
        for _ in 0..30 {
            client.act().await;
        }
        let signal = if round % 2 == 0 { "-KILL" } else { "-TERM" };
        service.end(signal).await;
        service = Server::start("up", &log, &environment);
        service.ready().await;
        client.caller.url.clone_from(&service.url);
        client.compare(&environment[2].1, objects).await;
        if round > 0 && begun.elapsed() >= lasts {
            break;
        }
    }
}

/// A client that remembers what it was told.
struct Client {
    caller: Caller,
    random: Random,
    made: u64,
    refused: u32,
    presets: BTreeSet<String>,
    images: BTreeSet<String>,
    tasks: BTreeSet<i64>,
    accounts: u64,
}

impl Client {
    fn new(caller: Caller, seed: u64) -> Self {
        Self {
            caller,
            random: Random::new(seed),
            made: 0,
            refused: 0,
            presets: BTreeSet::new(),
            images: BTreeSet::new(),
            tasks: BTreeSet::new(),
            accounts: 1,
        }
    }

    fn one_of<T: Clone>(&mut self, of: &BTreeSet<T>) -> Option<T> {
        if of.is_empty() {
            return None;
        }
        let place = self.random.below(of.len());
        of.iter().nth(place).cloned()
    }

    /// Whether a request did what it should; anything but success and a refusal for want of room ends the test.
    fn believe(&mut self, reply: &Reply) -> bool {
        let is_done = (200..300).contains(&reply.status);
        // A task at work cannot be removed; too many sign-ups from one address.
        let is_refused = matches!(reply.status, 503 | 507);
        assert!(is_done || is_refused || matches!(reply.status, 409 | 429), "{reply:?}");
        self.refused += u32::from(is_refused);
        is_done
    }

    async fn act(&mut self) {
        match self.random.below(16) {
            0..=5 => drop(self.create_preset().await),
            6 | 7 => self.remove_preset().await,
            8 | 9 => self.create_image().await,
            10 => self.remove_image().await,
            11 | 12 => self.create_task().await,
            13 | 14 => self.remove_task().await,
            _ => self.sign_up().await,
        }
    }

    async fn create_preset(&mut self) -> bool {
        self.made += 1;
        let name = format!("preset-{}", self.made);
        let preset = json!({ "name": name, "summary": "x".repeat(150), "recipe": { "outputs": [{ "kind": "mp4" }] } });
        let reply = self.caller.post("/api/presets", &preset).await;
        let is_made = self.believe(&reply);
        if is_made {
            self.presets.insert(name);
        }
        is_made
    }

    async fn remove_preset(&mut self) {
        let Some(name) = self.one_of(&self.presets.clone()) else {
            return;
        };
        let reply = self.caller.delete(&format!("/api/presets/{name}")).await;
        if self.believe(&reply) {
            self.presets.remove(&name);
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
        let Some(name) = self.one_of(&self.images.clone()) else {
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
        let Some(id) = self.one_of(&self.tasks.clone()) else {
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
        assert_eq!(texts("SELECT name FROM presets").await, self.presets);
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
