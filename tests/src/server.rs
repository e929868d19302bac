//! Processes of the product: the real executable, which a test stops, kills and starts again.

use crate::program;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long a start or an end may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process of the product. Killed when dropped.
pub struct Server {
    /// Its address, such as `http://127.0.0.1:40123`.
    pub url: String,
    child: Child,
    log: Option<PathBuf>,
}

impl Server {
    /// Starts `rushes up` with its data in `data`, and waits until it is ready.
    pub async fn up(data: &Path) -> Self {
        let environment = [("RUSHES_DATA_DIR", data.display().to_string())];
        let mut server = Self::start("up", &data.with_extension("log"), &environment);
        server.ready().await;
        server
    }

    /// Starts a role on a free port; its log is appended to a file.
    pub fn start(role: &str, log: &Path, environment: &[(&str, String)]) -> Self {
        let output = File::options().create(true).append(true).open(log).unwrap();
        let mut server = Self::under("", role, output.into(), environment);
        server.log = Some(log.to_owned());
        server
    }

    /// Starts a role with its data in `data` of a directory, and its log in `process.log` beside it.
    pub fn within(role: &str, directory: &Path, environment: &[(&str, String)]) -> Self {
        let data = directory.join("data").display().to_string();
        let environment = [&[("RUSHES_DATA_DIR", data)][..], environment].concat();
        Self::start(role, &directory.join("process.log"), &environment)
    }

    /// Starts a role on a free port, or where `RUSHES_LISTEN` says, under a shell that first runs a prefix, such as `ulimit -n 64;`.
    pub fn under(prefix: &str, role: &str, stderr: Stdio, environment: &[(&str, String)]) -> Self {
        let listen = environment.iter().find(|(name, _)| *name == "RUSHES_LISTEN");
        let address = listen.map_or_else(free_address, |(_, address)| address.clone());
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{prefix} exec \"$0\" {role}")])
            .arg(program());
        command.env_clear().env("RUSHES_LISTEN", &address);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Self {
            url: format!("http://{address}"),
            child: command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap(),
            log: None,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it is ready.
    pub async fn ready(&mut self) {
        let (url, begun) = (format!("{}/readyz", self.url), Instant::now());
        while !reqwest::get(&url).await.is_ok_and(|reply| reply.status() == 200) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", self.log());
            assert!(begun.elapsed() < PATIENCE, "{}", self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends SIGTERM and waits for its end.
    pub async fn stop(self) -> ExitStatus {
        self.end("-TERM").await
    }

    /// Sends a signal such as `-KILL` and waits for its end.
    pub async fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.ended().await
    }

    /// Sends a signal such as `-KILL`.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "{}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everything that it has logged to its file.
    pub fn log(&self) -> String {
        let log = self.log.as_ref().map(std::fs::read_to_string);
        log.and_then(Result::ok).unwrap_or_default()
    }

    /// The value of a metric without labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let reply = reqwest::get(format!("{}/metrics", self.url)).await.unwrap();
        let text = reply.text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

fn free_address() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
