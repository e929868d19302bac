//! Real processes whose log cannot be written, and whose descriptors are few.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tests::clip::Clip;
use tests::{Caller, program};

/// `rushes up` under a shell that sets limits first; killed with its value.
struct Up {
    process: Child,
    url: String,
}

impl Up {
    async fn start(directory: &Path, limits: &str, stderr: Stdio) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{limits} exec \"$0\" up")])
            .arg(program())
            .env_clear()
            .env("RUSHES_LISTEN", address.to_string())
            .env("RUSHES_DATA_DIR", directory.join("data"));
        let process = command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        let up = Self {
            process,
            url: format!("http://{address}"),
        };
        let begun = Instant::now();
        while !reqwest::get(format!("{}/readyz", up.url))
            .await
            .is_ok_and(|reply| reply.status() == 200)
        {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        up
    }

    fn lines(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    async fn metric(&self, name: &str) -> f64 {
        let text = reqwest::get(format!("{}/metrics", self.url))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Ends it as a supervisor does.
    fn stop(mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let begun = Instant::now();
        loop {
            match self.process.try_wait().unwrap() {
                Some(status) => return assert!(status.success(), "{status}"),
                None => assert!(begun.elapsed() < Duration::from_secs(60), "it does not stop"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_log_cannot_be_written_answers_works_and_stops() {
    let (gone, broken) = std::io::pipe().unwrap();
    drop(gone);
    // Full, with a reader that does not read.
    let (_stopped, mut full) = std::io::pipe().unwrap();
    full.write_all(&[b'\n'; 65_536]).unwrap();
    let full_disk = File::options().write(true).open("/dev/full").unwrap();
    for (what, stderr, counts) in [
        ("a full disk", Stdio::from(full_disk), true),
        ("a reader that is gone", Stdio::from(broken), true),
        ("a reader that has stopped", Stdio::from(full), false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let up = Up::start(directory.path(), "", stderr).await;
        let caller = Caller::sign_up(&up.url).await;
        let task = caller.processed(&Clip::default().make(directory.path()), &[]).await;
        let list = caller.get("/api/tasks").await;
        assert_eq!(list.body["data"].as_array().unwrap().len(), 1, "{what}: {task}");
        // Lines that wait for a reader are not lost yet.
        let lost = up.metric("rushes_log_lines_lost_total").await;
        assert_eq!(lost > 0.0, counts, "{what}: {lost}");
        up.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_nobody_from_uploading_and_no_task_from_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let up = Up::start(
        directory.path(),
        "ulimit -Sn 64; ulimit -Hn 256;",
        File::create(&log).unwrap().into(),
    )
    .await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", up.process.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let raised = files.split_whitespace().filter(|word| *word == "256").count();
    assert_eq!(raised, 2, "the soft limit is the hard one: {files}");

    let address = up.url.strip_prefix("http://").unwrap().to_owned();
    let holding = tokio::task::spawn_blocking(move || {
        let connect = |_| TcpStream::connect(&address).unwrap();
        (0..1_150).map(connect).collect::<Vec<_>>()
    });
    let silent = holding.await.unwrap();
    let caller = Caller::sign_up(&up.url).await;
    let task = caller.processed(&Clip::default().make(directory.path()), &[]).await;
    assert_eq!(task["failures"], 0, "{task}");
    assert_eq!(caller.get("/api/health").await.body["status"], "healthy");
    let open = std::fs::read_dir(format!("/proc/{}/fd", up.process.id()))
        .unwrap()
        .count();
    assert!(open < 200, "{open} of 256 descriptors");
    let text = Up::lines(&log);
    assert!(!text.contains("os error 24"), "{text}");
    drop(silent);
    up.stop();

    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 60 && exec \"$0\" up"]).arg(program());
    command.env_clear().env("RUSHES_LISTEN", "127.0.0.1:0");
    command
        .env("RUSHES_DATA_DIR", directory.path().join("data"))
        .stderr(File::create(&log).unwrap());
    let refused = command.status().unwrap();
    let text = Up::lines(&log);
    assert_eq!(refused.code(), Some(1), "{text}");
    assert!(
        text.contains("allows 60 open files") && text.contains("accepted: at least"),
        "{text}"
    );
}
