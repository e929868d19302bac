//! A Postgres server for one test, with data and write-ahead log in directories that the test chooses.

use crate::port::free_address;
use crate::skip;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running server; stopped when dropped.
pub struct Postgres {
    /// URL of the database `postgres`, as superuser.
    pub url: String,
    server: Command,
    child: Child,
    executables: PathBuf,
    port: String,
    home: TempDir,
}

impl Postgres {
    /// Starts a server with its data and its write-ahead log in these directories and options such as
    /// `max_connections=9`. Returns `None` without Postgres, or without the right to start it.
    pub fn start(tables: &Path, log: &Path, options: &[&str]) -> Option<Self> {
        let Some(executables) = executables() else {
            skip::missing("postgresql");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        // Postgres refuses to run as root.
        for directory in [tables, log, home.path()] {
            let owned = Command::new("chown").arg("postgres:").arg(directory).status();
            if !owned.unwrap().success() {
                skip::missing("the right to start Postgres as the user `postgres` (root)");
                return None;
            }
        }
        let (cluster, segments) = (tables.join("cluster"), log.join("segments"));
        let mut init = as_postgres(&executables.join("initdb"), home.path());
        init.args(["--username=rushes", "--auth=trust", "--encoding=UTF8", "--no-locale"]);
        // Segments of 1 MiB, so that a small disk fills up soon.
        init.args(["--no-sync", "--wal-segsize=1", "--waldir"]);
        init.arg(segments).arg("--pgdata").arg(&cluster);
        assert!(init.status().unwrap().success());
        let port = free_address().port().to_string();
        let mut server = as_postgres(&executables.join("postgres"), home.path());
        server.args(["-h", "127.0.0.1", "-p", &port, "-k"]).arg(home.path());
        server.arg("-D").arg(&cluster);
        // Durability across a power failure is not tested.
        let small = ["fsync=off", "min_wal_size=2MB", "max_wal_size=3MB", "wal_recycle=off"];
        server.args(small.iter().chain(options).flat_map(|option| ["-c", option]));
        let postgres = Self {
            url: format!("postgres://rushes@127.0.0.1:{port}/postgres"),
            child: server.spawn().unwrap(),
            server,
            executables,
            port,
            home,
        };
        postgres.wait_until_ready();
        Some(postgres)
    }

    /// Starts the server again if it has ended, as a supervisor does.
    pub fn restart_if_ended(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            self.child = self.server.spawn().unwrap();
            self.wait_until_ready();
        }
    }

    /// Runs a client of this version, such as `pg_dump`, and asserts that it succeeds.
    pub fn client(&self, name: &str, arguments: &[&str]) {
        let mut command = Command::new(self.executables.join(name));
        assert!(
            command.args(arguments).status().unwrap().success(),
            "{name} {arguments:?}"
        );
    }

    fn wait_until_ready(&self) {
        let begun = Instant::now();
        let mut ask = as_postgres(&self.executables.join("pg_isready"), self.home.path());
        ask.args(["-h", "127.0.0.1", "-p", &self.port]);
        while !ask.status().unwrap().success() {
            assert!(begun.elapsed() < Duration::from_secs(60), "Postgres did not start");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // INT is a fast shutdown: Postgres does not wait for its clients.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).status();
        let _ = self.child.wait();
    }
}

/// A command that runs as the user `postgres`.
fn as_postgres(executable: &Path, directory: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
    command.arg(executable).current_dir(directory);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The directory of the executables of the newest installed version.
fn executables() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let newest = versions.flatten().map(|version| version.path().join("bin")).max()?;
    newest.join("initdb").exists().then_some(newest)
}
