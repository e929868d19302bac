//! A temporary `redis-server` on a free port, which can be killed and restarted.

#![allow(clippy::disallowed_methods, reason = "a test starts servers and command-line tools")]

use crate::port::free_address;
use crate::skip;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Killed when it is dropped.
pub(crate) struct RedisServer {
    port: u16,
    dir: TempDir,
    child: Option<Child>,
}

impl RedisServer {
    /// `None`, with a message on standard output, without `redis-server`.
    pub(crate) fn start() -> Option<Self> {
        let mut server = Self {
            port: free_address().port(),
            dir: tempfile::tempdir().unwrap(),
            child: None,
        };
        if Command::new("redis-server")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_err()
        {
            skip::missing("redis-server");
            return None;
        }
        server.restart();
        Some(server)
    }

    /// Restarts the server without its data, since it has no persistence.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
            .arg(self.port.to_string())
            .arg("--dir")
            .arg(self.dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        self.child = Some(child);
        let ready = log.any(|line| line.unwrap().contains("Ready to accept connections"));
        assert!(ready, "redis-server ended instead of listening");
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops the process with SIGSTOP: the kernel still accepts connections, but no command is answered.
    #[allow(dead_code, reason = "some of the crates that include this file do not use it")]
    pub(crate) fn stop_answering(&self) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-STOP", &id]).status().unwrap().success());
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Sends one command.
    pub(crate) async fn command<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let (name, arguments) = command.split_first().unwrap();
        redis::cmd(name)
            .arg(arguments)
            .query_async(&mut connection)
            .await
            .unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
