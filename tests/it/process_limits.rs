//! Processes whose log cannot be written, and processes with low limits of descriptors and file sizes: `rushes up` on
//! the embedded setup, a backend and a worker on the production setup.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tests::clip::Clip;
use tests::server::Server;
use tests::{Caller, MP4, SECRET, TestApp, executable, skip};

async fn up(directory: &Path, limits: &str, stderr: Stdio) -> Server {
    let environment = [("RUSHES_DATA_DIR", directory.join("data").display().to_string())];
    let mut server = Server::start_with_prefix(limits, "up", stderr, &environment);
    server.ready().await;
    server
}

/// The processes of the setup under test. The first one has the API.
struct Service {
    processes: Vec<Server>,
    app: Option<TestApp>,
}

impl Service {
    /// Starts the processes with these limits. `stderr` opens the standard error of a role.
    async fn start(directory: &Path, limits: &str, stderr: impl Fn(&str) -> OwnedFd) -> Self {
        if std::env::var("TEST_DATABASE_URL").is_err() {
            let processes = vec![up(directory, limits, stderr("up").into()).await];
            return Self { processes, app: None };
        }
        let app = TestApp::idle().await;
        let mut processes = Vec::new();
        for role in ["backend", "worker"] {
            let mut environment = app.environment.clone();
            environment.push(("RUSHES_DATA_DIR", directory.join(role).display().to_string()));
            environment.push(("RUSHES_JWT_SECRET", SECRET.to_owned()));
            let mut process = Server::start_with_prefix(limits, role, stderr(role).into(), &environment);
            process.ready().await;
            processes.push(process);
        }
        Self {
            processes,
            app: Some(app),
        }
    }

    /// Stops the processes and asserts that they end well.
    async fn stop(self) {
        for process in self.processes {
            let status = process.stop().await;
            assert!(status.success(), "{status}");
        }
        drop(self.app);
    }
}

/// A terminal whose window has been closed, so that every write fails with EIO. Returns `None` and prints why if
/// `script` is not installed.
fn closed_terminal() -> Option<File> {
    let mut script = Command::new("script");
    script.args(["--quiet", "--command", "tty; exec sleep 60", "/dev/null"]);
    let script = script.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let Ok(mut window) = script else {
        skip::missing("`script`, which opens a terminal");
        return None;
    };
    let mut name = String::new();
    let mut output = BufReader::new(window.stdout.take().unwrap());
    output.read_line(&mut name).unwrap();
    let terminal = File::options()
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(name.trim())
        .unwrap();
    window.kill().unwrap();
    window.wait().unwrap();
    let failed = (&terminal).write_all(b"x").unwrap_err();
    assert_eq!(failed.raw_os_error(), Some(libc::EIO));
    Some(terminal)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_log_cannot_be_written_serves_works_and_stops() {
    let (closed, broken) = std::io::pipe().unwrap();
    drop(closed);
    // A full pipe, whose reader exists but does not read.
    let (_reader, mut full) = std::io::pipe().unwrap();
    full.write_all(&[b'\n'; 65_536]).unwrap();
    let full_disk = File::options().write(true).open("/dev/full").unwrap();
    let terminal = closed_terminal().map(|terminal| ("a closed terminal", OwnedFd::from(terminal), true));
    let others = [
        ("a full disk", OwnedFd::from(full_disk), true),
        ("a pipe without a reader", OwnedFd::from(broken), true),
        ("a full pipe", OwnedFd::from(full), false),
    ];
    for (name, stderr, loses_lines) in others.into_iter().chain(terminal) {
        let directory = tempfile::tempdir().unwrap();
        let service = Service::start(directory.path(), "", |_| stderr.try_clone().unwrap()).await;
        let caller = Caller::sign_up(&service.processes[0].url).await;
        let task = caller.processed(&Clip::default().make(directory.path()), &[]).await;
        let list = caller.get("/api/tasks").await;
        assert_eq!(list.body["data"].as_array().unwrap().len(), 1, "{name}: {task}");
        for process in &service.processes {
            // Lines for a full pipe wait in memory and are not lost yet.
            let lost = process.metric("rushes_log_lines_lost_total").await;
            assert_eq!(lost > 0.0, loses_lines, "{name}: {lost}");
        }
        service.stop().await;
    }
}

/// Silent connections to all processes together: far more than one of them may have descriptors.
const SILENT: usize = 1_150;

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_block_neither_uploads_nor_the_files_of_tasks() {
    let directory = tempfile::tempdir().unwrap();
    let log = |role: &str| directory.path().join(format!("{role}.log"));
    let limits = "ulimit -Sn 64; ulimit -Hn 256;";
    let open_log = |role: &str| OwnedFd::from(File::create(log(role)).unwrap());
    let service = Service::start(directory.path(), limits, open_log).await;
    let mut idle = Vec::new();
    for process in &service.processes {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let raised = files.split_whitespace().filter(|word| *word == "256").count();
        assert_eq!(raised, 2, "the soft limit is raised to the hard one: {files}");
        let address = process.url.strip_prefix("http://").unwrap().to_owned();
        let count = SILENT / service.processes.len();
        let connecting = tokio::task::spawn_blocking(move || {
            let connect = |_| TcpStream::connect(&address).unwrap();
            (0..count).map(connect).collect::<Vec<_>>()
        });
        idle.extend(connecting.await.unwrap());
    }
    let caller = Caller::sign_up(&service.processes[0].url).await;
    let task = caller.processed(&Clip::default().make(directory.path()), &[]).await;
    assert_eq!(task["failures"], 0, "{task}");
    assert_eq!(caller.get("/api/health").await.body["status"], "healthy");
    for process in &service.processes {
        let ready = Caller::anonymous(&process.url).get("/readyz").await;
        assert_eq!(ready.status, 200, "{ready:?}");
        let open = std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count();
        assert!(open < 200, "{open} of 256 descriptors");
    }
    for log in ["up", "backend", "worker"].map(log) {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        assert!(!text.contains("os error 24"), "{text}");
    }
    drop(idle);
    service.stop().await;
}

#[test]
fn a_process_whose_descriptor_limit_is_too_low_reports_it_and_ends() {
    for (role, files) in ["up", "backend", "worker"]
        .into_iter()
        .flat_map(|role| [8, 20, 60, 100].map(|files| (role, files)))
    {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -n {files} && exec \"$0\" {role}")])
            .arg(executable());
        command.env_clear().env("RUSHES_LISTEN", "127.0.0.1:0");
        command.env("RUSHES_JWT_SECRET", SECRET);
        command
            .env("RUSHES_DATA_DIR", directory.path().join("data"))
            .stderr(File::create(&log).unwrap());
        let refused = command.status().unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        assert_eq!(refused.code(), Some(1), "{role}: {text}");
        let expected = format!("allows {files} open files");
        assert!(
            text.contains(&expected) && text.contains("accepted: at least"),
            "{role}: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_above_the_file_size_limit_of_the_process_is_refused_and_others_succeed() {
    let directory = tempfile::tempdir().unwrap();
    // In blocks of 512 bytes: 2 MB.
    let server = up(directory.path(), "ulimit -f 4000;", Stdio::null()).await;
    let caller = Caller::sign_up(&server.url).await;
    let large = [MP4, &vec![0; 3 << 20]].concat();
    for _ in 0..2 {
        let refused = caller.upload("large.mp4", large.clone(), &[]).await;
        assert_eq!((refused.status, refused.code()), (507, "storage_full"));
    }
    caller.processed(&Clip::default().make(directory.path()), &[]).await;
    assert!(server.stop().await.success());
}
