//! What is said over the pipes, and how a child ends.

use crate::Story;
use crate::child::Child;
use crate::stage::Stage;
use domain::plan::{AudioTrack, Content, PlannedOutput};
use domain::protocol::{Event, MAX_LINE_BYTES, Made, Request, Session};
use domain::recipe::{AudioCodec, AudioFormat};
use domain::{Code, FailureKind};
use std::time::{Duration, Instant};

pub(crate) const STORIES: &[Story] = &[
    ("the_end_of_input_ends_the_child", the_end_of_input_ends_the_child),
    (
        "a_session_that_is_no_session_is_refused",
        a_session_that_is_no_session_is_refused,
    ),
    ("only_a_plain_file_is_a_source", only_a_plain_file_is_a_source),
    ("an_unreadable_request_is_the_last", an_unreadable_request_is_the_last),
    (
        "a_file_outside_scratch_is_not_verified",
        a_file_outside_scratch_is_not_verified,
    ),
    ("a_playlist_is_no_film", a_playlist_is_no_film),
    ("a_child_dies_with_its_parent", a_child_dies_with_its_parent),
];

/// A child that was given this session, and its first event.
fn begin(session: &Session) -> (Child, Event) {
    let mut child = Child::start(&["as:media"]);
    child.say(session);
    let first = child.hear();
    (child, first)
}

fn code(event: &Event) -> Option<(FailureKind, Code)> {
    match event {
        Event::Failed(failure) => Some((failure.kind, failure.code)),
        _ => None,
    }
}

fn the_end_of_input_ends_the_child() {
    let stage = Stage::new();
    let (child, first) = begin(&stage.session());
    assert!(
        matches!(first, Event::Ready(ref status) if status.is_full()),
        "{first:?}"
    );
    let since = Instant::now();
    assert_eq!(child.end(), Some(0));
    assert!(since.elapsed() < Duration::from_secs(10));
}

fn a_session_that_is_no_session_is_refused() {
    for line in ["", "{}", "nonsense", &"x".repeat(MAX_LINE_BYTES + 1)] {
        let mut child = Child::start(&["as:media"]);
        child.say_line(line);
        let answer = child.hear();
        assert_eq!(
            code(&answer),
            Some((FailureKind::Infrastructure, Code::Internal)),
            "{answer:?}"
        );
        assert_eq!(child.hear_line(), None);
        assert_eq!(child.end(), Some(1));
    }
}

fn only_a_plain_file_is_a_source() {
    let stage = Stage::new();
    let pipe = stage.scratch().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let missing = stage.scratch().join("missing");
    for path in [
        stage.scratch().join("link"),
        stage.scratch(),
        pipe,
        missing,
        "/dev/zero".into(),
    ] {
        let session = Session {
            sources: vec![path],
            ..stage.session()
        };
        let (child, answer) = begin(&session);
        assert_eq!(
            code(&answer),
            Some((FailureKind::Infrastructure, Code::StorageFailed)),
            "{answer:?}"
        );
        assert_eq!(child.end(), Some(1));
    }
}

fn an_unreadable_request_is_the_last() {
    let stage = Stage::new();
    for line in ["{\"transcode\":{}}", "nonsense", &"x".repeat(MAX_LINE_BYTES + 1)] {
        let (mut child, _) = begin(&stage.session());
        child.say_line(line);
        let answer = child.hear();
        assert_eq!(
            code(&answer),
            Some((FailureKind::Infrastructure, Code::Internal)),
            "{answer:?}"
        );
        assert_eq!(child.hear_line(), None);
        assert_eq!(child.end(), Some(0));
    }
}

/// An output that a child is asked about, whatever stands in its name.
fn sound_file(file: &str) -> PlannedOutput {
    PlannedOutput {
        file: file.to_owned(),
        content: Content::Audio {
            format: AudioFormat::M4a,
            audio: AudioTrack::Copy { codec: AudioCodec::Aac },
        },
        steps: Vec::new(),
    }
}

fn a_file_outside_scratch_is_not_verified() {
    let stage = Stage::new();
    let (mut child, _) = begin(&stage.session());
    let secret = stage.secret().to_string_lossy().into_owned();
    for file in [
        "link",
        "../neighbor/secret",
        "/etc/passwd",
        &secret,
        "file:link",
        "concat:link",
    ] {
        child.say(&Request::Verify(vec![(sound_file(file), Made::default())]));
        assert!(matches!(child.hear(), Event::Progress(_)));
        let answer = child.hear();
        assert!(code(&answer).is_some(), "{file}: {answer:?}");
    }
    assert_eq!(child.end(), Some(0));
}

fn a_playlist_is_no_film() {
    let secret = Stage::new();
    let target = secret.secret().to_string_lossy().into_owned();
    let playlists = [
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n"),
        format!("ffconcat version 1.0\nfile '{target}'\n"),
        format!("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na={target}\n"),
    ];
    for playlist in playlists {
        let stage = Stage::new();
        std::fs::write(stage.source(), playlist).unwrap();
        let (mut child, _) = begin(&stage.session());
        child.say(&Request::Probe(0));
        let answer = child.hear();
        assert_eq!(code(&answer), Some((FailureKind::Input, Code::NotMedia)), "{answer:?}");
        assert_eq!(child.end(), Some(0));
    }
}

/// Its input stays open all the while: only the kernel can tell it.
fn a_child_dies_with_its_parent() {
    let stage = Stage::new();
    let mut middle = Child::start(&["as:middle"]);
    middle.say(&stage.session());
    assert!(matches!(middle.hear(), Event::Ready(_)));
    let since = Instant::now();
    middle.kill();
    assert_eq!(middle.hear_line(), None);
    assert!(since.elapsed() < Duration::from_secs(10));
}
