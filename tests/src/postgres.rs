//! A Postgres for one test, in a directory of the test's choice.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Ends with the value.
pub struct Postgres {
    /// Its database.
    pub url: String,
    child: Child,
    _home: TempDir,
}

impl Postgres {
    /// One with its tables in `data` and its log of writes elsewhere; `None`, said aloud, when the program is not installed.
    pub fn start(data: &Path, options: &[&str]) -> Option<Self> {
        let Some(bin) = programs() else {
            println!("SKIPPED: postgresql is not installed");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        // Postgres refuses to run as root.
        for directory in [data, home.path()] {
            let owned = Command::new("chown").arg("postgres:").arg(directory).status();
            assert!(owned.unwrap().success());
        }
        let cluster = data.join("cluster");
        let as_postgres = |program: &str| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
            command.arg(bin.join(program)).current_dir(home.path());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let mut init = as_postgres("initdb");
        init.args([
            "--username",
            "rushes",
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ]);
        init.arg("--waldir")
            .arg(home.path().join("wal"))
            .arg("--pgdata")
            .arg(&cluster);
        assert!(init.status().unwrap().success());
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let mut server = as_postgres("postgres");
        server
            .arg("-D")
            .arg(&cluster)
            .arg("-k")
            .arg(home.path())
            .args(["-h", "127.0.0.1", "-p", &port]);
        server.args(options.iter().flat_map(|option| ["-c", option]));
        let child = server.spawn().unwrap();
        let begun = Instant::now();
        while !as_postgres("pg_isready")
            .args(["-h", "127.0.0.1", "-p", &port])
            .status()
            .unwrap()
            .success()
        {
            assert!(begun.elapsed() < Duration::from_secs(60), "Postgres did not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(Self {
            url: format!("postgres://rushes@127.0.0.1:{port}/postgres"),
            child,
            _home: home,
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT: it does not wait for its clients.
        let _ = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        let _ = self.child.wait();
    }
}

fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let newest = versions.flatten().map(|version| version.path().join("bin")).max()?;
    newest.join("initdb").exists().then_some(newest)
}
