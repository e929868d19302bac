//! [`Server`]: a process of the executable `rushes`, which a test can stop, kill and start again.

use crate::executable;
use crate::port::free_address;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Timeout of a start and of a stop, for a machine under load.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A process of `rushes`. Killed when dropped.
pub struct Server {
    /// Base URL, such as `http://127.0.0.1:40123`.
    pub url: String,
    child: Child,
    log: Option<PathBuf>,
}

impl Server {
    /// Starts `rushes up` with the data directory `data` and waits until it is ready. The log is appended to
    /// `data.log`.
    pub async fn up(data: &Path) -> Self {
        let environment = [("RUSHES_DATA_DIR", data.display().to_string())];
        let mut server = Self::start("up", &data.with_extension("log"), &environment);
        server.ready().await;
        server
    }

    /// Starts a role on a free port. The log is appended to a file.
    pub fn start(role: &str, log: &Path, environment: &[(&str, String)]) -> Self {
        let output = File::options().create(true).append(true).open(log).unwrap();
        let mut server = Self::start_with_prefix("", role, output.into(), environment);
        server.log = Some(log.to_owned());
        server
    }

    /// Starts a role with `data` in a directory as its data directory and `process.log` beside it as its log.
    pub fn start_in(role: &str, directory: &Path, environment: &[(&str, String)]) -> Self {
        let data = directory.join("data").display().to_string();
        let environment = [&[("RUSHES_DATA_DIR", data)][..], environment].concat();
        Self::start(role, &directory.join("process.log"), &environment)
    }

    /// Starts a role from a shell that first runs a prefix, such as `ulimit -n 64;`. It listens on `RUSHES_LISTEN`, or
    /// on a free port: an API with all its routes, a worker with those for health and metrics.
    pub fn start_with_prefix(prefix: &str, role: &str, stderr: Stdio, environment: &[(&str, String)]) -> Self {
        let listen = environment.iter().find(|(name, _)| *name == "RUSHES_LISTEN");
        let address = listen.map_or_else(|| free_address().to_string(), |(_, address)| address.clone());
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{prefix} exec \"$0\" {role}")])
            .arg(executable());
        let setting = if role == "worker" {
            "RUSHES_METRICS_LISTEN"
        } else {
            "RUSHES_LISTEN"
        };
        command.env_clear().env(setting, &address);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Self {
            url: format!("http://{address}"),
            child: command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap(),
            log: None,
        }
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `/readyz` answers 200.
    pub async fn ready(&mut self) {
        let (url, begun) = (format!("{}/readyz", self.url), Instant::now());
        while !reqwest::get(&url).await.is_ok_and(|reply| reply.status() == 200) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", self.log());
            assert!(begun.elapsed() < TIMEOUT, "{}", self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends SIGTERM and waits until the process has ended.
    pub async fn stop(self) -> ExitStatus {
        self.end("-TERM").await
    }

    /// Sends a signal, such as `-KILL`, and waits until the process has ended.
    pub async fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.ended().await
    }

    /// Sends a signal, such as `-KILL`.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Returns true if the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < TIMEOUT, "{}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The content of the log file; empty for a process without one.
    pub fn log(&self) -> String {
        let log = self.log.as_ref().map(std::fs::read_to_string);
        log.and_then(Result::ok).unwrap_or_default()
    }

    /// Waits until the log contains a text, and returns the log. Lines are written by a thread of the process, so they
    /// may come after the reply of which they tell, but in order.
    ///
    /// # Panics
    /// After 100 s.
    pub async fn logged(&self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            assert!(begun.elapsed() < Duration::from_secs(100), "no `{text}` in {log}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The value of a metric that has no labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let reply = reqwest::get(format!("{}/metrics", self.url)).await.unwrap();
        let text = reply.text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
