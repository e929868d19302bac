//! The protocol of the child: invalid input, refused sources, and how the process ends.

use crate::child::Child;
use crate::fixture::{Fixture, Test};
use domain::Code;
use domain::plan::{AudioTrack, Content, PlannedOutput};
use domain::protocol::{Event, MAX_LINE_BYTES, OutputReport, Request, Session};
use domain::recipe::{AudioCodec, AudioFormat};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    ("the_end_of_input_ends_the_child", the_end_of_input_ends_the_child),
    ("an_invalid_session_is_refused", an_invalid_session_is_refused),
    ("sources_must_be_regular_files", sources_must_be_regular_files),
    (
        "an_unreadable_request_ends_the_session",
        an_unreadable_request_ends_the_session,
    ),
    (
        "a_file_outside_scratch_is_not_verified",
        a_file_outside_scratch_is_not_verified,
    ),
    ("playlists_are_not_followed", playlists_are_not_followed),
    (
        "a_damaged_bumper_clip_is_told_apart_from_the_source",
        a_damaged_bumper_clip_is_told_apart_from_the_source,
    ),
    ("a_child_dies_with_its_parent", a_child_dies_with_its_parent),
];

/// Starts a child with this session. Returns the child and its first event.
fn begin(session: &Session) -> (Child, Event) {
    let mut child = Child::start(&["mode:media"]);
    child.send(session);
    let first = child.receive();
    (child, first)
}

/// Code of a failure; `None` for other events.
fn code(event: &Event) -> Option<Code> {
    match event {
        Event::Failed(failure) => Some(failure.code),
        _ => None,
    }
}

fn the_end_of_input_ends_the_child() {
    let fixture = Fixture::new();
    let (child, first) = begin(&fixture.session());
    assert!(
        matches!(first, Event::Ready(ref status) if status.is_full()),
        "{first:?}"
    );
    let since = Instant::now();
    assert_eq!(child.close(), Some(0));
    assert!(since.elapsed() < Duration::from_secs(10));
}

/// Asserts that the next event is a failure inside of the service, and the last one.
fn assert_ends_with_internal_failure(child: &mut Child) {
    let event = child.receive();
    assert_eq!(code(&event), Some(Code::Internal), "{event:?}");
    assert_eq!(child.receive_line(), None);
}

fn an_invalid_session_is_refused() {
    for line in ["", "{}", "nonsense", &"x".repeat(MAX_LINE_BYTES + 1)] {
        let mut child = Child::start(&["mode:media"]);
        child.send_line(line);
        assert_ends_with_internal_failure(&mut child);
        assert_eq!(child.close(), Some(1));
    }
}

fn sources_must_be_regular_files() {
    let fixture = Fixture::new();
    let pipe = fixture.scratch().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let missing = fixture.scratch().join("missing");
    for path in [
        fixture.scratch().join("link"),
        fixture.scratch(),
        pipe,
        missing,
        "/dev/zero".into(),
    ] {
        let session = Session {
            sources: vec![path],
            ..fixture.session()
        };
        let (child, answer) = begin(&session);
        assert_eq!(code(&answer), Some(Code::StorageFailed), "{answer:?}");
        assert_eq!(child.close(), Some(1));
    }
}

fn an_unreadable_request_ends_the_session() {
    let fixture = Fixture::new();
    for line in ["{\"transcode\":{}}", "nonsense", &"x".repeat(MAX_LINE_BYTES + 1)] {
        let (mut child, _) = begin(&fixture.session());
        child.send_line(line);
        assert_ends_with_internal_failure(&mut child);
        assert_eq!(child.close(), Some(0));
    }
}

/// A planned audio output with this file name, which need not be valid.
fn audio_output(file: &str) -> PlannedOutput {
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
    let fixture = Fixture::new();
    let (mut child, _) = begin(&fixture.session());
    let secret = fixture.secret().to_string_lossy().into_owned();
    for file in [
        "link",
        "../neighbor/secret",
        "/etc/passwd",
        &secret,
        "file:link",
        "concat:link",
    ] {
        child.send(&Request::Verify(vec![(audio_output(file), OutputReport::default())]));
        assert!(matches!(child.receive(), Event::Progress(_)));
        let answer = child.receive();
        assert!(code(&answer).is_some(), "{file}: {answer:?}");
    }
    assert_eq!(child.close(), Some(0));
}

fn playlists_are_not_followed() {
    let secret = Fixture::new();
    let target = secret.secret().to_string_lossy().into_owned();
    let playlists = [
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n"),
        format!("ffconcat version 1.0\nfile '{target}'\n"),
        format!("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na={target}\n"),
    ];
    for playlist in playlists {
        let fixture = Fixture::new();
        std::fs::write(fixture.source(), playlist).unwrap();
        let (mut child, _) = begin(&fixture.session());
        child.send(&Request::Probe(0));
        let answer = child.receive();
        assert_eq!(code(&answer), Some(Code::NotMedia), "{answer:?}");
        assert_eq!(child.close(), Some(0));
    }
}

fn a_damaged_bumper_clip_is_told_apart_from_the_source() {
    let fixture = Fixture::new();
    let session = Session {
        sources: vec![fixture.source(), fixture.source()],
        ..fixture.session()
    };
    let (mut child, _) = begin(&session);
    for (index, is_clip) in [(0, false), (1, true)] {
        child.send(&Request::Probe(index));
        let Event::Failed(failure) = child.receive() else {
            panic!("it is no video")
        };
        assert_eq!(failure.code, Code::NotMedia);
        assert_eq!(failure.detail.starts_with("the bumper clip: "), is_clip, "{failure:?}");
    }
    assert_eq!(child.close(), Some(0));
}

/// The input of the child stays open, because the test process holds the other end. So only the parent-death signal can
/// end the child.
fn a_child_dies_with_its_parent() {
    let fixture = Fixture::new();
    let mut parent = Child::start(&["mode:parent"]);
    parent.send(&fixture.session());
    assert!(matches!(parent.receive(), Event::Ready(_)));
    let since = Instant::now();
    parent.kill();
    assert_eq!(parent.receive_line(), None);
    assert!(since.elapsed() < Duration::from_secs(10));
}
