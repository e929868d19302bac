//! `rushes up` as a process of its own, which a test stops, kills and starts again.

use crate::program;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Killed with the value.
pub struct Service {
    /// Where it answers.
    pub url: String,
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts it with its data in `data`, and waits until it is ready. Its log lies beside `data`.
    pub async fn up(data: &Path) -> Self {
        let environment = [("RUSHES_DATA_DIR", data.display().to_string())];
        let mut service = Self::start(&data.with_extension("log"), &environment);
        service.ready().await;
        service
    }

    /// Starts it on a free port; its log is appended to a file.
    pub fn start(log: &Path, environment: &[(&str, String)]) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let output = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(program());
        command.arg("up").env_clear().env("RUSHES_LISTEN", address.to_string());
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Self {
            url: format!("http://{address}"),
            child: command.stdout(Stdio::null()).stderr(output).spawn().unwrap(),
            log: log.to_owned(),
        }
    }

    /// Waits until it is ready, at most a minute.
    pub async fn ready(&mut self) {
        let begun = Instant::now();
        let asks = format!("{}/readyz", self.url);
        while !reqwest::get(&asks).await.is_ok_and(|reply| reply.status() == 200) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < Duration::from_secs(60),
                "{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends a signal such as `-KILL` and waits for the end.
    pub async fn end(mut self, signal: &str) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        self.ended().await
    }

    /// Waits for its end, at most a minute.
    pub async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
