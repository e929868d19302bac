//! Files of very many streams behind the closed door: told by their code, within little memory and processor time.

use crate::Story;
use crate::child::Child;
use crate::stage::Stage;
use domain::protocol::{Event, Request, Session};
use domain::{Code, FailureKind};
use std::path::Path;
use std::process::Command;

pub(crate) const STORIES: &[Story] = &[("many_streams_are_told_behind_the_closed_door", many_streams_are_told)];

/// The kernel ends a child that takes more.
const MOST_MEMORY: u64 = 256 << 20;
const MOST_CPU_S: u64 = 20;

/// The ending of a file, how often its stream is mapped, how it is encoded, and what is told; nothing of one that is
/// accepted.
const CROWDS: &[(&str, usize, &str, Option<&str>)] = &[
    ("mkv", 256, "-map 0:v -map 1:s", None),
    ("mkv", 257, "-map 0:v -map 1:s", Some("257 streams of other kinds")),
    ("mkv", 999, "-map 0:v -map 1:s", Some("999 streams of other kinds")),
    ("mp4", 999, "-map 0:v -map 1:s", Some("999 streams of other kinds")),
    ("mp4", 999, "-map 0:v -map 0:v", Some("1000 video and audio streams")),
    ("mkv", 999, "-map 0:v -map 2:a", Some("1000 video and audio streams")),
];

/// Makes a file of a picture, and another stream so many times.
fn make(path: &Path, maps: &str, times: usize) {
    let words = path.with_file_name("words.srt");
    std::fs::write(&words, "1\n00:00:00,000 --> 00:00:01,000\nwords\n").unwrap();
    let (picture, other) = maps.split_at(maps.rfind("-map").unwrap());
    let text = if path.extension().is_some_and(|ending| ending == "mp4") {
        "mov_text"
    } else {
        "srt"
    };
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args("-f lavfi -i color=red:s=16x16:r=1:d=1 -i".split(' '))
        .arg(&words)
        .args("-f lavfi -i anullsrc=r=8000:d=0.1".split(' '))
        .args(picture.split_whitespace())
        .args(format!("{other} ").repeat(times).split_whitespace())
        .args("-c:v mjpeg -threads 1 -c:a pcm_s16le -c:s".split(' '))
        .arg(text)
        .arg(path)
        .status();
    assert!(made.unwrap().success(), "{maps}");
}

fn many_streams_are_told() {
    for (ending, times, maps, told) in CROWDS {
        let why = format!("{ending}, {times} times {maps}");
        let stage = Stage::new();
        let source = stage.source().with_extension(ending);
        make(&source, maps, *times);
        let mut child = Child::start(&["as:media"]);
        child.say(&Session {
            sources: vec![source],
            max_memory_bytes: MOST_MEMORY,
            max_cpu_s: MOST_CPU_S,
            ..stage.session()
        });
        assert!(matches!(child.hear(), Event::Ready(ref status) if status.is_full()));
        child.say(&Request::Probe(0));
        let answer = loop {
            match child.hear() {
                Event::Progress(_) => {}
                event => break event,
            }
        };
        match (answer, told) {
            (Event::Failed(failure), Some(told)) => {
                let code = (failure.kind, failure.code);
                assert_eq!(code, (FailureKind::Input, Code::TooManyStreams), "{why}: {failure}");
                assert!(failure.detail.starts_with(told), "{why}: {failure}");
            }
            (Event::Probed(probe), None) => assert_eq!(probe.streams.len(), times + 1, "{why}"),
            (event, _) => panic!("{why}: {event:?}"),
        }
        assert_eq!(child.end(), Some(0), "{why}");
    }
}
