//! nginx with the configuration of the product in front of a backend, and the Postman collection.

use reqwest::multipart::{Form, Part};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use tests::clip::Clip;
use tests::port::free_address;
use tests::{Options, TestApp, skip};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A running nginx; stopped when dropped.
pub(crate) struct Nginx {
    pub(crate) url: String,
    /// Host and port of the gRPC listener.
    pub(crate) grpc: String,
    process: Child,
    command: Box<dyn Fn() -> Command + Send + Sync>,
}

/// The number of files that one address can receive at the same time.
pub(crate) const MAX_DOWNLOADS: usize = 10;

impl Nginx {
    /// Starts nginx with the template of the product in front of one backend.
    pub(crate) fn in_front_of(upstream: &str, directory: &Path) -> Self {
        Self::in_front_of_all(&[upstream], directory)
    }

    /// Starts nginx in front of several backends, on the storage directory that [`TestApp`] has in `directory` if it
    /// keeps files in one.
    pub(crate) fn in_front_of_all(upstreams: &[&str], directory: &Path) -> Self {
        let files = directory.join("objects");
        let files = files.to_str().unwrap();
        let (listen, grpc) = (free_address().to_string(), free_address().to_string());
        let tmp = directory.join("nginx");
        std::fs::create_dir_all(&tmp).unwrap();
        let mut text = std::fs::read_to_string(root().join("nginx/nginx.conf.template")).unwrap();
        // Several servers, as when the name of the backend resolves to several addresses.
        let upstreams: Vec<_> = upstreams
            .iter()
            .map(|url| url.strip_prefix("http://").unwrap())
            .collect();
        let (first, others) = upstreams.split_first().unwrap();
        let server = "server ${NGINX_UPSTREAM} max_fails=0;";
        let more = others.iter().map(|other| server.replace("${NGINX_UPSTREAM}", other));
        let servers = [server.to_owned()].into_iter().chain(more).collect::<Vec<_>>();
        assert!(text.contains(server));
        text = text.replace(server, &servers.join("\n"));
        for (name, value) in [
            ("NGINX_LISTEN", listen.as_str()),
            ("NGINX_GRPC_LISTEN", grpc.as_str()),
            ("NGINX_UPSTREAM", first),
            ("NGINX_TMP", tmp.to_str().unwrap()),
            ("NGINX_MAX_UPLOAD", "110m"),
            ("NGINX_FILES", files),
            ("NGINX_MAX_DOWNLOADS", &MAX_DOWNLOADS.to_string()),
            ("NGINX_LANGUAGE", "es"),
        ] {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        let config = tmp.join("nginx.conf");
        std::fs::write(&config, text).unwrap();
        let error_log = tmp.join("error.log");
        let nginx = move |arguments: &[&str]| {
            let mut command = Command::new("nginx");
            command.args(arguments).arg("-p").arg(&tmp).arg("-c").arg(&config);
            // Started by root, nginx runs its workers as a user who cannot read this directory.
            let global = if is_root() {
                "daemon off; user root;"
            } else {
                "daemon off;"
            };
            let log = |name| File::options().append(true).create(true).open(tmp.join(name)).unwrap();
            command
                .args(["-g", global])
                .stdout(log("access.log"))
                .stderr(log("error.log"));
            command
        };
        let checked = nginx(&["-t"]).output().unwrap();
        let errors = std::fs::read_to_string(error_log).unwrap();
        assert!(checked.status.success(), "{errors}");
        let process = nginx(&[]).spawn().unwrap();
        Self {
            url: format!("http://{listen}"),
            grpc,
            process,
            command: Box::new(move || nginx(&[])),
        }
    }

    /// Kills nginx with all connections and starts it again.
    pub(crate) async fn restart(&mut self) {
        let pid = self.process.id().to_string();
        // TERM ends the master and its workers at once.
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        self.process.wait().unwrap();
        self.process = (self.command)().spawn().unwrap();
        self.ready().await;
    }

    pub(crate) async fn ready(&self) {
        for _ in 0..100 {
            if reqwest::get(format!("{}/ping", self.url))
                .await
                .is_ok_and(|reply| reply.status() == 200)
            {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("nginx did not start");
    }
}

fn is_root() -> bool {
    String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout)
        .unwrap()
        .trim()
        == "0"
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &pid]).status();
        let _ = self.process.wait();
    }
}

/// A clip followed by a `free` box, which players skip: a valid media file of any size.
fn padded(clip: &Path, bytes: usize) -> Vec<u8> {
    let mut file = std::fs::read(clip).unwrap();
    let padding = bytes - file.len();
    file.extend(u32::try_from(padding).unwrap().to_be_bytes());
    file.extend(b"free");
    file.resize(bytes, 0);
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_100_mb_is_uploaded_and_downloaded_in_ranges_through_nginx() {
    let config = |config: &mut backend::Config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.app.limits.max_upload_bytes = 104_000_000;
    };
    let app = TestApp::with(Options {
        config,
        ..Options::default()
    })
    .await;
    let nginx = Nginx::in_front_of(&app.url, app.directory.path());
    nginx.ready().await;
    let caller = tests::Caller::sign_up(&nginx.url).await;
    let source = padded(&Clip::default().make(app.directory.path()), 100_000_000);
    let reply = caller.upload("big.mp4", source, &[]).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let task = caller.ended(reply.body["task_id"].as_i64().unwrap()).await;
    assert_eq!(task["status"], "processed", "{task}");
    assert_eq!(task["source"]["bytes"], 100_000_000);
    let link = task["download"][0].as_str().unwrap();
    assert!(link.starts_with(&nginx.url), "links use the address of nginx: {link}");
    let whole = caller.download(link).await;
    let part = reqwest::Client::new()
        .get(link)
        .header("range", "bytes=-100")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), whole[whole.len() - 100..]);

    let refused = caller
        .upload(
            "over.mp4",
            padded(&Clip::default().make(app.directory.path()), 105_000_000),
            &[],
        )
        .await;
    assert_eq!(
        (refused.status, refused.code()),
        (413, "upload_too_large"),
        "refused by the backend"
    );
    let form = Form::new().part("file", Part::bytes(vec![0; 120_000_000]).file_name("huge.mp4"));
    let refused = caller.submit(form).await;
    assert_eq!(
        (refused.status, refused.code()),
        (413, "upload_too_large"),
        "refused by nginx"
    );
    assert_eq!(refused.message(), "El archivo supera el límite");
    for bytes in [5_000_000, 6_000_000] {
        let refused = caller.image("huge", vec![0; bytes]).await;
        assert_eq!((refused.status, refused.code()), (413, "upload_too_large"), "{bytes}");
    }
    assert_eq!(caller.get("/metrics").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_of_nginx_contains_no_signatures() {
    let app = TestApp::idle().await;
    let nginx = Nginx::in_front_of(&app.url, app.directory.path());
    nginx.ready().await;
    let caller = tests::Caller::anonymous(&nginx.url);
    for path in [
        "/api/video/play/1.key.proof/2026/01/31/7_clip.mp4/hls/master.m3u8?a=proof",
        "/api/video/download/2026/01/31/7_clip.mp4?output=video.mp4&signature=proof",
    ] {
        assert_eq!(caller.get(path).await.code(), "file_not_found", "{path}");
    }
    drop(nginx);
    let log = std::fs::read_to_string(app.directory.path().join("nginx/access.log")).unwrap();
    for path in [
        "/api/video/play/-/2026/01/31/7_clip.mp4/hls/master.m3u8",
        "/api/video/download/2026/01/31/7_clip.mp4",
    ] {
        assert!(log.contains(&format!(r#""path":"{path}""#)), "{log}");
    }
    assert!(!log.contains("proof"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_postman_collection_succeeds() {
    let Ok(newman) = std::env::var("TEST_NEWMAN") else {
        return skip::missing("newman, which ./test installs, in TEST_NEWMAN");
    };
    let app = TestApp::start().await;
    let clip = Clip::default().make(app.directory.path());
    let output = tokio::process::Command::new(newman)
        .args(["run", "postman/rushes.postman_collection.json", "--bail"])
        .args(["--env-var", &format!("base_url={}", app.url)])
        .args([
            "--env-var",
            &format!("file={}", clip.file_name().unwrap().to_str().unwrap()),
        ])
        .args(["--working-dir", clip.parent().unwrap().to_str().unwrap()])
        .current_dir(root())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
