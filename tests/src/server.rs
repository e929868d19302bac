//! A server in a process of its own, with the real executable.

use crate::program;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// `rushes up` in a process of its own. Killed when dropped.
pub struct Server {
    /// Its address, such as `http://127.0.0.1:40123`.
    pub url: String,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `rushes up` with its data in `data`, and waits until it is ready.
    pub async fn up(data: &Path) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let log = data.with_extension("log");
        let output = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(program());
        command
            .arg("up")
            .env_clear()
            .env("RUSHES_LISTEN", format!("127.0.0.1:{port}"))
            .env("RUSHES_DATA_DIR", data)
            .stdout(Stdio::null())
            .stderr(output);
        let server = Self {
            url: format!("http://127.0.0.1:{port}"),
            child: command.spawn().unwrap(),
            log,
        };
        server.ready().await;
        server
    }

    async fn ready(&self) {
        let (url, begun) = (format!("{}/readyz", self.url), Instant::now());
        while !reqwest::get(&url).await.is_ok_and(|reply| reply.status() == 200) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends SIGTERM and waits for its end.
    pub async fn stop(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
