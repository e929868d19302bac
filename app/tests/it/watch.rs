//! Watched folders: each file becomes one task and ends in one place, also when the watcher is cut off at any moment.

mod away;

use crate::fixture::{Fixture, MP4};
use app::watch::{Watch, Watcher};
use entity::ConnectionTrait;
use entity::task::{self, Page};
use serde_json::Value;
use std::fs;
use std::future::poll_fn;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use storage::Folder;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

struct Watched {
    fixture: Fixture,
    directory: TempDir,
}

impl Watched {
    async fn new() -> Self {
        Self {
            fixture: Fixture::new().await,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// A watcher that has seen nothing, as after a start.
    fn watcher(&self) -> Watcher {
        let watch = Watch {
            folder: Folder::open(self.root().to_str().unwrap(), None).unwrap(),
            user: None,
            preset: "web".to_owned(),
            recipe: None,
            settle: Duration::ZERO,
        };
        Watcher::new((*self.fixture.app).clone(), watch)
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn put(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    async fn execute(&self, sql: &str) {
        self.fixture.app.db.execute_unprepared(sql).await.unwrap();
    }

    async fn end_tasks(&self, status: &str) {
        self.execute(&format!(
            "UPDATE tasks SET status = '{status}', error_code = 'source_damaged'"
        ))
        .await;
    }

    async fn names(&self) -> Vec<String> {
        let page = Page::default();
        let tasks = task::list(&self.fixture.app.db, self.fixture.user, page).await.unwrap();
        tasks.into_iter().map(|task| task.display_name).collect()
    }

    fn listed(&self, below: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(below)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn error_of(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.path(&format!("failed/{name}.error.json"))).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

async fn scans(watcher: &mut Watcher, count: usize) {
    for _ in 0..count {
        assert_eq!(watcher.scan(&CancellationToken::new()).await.unwrap(), []);
    }
}

/// Polls a scan this often, then drops it, as if the process ended there. Returns `true` if it came to its end.
async fn cut_after(polls: usize, watcher: &mut Watcher) -> bool {
    let stop = CancellationToken::new();
    let (mut scan, mut left) = (pin!(watcher.scan(&stop)), polls);
    let cut = poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        scan.as_mut().poll(context).map(|scanned| scanned.is_ok())
    });
    cut.await
}

#[tokio::test]
async fn a_file_becomes_a_task_and_is_moved_when_it_has_ended() {
    let watched = Watched::new().await;
    let mut watcher = watched.watcher();
    watched.put("clip.mp4", MP4);
    watched.put("letter.txt", "no media");
    watched.put("empty.mp4", "");
    scans(&mut watcher, 1).await;
    assert_eq!(watched.names().await, Vec::<String>::new(), "a file must be seen twice");
    scans(&mut watcher, 3).await;
    assert_eq!(watched.names().await, ["clip.mp4"]);
    assert_eq!(
        watched.listed(""),
        ["clip.mp4", "done", "failed"],
        "it waits for its task"
    );
    assert_eq!(
        watched.listed("failed"),
        [
            "empty.mp4",
            "empty.mp4.error.json",
            "letter.txt",
            "letter.txt.error.json"
        ]
    );
    assert_eq!(watched.error_of("letter.txt")["code"], "not_media");
    assert_eq!(watched.error_of("empty.mp4")["code"], "file_empty");
    watched.end_tasks("processed").await;
    scans(&mut watcher, 1).await;
    assert_eq!(
        (watched.listed(""), watched.listed("done")),
        (
            vec!["done".to_owned(), "failed".to_owned()],
            vec!["clip.mp4".to_owned()]
        )
    );

    watched.put("clip.mp4", &format!("{MP4}second"));
    scans(&mut watcher, 2).await;
    assert_eq!(watched.names().await.len(), 2);
    watched.end_tasks("failed").await;
    scans(&mut watcher, 1).await;
    let error = watched.error_of("clip.mp4");
    assert_eq!(
        (&error["code"], &error["status"]),
        (&"source_damaged".into(), &"failed".into())
    );
    assert_eq!(watched.fixture.stored_sources(), 2);
}

#[tokio::test]
async fn the_same_file_again_is_only_moved_again_and_another_of_its_name_is_another_task() {
    let watched = Watched::new().await;
    let mut watcher = watched.watcher();
    watched.put("clip.mp4", MP4);
    scans(&mut watcher, 2).await;
    watched.end_tasks("processed").await;
    scans(&mut watcher, 1).await;
    fs::rename(watched.path("done/clip.mp4"), watched.path("clip.mp4")).unwrap();
    scans(&mut watcher, 3).await;
    assert_eq!(watched.names().await.len(), 1);
    assert_eq!(
        (watched.listed("done").len(), watched.path("clip.mp4").exists()),
        (1, false)
    );
    for _ in 0..2 {
        watched.put("clip.mp4", &format!("{MP4}more"));
        scans(&mut watcher, 2).await;
        watched.end_tasks("processed").await;
        scans(&mut watcher, 1).await;
    }
    assert_eq!(watched.names().await.len(), 3);
    assert_eq!(watched.listed("done").len(), 3, "{:?}", watched.listed("done"));
}

#[tokio::test]
async fn a_file_that_grows_is_taken_when_it_has_stopped() {
    let watched = Watched::new().await;
    let mut watcher = watched.watcher();
    for length in 0..4 {
        watched.put("clip.mp4", &format!("{MP4}{}", "x".repeat(length)));
        scans(&mut watcher, 1).await;
    }
    assert_eq!(watched.names().await.len(), 0);
    scans(&mut watcher, 2).await;
    assert_eq!(watched.names().await, ["clip.mp4"]);
    // One that vanishes leaves nothing to do.
    fs::remove_file(watched.path("clip.mp4")).unwrap();
    watched.end_tasks("processed").await;
    scans(&mut watcher, 2).await;
    assert_eq!(watched.listed("done").len(), 0);
}

#[tokio::test]
async fn a_watcher_that_is_cut_off_anywhere_leaves_one_task_and_one_place() {
    let watched = Watched::new().await;
    for state in ["processed", "failed"] {
        let (mut polls, mut rounds) = (0, 0);
        loop {
            let name = format!("{state}{polls}.mp4");
            watched.put(&name, &format!("{MP4}{polls}"));
            let mut first = watched.watcher();
            scans(&mut first, 1).await;
            let copied = cut_after(polls, &mut first).await;
            // The lease of a process that ended does so as well.
            watched.execute("UPDATE watched_files SET until_ms = 1").await;
            let mut second = watched.watcher();
            while !watched.names().await.contains(&name) {
                let _ = cut_after(usize::MAX, &mut second).await;
            }
            watched.end_tasks(state).await;
            let mut third = watched.watcher();
            scans(&mut third, 1).await;
            let moved = cut_after(polls, &mut third).await;
            watched.execute("UPDATE watched_files SET until_ms = 1").await;
            let mut fourth = watched.watcher();
            scans(&mut fourth, 3).await;
            rounds += 1;
            polls += 1;
            if copied && moved {
                break;
            }
        }
        let names = watched.names().await;
        assert_eq!(names.iter().filter(|name| name.starts_with(state)).count(), rounds);
        assert_eq!(watched.listed(""), ["done", "failed"]);
    }
    let (done, failed) = (watched.listed("done"), watched.listed("failed"));
    assert!(
        done.iter().all(|name| name.starts_with("processed")) && done.len() > 3,
        "{done:?}"
    );
    let errors = failed.iter().filter(|name| name.ends_with(".error.json")).count();
    assert_eq!(errors * 2, failed.len(), "{failed:?}");
    assert!(failed.len() > 6, "{failed:?}");
    assert_eq!(watched.names().await.len(), done.len() + errors);
}

#[tokio::test]
async fn a_move_that_was_cut_off_between_its_two_names_is_finished() {
    let watched = Watched::new().await;
    watched.put("clip.mp4", MP4);
    let mut watcher = watched.watcher();
    scans(&mut watcher, 2).await;
    watched
        .execute("UPDATE watched_files SET target = 'done/clip.mp4'")
        .await;
    fs::hard_link(watched.path("clip.mp4"), watched.path("done/clip.mp4")).unwrap();
    watched.end_tasks("processed").await;
    scans(&mut watcher, 1).await;
    assert_eq!(
        (watched.listed("done"), watched.path("clip.mp4").exists()),
        (vec!["clip.mp4".to_owned()], false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_watchers_of_one_folder_share_its_files() {
    let watched = Watched::new().await;
    for number in 0..20 {
        watched.put(&format!("{number}.mp4"), &format!("{MP4}{number}"));
    }
    watched.put("bad.mp4", "bad");
    let (mut a, mut b) = (watched.watcher(), watched.watcher());
    for _ in 0..3 {
        tokio::join!(scans(&mut a, 1), scans(&mut b, 1));
    }
    assert_eq!(watched.names().await.len(), 20);
    watched.end_tasks("processed").await;
    for _ in 0..3 {
        tokio::join!(scans(&mut a, 1), scans(&mut b, 1));
    }
    assert_eq!(
        (watched.listed("done").len(), watched.listed("")),
        (20, vec!["done".to_owned(), "failed".to_owned()])
    );
    assert_eq!(watched.listed("failed"), ["bad.mp4", "bad.mp4.error.json"]);
    assert_eq!(watched.names().await.len(), 20);
}

#[tokio::test]
async fn links_directories_sockets_and_odd_names_do_no_harm() {
    let watched = Watched::new().await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.mp4"), MP4).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.mp4"), watched.path("link.mp4")).unwrap();
    fs::create_dir(watched.path("directory.mp4")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(watched.path("socket.mp4")).unwrap();
    for name in [".hidden.mp4", "clip.mp4.part", "clip.tmp", "clip.crdownload"] {
        watched.put(name, MP4);
    }
    let left = watched.listed("").len();
    let long = format!("{}.mp4", "y".repeat(250));
    let odd = [
        "new\nline.mp4",
        "quote'\".mp4",
        "-rf.mp4",
        "%2e%2e.mp4",
        "día 😀.mp4",
        long.as_str(),
    ];
    for name in odd {
        watched.put(name, MP4);
    }
    let bytes = std::ffi::OsStr::from_bytes(b"latin\xe9.mp4");
    fs::write(watched.root().join(bytes), MP4).unwrap();
    let mut watcher = watched.watcher();
    scans(&mut watcher, 2).await;
    assert_eq!(watched.names().await.len(), odd.len() + 1);
    watched.end_tasks("failed").await;
    scans(&mut watcher, 2).await;
    assert_eq!(watched.listed("").len(), left + 2, "{:?}", watched.listed(""));
    assert_eq!(watched.listed("failed").len(), 2 * (odd.len() + 1));
    assert!(outside.path().join("secret.mp4").exists());
}

#[tokio::test]
async fn files_wait_while_there_is_no_account_or_preset_for_them() {
    let watched = Watched::new().await;
    watched.put("clip.mp4", MP4);
    let mut watch = Watch {
        folder: Folder::open(watched.root().to_str().unwrap(), None).unwrap(),
        user: Some("bea@example.com".to_owned()),
        preset: "web".to_owned(),
        recipe: None,
        settle: Duration::ZERO,
    };
    let scan = async |watch: &Watch| {
        let mut watcher = Watcher::new((*watched.fixture.app).clone(), watch.clone());
        scans(&mut watcher, 1).await;
        let failed = watcher.scan(&CancellationToken::new()).await.unwrap();
        failed.into_iter().map(|failed| failed.reason).collect::<String>()
    };
    assert!(scan(&watch).await.contains("bea@example.com"));
    watch.user = Some("ana@example.com".to_owned());
    watch.preset = "absent".to_owned();
    assert!(scan(&watch).await.contains("preset_unknown"));
    assert!(watched.path("clip.mp4").exists());
    watch.recipe = Some(r#"{"outputs":[{"kind":"poster"}]}"#.to_owned());
    assert_eq!(scan(&watch).await, "");
    assert_eq!(watched.names().await, ["clip.mp4"]);
}
