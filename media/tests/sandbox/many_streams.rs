//! Files with very many streams in the confined child: they are refused with a code, within tight limits of memory and
//! processor time.

use crate::child::Child;
use crate::fixture::{Fixture, Test};
use domain::Code;
use domain::protocol::{Event, Request, Session};
use std::path::Path;
use std::process::Command;

pub(crate) const TESTS: &[Test] = &[(
    "too_many_streams_are_refused_within_tight_limits",
    too_many_streams_are_refused_within_tight_limits,
)];

/// Limits of the child. The kernel kills it when it exceeds them.
const MAX_MEMORY_BYTES: u64 = 256 << 20;
const MAX_CPU_S: u64 = 20;

/// A file with many streams.
struct Case {
    extension: &'static str,
    /// Number of additional streams.
    count: usize,
    /// Input streams to map: the first one once, the second one `count` times.
    maps: [&'static str; 2],
    /// Beginning of the failure detail; `None` when the file is accepted.
    refusal: Option<&'static str>,
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { extension: "mkv", count: 256, maps: ["0:v", "1:s"], refusal: None },
    Case { extension: "mkv", count: 257, maps: ["0:v", "1:s"], refusal: Some("257 streams of other kinds") },
    Case { extension: "mkv", count: 999, maps: ["0:v", "1:s"], refusal: Some("999 streams of other kinds") },
    Case { extension: "mp4", count: 999, maps: ["0:v", "1:s"], refusal: Some("999 streams of other kinds") },
    Case { extension: "mp4", count: 999, maps: ["0:v", "0:v"], refusal: Some("1000 video and audio streams") },
    Case { extension: "mkv", count: 999, maps: ["0:v", "2:a"], refusal: Some("1000 video and audio streams") },
];

/// Creates the file of a case from a video, a subtitle and an audio input.
fn make(path: &Path, case: &Case) {
    let subtitles = path.with_file_name("subtitles.srt");
    std::fs::write(&subtitles, "1\n00:00:00,000 --> 00:00:01,000\ntext\n").unwrap();
    let subtitle_codec = if case.extension == "mp4" { "mov_text" } else { "srt" };
    let [first, repeated] = case.maps;
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args("-f lavfi -i color=red:s=16x16:r=1:d=1 -i".split(' '))
        .arg(&subtitles)
        .args("-f lavfi -i anullsrc=r=8000:d=0.1".split(' '))
        .args(["-map", first])
        .args(["-map", repeated].repeat(case.count))
        .args("-c:v mjpeg -threads 1 -c:a pcm_s16le -c:s".split(' '))
        .arg(subtitle_codec)
        .arg(path)
        .status();
    assert!(status.unwrap().success(), "{:?}", case.maps);
}

fn too_many_streams_are_refused_within_tight_limits() {
    for case in CASES {
        let context = format!("{}, {} times {}", case.extension, case.count, case.maps[1]);
        let fixture = Fixture::new();
        let source = fixture.source().with_extension(case.extension);
        make(&source, case);
        let mut child = Child::start(&["mode:media"]);
        child.send(&Session {
            sources: vec![source],
            max_memory_bytes: MAX_MEMORY_BYTES,
            max_cpu_s: MAX_CPU_S,
            ..fixture.session()
        });
        assert!(matches!(child.receive(), Event::Ready(ref status) if status.is_full()));
        child.send(&Request::Probe(0));
        let answer = loop {
            match child.receive() {
                Event::Progress(_) => {}
                event => break event,
            }
        };
        match (answer, case.refusal) {
            (Event::Failed(failure), Some(refusal)) => {
                assert_eq!(failure.code, Code::TooManyStreams, "{context}: {failure}");
                assert!(failure.detail.starts_with(refusal), "{context}: {failure}");
            }
            (Event::Probed(probe), None) => assert_eq!(probe.streams.len(), case.count + 1, "{context}"),
            (event, _) => panic!("{context}: {event:?}"),
        }
        assert_eq!(child.close(), Some(0), "{context}");
    }
}
