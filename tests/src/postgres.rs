//! A Postgres for one test, in directories of the test's choice.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Ends with the value.
pub struct Postgres {
    /// Its database.
    pub url: String,
    server: Command,
    child: Child,
    programs: PathBuf,
    port: String,
    home: TempDir,
}

impl Postgres {
    /// Starts one with its tables in one directory, its write-ahead log in another, and options such as `max_connections=9`.
    /// Returns `None`, and says so, where the programs are not installed.
    pub fn start(tables: &Path, log: &Path, options: &[&str]) -> Option<Self> {
        let Some(programs) = programs() else {
            println!("SKIPPED: postgresql is not installed");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        // Postgres refuses to run as root.
        for directory in [tables, log, home.path()] {
            let owned = Command::new("chown").arg("postgres:").arg(directory).status();
            assert!(owned.unwrap().success());
        }
        let (cluster, segments) = (tables.join("cluster"), log.join("segments"));
        let mut init = as_postgres(&programs.join("initdb"), home.path());
        init.args(["--username=rushes", "--auth=trust", "--encoding=UTF8", "--no-locale"]);
        // Small segments: a log with room for little.
        init.args(["--no-sync", "--wal-segsize=1", "--waldir"]);
        init.arg(segments).arg("--pgdata").arg(&cluster);
        assert!(init.status().unwrap().success());
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let mut server = as_postgres(&programs.join("postgres"), home.path());
        server.args(["-h", "127.0.0.1", "-p", &port, "-k"]).arg(home.path());
        server.arg("-D").arg(&cluster);
        // The machine does not lose its power here.
        let small = ["fsync=off", "min_wal_size=2MB", "max_wal_size=3MB", "wal_recycle=off"];
        server.args(small.iter().chain(options).flat_map(|option| ["-c", option]));
        let postgres = Self {
            url: format!("postgres://rushes@127.0.0.1:{port}/postgres"),
            child: server.spawn().unwrap(),
            server,
            programs,
            port,
            home,
        };
        postgres.ready();
        Some(postgres)
    }

    /// Starts it again where it has ended, as a supervisor does.
    pub fn again(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            self.child = self.server.spawn().unwrap();
            self.ready();
        }
    }

    /// Runs one of its client programs, such as `pg_dump`, which must succeed.
    pub fn client(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        assert!(
            command.args(arguments).status().unwrap().success(),
            "{program} {arguments:?}"
        );
    }

    fn ready(&self) {
        let begun = Instant::now();
        let mut ask = as_postgres(&self.programs.join("pg_isready"), self.home.path());
        ask.args(["-h", "127.0.0.1", "-p", &self.port]);
        while !ask.status().unwrap().success() {
            assert!(begun.elapsed() < Duration::from_secs(60), "Postgres did not start");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Without waiting for its clients.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).status();
        let _ = self.child.wait();
    }
}

fn as_postgres(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
    command.arg(program).current_dir(directory);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let newest = versions.flatten().map(|version| version.path().join("bin")).max()?;
    newest.join("initdb").exists().then_some(newest)
}
