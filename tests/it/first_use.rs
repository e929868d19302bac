//! First use: the commands of the README, `./run demo`, and messages of a stop.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use tests::clip::{self, Clip};
use tests::port::free_address;
use tests::{TestApp, executable};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A shell without the environment of the test.
fn shell(directory: &Path) -> Command {
    let mut command = Command::new("bash");
    command.current_dir(directory).env_clear();
    for name in ["PATH", "HOME"] {
        command.env(name, std::env::var(name).unwrap_or_default());
    }
    command.stdin(Stdio::null());
    command
}

/// Standard output and standard error.
fn text(output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    format!("{out}\n{err}")
}

/// Runs a command until it ends.
async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

/// Runs a demo and presses Ctrl-C when its task is transcoded. Returns the exit status and standard output.
async fn interrupted(mut command: Command) -> (ExitStatus, String) {
    command.process_group(0).stdout(Stdio::piped());
    let demo = tokio::task::spawn_blocking(move || {
        let mut demo = command.spawn().unwrap();
        let (mut lines, mut interrupted) = (Vec::new(), false);
        for line in BufReader::new(demo.stdout.take().unwrap()).lines() {
            lines.push(line.unwrap());
            if !interrupted && lines.last().unwrap().contains("transcode") {
                let group = format!("-{}", demo.id());
                interrupted = Command::new("kill")
                    .args(["-INT", "--", &group])
                    .status()
                    .unwrap()
                    .success();
            }
        }
        (demo.wait().unwrap(), lines.join("\n"))
    });
    demo.await.unwrap()
}

/// The commands of the README, for a server at `url`.
fn readme_script(url: &str) -> String {
    let script = commands("README.md").replace("http://localhost:8000", url);
    assert!(script.contains(url));
    script
}

/// The commands of a page.
fn commands(page: &str) -> String {
    let page = std::fs::read_to_string(root().join(page)).unwrap();
    let blocks: Vec<_> = page
        .split("```bash\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() >= 4, "{blocks:?}");
    blocks.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_readme_show_a_refusal_and_end() {
    let app = TestApp::start().await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("my-holiday.mov"), "not a video").unwrap();
    let mut command = shell(directory.path());
    command.arg("-c").arg(readme_script(&app.url));
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), run(command)).await;
    let text = text(&output.expect("the loop that polls the task does not end"));
    assert!(text.contains("not_media: accepted: MP4"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_readme_work_in_order() {
    let app = TestApp::start().await;
    let directory = tempfile::tempdir().unwrap();
    let source = Clip::default().make(app.directory.path());
    std::fs::copy(source, directory.path().join("my-holiday.mov")).unwrap();
    let script = readme_script(&app.url);
    let report = r#"echo "token: ${#TOKEN} task: $TASK""#;
    let mut command = shell(directory.path());
    command.arg("-c").arg(format!("{script}\n{report}"));
    let output = run(command).await;
    let text = text(&output);
    assert!(output.status.success() && output.stderr.is_empty(), "{text}");
    assert!(
        text.contains("User created") && text.contains(r#""status":"processed""#),
        "{text}"
    );
    assert!(
        !text.contains("token: 0") && text.lines().any(|line| line.ends_with(|c: char| c.is_ascii_digit())),
        "{text}"
    );
    for spanish in ["Usuario", "creado", "archivo", "tarea"] {
        assert!(
            !text.contains(spanish),
            "a reply to a command of the English README is in Spanish: {text}"
        );
    }
    for file in ["my-holiday.mp4", "my-holiday-poster.jpg"] {
        let fetched = std::fs::read_dir(directory.path()).unwrap().flatten();
        let fetched = fetched.filter(|entry| entry.file_name().to_string_lossy().starts_with("result-"));
        assert!(
            fetched.map(|entry| entry.path().join(file)).any(|path| path.is_file()),
            "{file}: {text}"
        );
    }
    // The upload with a recipe in the last block was accepted, too.
    assert!(text.contains("task: 2"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_about_the_library_continue_those_of_the_readme() {
    let app = TestApp::start().await;
    let directory = tempfile::tempdir().unwrap();
    let source = Clip::default().make(app.directory.path());
    std::fs::copy(source, directory.path().join("my-holiday.mov")).unwrap();
    let script = [&readme_script(&app.url), "\nTASK=1\n", &commands("docs/LIBRARY.md")];
    let mut command = shell(directory.path());
    command.arg("-c").arg(script.concat());
    let output = run(command).await;
    let text = text(&output);
    assert!(output.status.success() && output.stderr.is_empty(), "{text}");
    assert!(text.contains("\"total\": 1"), "{text}");
    let table = std::fs::read_to_string(directory.path().join("hits.csv")).unwrap();
    assert!(table.contains("El Niño at the coast"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_downloads_all_files_of_an_output_into_a_directory_per_server() {
    let source = Clip {
        seconds: 3.0,
        ..Clip::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let file = source.make(directory.path());
    let mut homes = Vec::new();
    for app in [TestApp::start().await, TestApp::start().await] {
        let mut command = shell(directory.path());
        command.arg(root().join("run")).args(["demo", file.to_str().unwrap()]);
        command.args(["--preset", "hls", "--server", &app.url]);
        let output = run(command).await;
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        let address = app.url.strip_prefix("http://").unwrap().replace(':', "_");
        let home = directory.path().join("rushes-demo").join(address);
        let task = std::fs::read_dir(&home).unwrap().next().unwrap().unwrap().path();
        let sets: Vec<_> = std::fs::read_dir(&task)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let master = sets
            .iter()
            .map(|set| set.join("master.m3u8"))
            .find(|file| file.exists());
        let index = sets.iter().map(|set| set.join("sprite.vtt")).find(|file| file.exists());
        let (master, index) = (
            master.unwrap_or_else(|| panic!("{sets:?}: {text}")),
            index.unwrap_or_else(|| panic!("{sets:?}: {text}")),
        );
        // The playlist refers to files beside it.
        let whole = directory.path().join("whole.mkv");
        clip::ffmpeg(
            &[
                "-xerror",
                "-allowed_extensions",
                "ALL",
                "-i",
                master.to_str().unwrap(),
                "-c",
                "copy",
            ],
            &whole,
        );
        let names = std::fs::read_to_string(&index).unwrap();
        let sheets: Vec<_> = names.lines().filter_map(|line| line.split_once("#xywh=")).collect();
        assert!(
            !sheets.is_empty() && sheets.iter().all(|(sheet, _)| index.with_file_name(sheet).is_file()),
            "{names}"
        );
        homes.push(home);
    }
    assert_ne!(homes[0], homes[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_worker_logs_the_tasks_that_it_waits_for() {
    let app = TestApp::idle().await;
    let caller = app.caller().await;
    let source = Clip {
        width: 1280,
        height: 720,
        seconds: 12.0,
        ..Clip::default()
    };
    let source = source.make(app.directory.path());
    let log = app.directory.path().join("worker.log");
    let mut command = Command::new(executable());
    command
        .arg("worker")
        .env_clear()
        .env("RUSHES_DATA_DIR", app.directory.path().join("data"))
        .envs(app.environment.iter().map(|(name, value)| (name, value)));
    let mut worker = command
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let slow = r#"{ "outputs": [{ "kind": "mp4", "video": { "speed": "good" } }] }"#;
    let id = caller.task(&source, &[("recipe", slow)]).await;
    caller
        .until(id, |task| task["progress"]["percent"].as_u64() > Some(1))
        .await;
    let pid = worker.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = tokio::task::spawn_blocking(move || worker.wait().unwrap())
        .await
        .unwrap();
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(ended.success(), "{log}");
    let line = log.lines().find(|line| line.contains("waiting for tasks in progress"));
    let line: serde_json::Value = serde_json::from_str(line.unwrap_or_else(|| panic!("{log}"))).unwrap();
    assert_eq!((&line["tasks"], &line["seconds"]), (&1.into(), &20.0.into()), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_the_demo_cancels_its_task_and_stops_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let clip = Clip {
        width: 1280,
        height: 720,
        seconds: 20.0,
        ..Clip::default()
    };
    let clip = clip.make(home);
    // A release build that exists already, and a `cargo` that does nothing.
    std::fs::create_dir_all(home.join("target/release")).unwrap();
    std::fs::create_dir(home.join("bin")).unwrap();
    std::os::unix::fs::symlink(executable(), home.join("target/release/rushes")).unwrap();
    std::fs::write(home.join("bin/cargo"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(home.join("bin/cargo"), PermissionsExt::from_mode(0o755)).unwrap();
    let listen = free_address();
    let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = shell(home);
    command
        .arg(root().join("run"))
        .args(["demo", clip.to_str().unwrap(), "--preset", "hls"])
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", home.join("target"))
        .env("RUSHES_LISTEN", listen.to_string())
        .env("RUSHES_DATA_DIR", home.join("data"))
        .stderr(std::fs::File::create(home.join("errors")).unwrap());
    let (ended, output) = interrupted(command).await;
    let errors = std::fs::read_to_string(home.join("errors")).unwrap();
    assert_eq!(ended.code(), Some(130), "{output}\n{errors}");
    for line in [
        "is canceled.",
        "Stopping the server: what it is at has up to 20 s",
        "The server of the demo is stopped",
    ] {
        assert!(output.contains(line), "{output}\n{errors}");
    }
    assert!(std::net::TcpStream::connect(listen).is_err(), "the server still runs");
    for (path, mode) in [
        ("data", 0o700),
        ("data/demo-server.log", 0o600),
        ("data/rushes.db", 0o600),
    ] {
        let found = std::fs::metadata(home.join(path)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_the_demo_cancels_its_task_on_a_server_that_was_running_before() {
    let app = TestApp::start().await;
    let directory = tempfile::tempdir().unwrap();
    let clip = Clip {
        width: 1280,
        height: 720,
        seconds: 20.0,
        ..Clip::default()
    };
    let clip = clip.make(directory.path());
    let mut command = shell(directory.path());
    command
        .arg(root().join("run"))
        .args(["demo", clip.to_str().unwrap(), "--preset", "hls", "--server", &app.url])
        .stderr(Stdio::null());
    let (ended, output) = interrupted(command).await;
    assert_eq!(ended.code(), Some(130), "{output}");
    assert!(
        output.contains("is canceled.") && !output.contains("Stopping"),
        "{output}"
    );
}

#[tokio::test]
async fn a_demo_whose_server_does_not_start_names_the_option_for_a_running_server() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    std::fs::create_dir_all(home.join("target/release")).unwrap();
    std::fs::create_dir(home.join("bin")).unwrap();
    for (file, script) in [
        ("target/release/rushes", "#!/bin/sh\nexit 1\n"),
        ("bin/cargo", "#!/bin/sh\n"),
    ] {
        std::fs::write(home.join(file), script).unwrap();
        std::fs::set_permissions(home.join(file), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = shell(home);
    command
        .arg(root().join("run"))
        .args(["demo", Clip::default().make(home).to_str().unwrap()])
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", home.join("target"))
        .env("RUSHES_LISTEN", free_address().to_string())
        .env("RUSHES_DATA_DIR", home.join("data"));
    let output = run(command).await;
    let text = text(&output);
    assert!(
        !output.status.success() && text.contains("./run demo --server http://") && !text.contains("Stopping"),
        "{text}"
    );
}

#[tokio::test]
async fn an_unknown_setting_is_named_although_the_port_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (name, value, expected) in [
        ("RUSHES_PORT", "8001", "RUSHES_PORT is an unknown setting"),
        ("rushes_listen", "127.0.0.1:8001", "rushes_listen is an unknown setting"),
        ("RUSHES_PORT", "tcp://10.0.0.1:8000", "is used by another program"),
        ("RUSHES_LOG", "debug", "is used by another program"),
    ] {
        let mut command = shell(directory.path());
        command
            .arg(root().join("run"))
            .env("RUSHES_LISTEN", &taken)
            .env(name, value);
        let output = run(command).await;
        let text = text(&output);
        assert!(
            !output.status.success() && text.contains(expected),
            "{name}={value}: {text}"
        );
    }
}

#[tokio::test]
async fn secrets_that_go_to_a_pipe_are_not_called_written() {
    let mut command = shell(&root());
    command.args(["run", "secrets"]);
    let output = run(command).await;
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output));
    let mut command = shell(&root());
    command.args(["run", "secrets", "extra"]);
    let output = run(command).await;
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{}",
        text(&output)
    );
}
