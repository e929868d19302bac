//! Transcodes in the confined child: every accepted codec, every kind of output, every edit, cancellation, and the
//! limit of the file size. They show that the allow-list of system calls is long enough.

use crate::child::Child;
use crate::fixture::{Fixture, Test};
use domain::plan::{Clips, CopyPolicy};
use domain::protocol::{Event, Request, Session};
use domain::{Limits, Plan, Recipe};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    (
        "sources_of_every_codec_are_transcoded_in_the_sandbox",
        sources_of_every_codec_are_transcoded,
    ),
    (
        "every_kind_of_output_is_made_in_the_sandbox",
        every_kind_of_output_is_made,
    ),
    ("every_edit_is_made_in_the_sandbox", every_edit_is_made),
    (
        "the_end_of_input_cancels_a_transcode",
        the_end_of_input_cancels_a_transcode,
    ),
    (
        "an_output_over_the_size_limit_kills_the_child",
        an_output_over_the_size_limit_kills_the_child,
    ),
];

/// File extension and encoder arguments of sources with video and audio.
const SOURCES: &[(&str, &str)] = &[
    ("mp4", "-c:v libx264 -pix_fmt yuv420p -c:a aac"),
    ("mp4", "-c:v libx265 -x265-params log-level=none -c:a eac3"),
    ("webm", "-c:v libvpx-vp9 -deadline realtime -c:a libopus"),
    ("webm", "-c:v libvpx -deadline realtime -c:a libvorbis"),
    ("mkv", "-c:v libsvtav1 -preset 12 -c:a flac"),
    ("ts", "-c:v mpeg2video -c:a ac3"),
    ("avi", "-c:v mpeg4 -c:a libmp3lame"),
    ("mov", "-c:v prores -c:a pcm_s16le"),
    ("mov", "-c:v mjpeg -pix_fmt yuvj420p -c:a alac"),
    ("flv", "-c:v flv -ar 44100 -c:a libmp3lame"),
    ("asf", "-c:v wmv2 -c:a wmav2"),
    ("ogg", "-c:v libtheora -c:a libvorbis"),
    ("mxf", "-c:v mpeg2video -pix_fmt yuv422p -c:a pcm_s16le"),
    (
        "mxf",
        "-s 1280x720 -c:v dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p -c:a pcm_s24le",
    ),
    ("mxf", "-c:v prores -profile:v 3 -c:a pcm_s16le"),
    ("dv", "-s 720x576 -c:v dvvideo -pix_fmt yuv420p -ac 2 -c:a pcm_s16le"),
    ("mkv", "-c:v ffv1 -pix_fmt yuva444p -c:a flac"),
    ("mov", "-c:v cfhd -c:a pcm_s24le"),
    (
        "mov",
        "-c:v prores_ks -profile:v 4 -pix_fmt yuva444p10le -c:a pcm_s16le",
    ),
    ("mov", "-c:v qtrle -pix_fmt argb -c:a pcm_s16be"),
    ("mov", "-c:v v210 -c:a pcm_s16le"),
    ("avi", "-c:v huffyuv -pix_fmt yuv422p -c:a pcm_s16le"),
    ("avi", "-c:v ffvhuff -pix_fmt yuv420p -c:a pcm_s16le"),
    ("avi", "-c:v utvideo -pix_fmt gbrp -c:a pcm_s16le"),
    ("avi", "-c:v magicyuv -pix_fmt yuv422p -c:a pcm_s16le"),
    ("avi", "-c:v rawvideo -pix_fmt bgr24 -c:a pcm_s16le"),
    ("mkv", "-c:v libx264 -c:a dca -strict -2"),
    ("mkv", "-c:v libx264 -c:a truehd -strict -2"),
    ("mkv", "-c:v libx264 -c:a mlp -strict -2"),
    ("ts", "-c:v libx264 -c:a aac -mpegts_flags latm"),
];

/// The same for sources without audio.
const SILENT_SOURCES: &[(&str, &str)] = &[
    ("gif", "-an -c:v gif"),
    ("apng", "-an -c:v apng"),
    ("apng", "-an -c:v apng -pix_fmt rgba"),
];

/// Creates a file with a test pattern and a tone.
pub(crate) fn make(path: &Path, seconds: u32, arguments: &str) {
    let video = format!("testsrc2=s=320x240:r=25:d={seconds}");
    let tone = format!("sine=sample_rate=48000:d={seconds}");
    let sources = ["-f", "lavfi", "-i", &video, "-f", "lavfi", "-i", &tone];
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(sources)
        .args(arguments.split(' '))
        .arg(path)
        .env("SVT_LOG", "0")
        .status();
    assert!(made.unwrap().success(), "{arguments}");
}

fn sources_of_every_codec_are_transcoded() {
    let outputs = r#"{"outputs":[{"kind":"mp4"},{"kind":"audio","format":"m4a"},{"kind":"audio","format":"mp3"},
        {"kind":"audio","format":"opus"},{"kind":"poster","at_ms":0,"format":"jpeg"},
        {"kind":"poster","at_ms":100,"format":"png"}]}"#;
    for (extension, encoding) in SOURCES {
        transcode_and_verify(extension, encoding, outputs);
    }
    for (extension, encoding) in SILENT_SOURCES {
        transcode_and_verify(
            extension,
            encoding,
            r#"{"outputs":[{"kind":"mp4"},{"kind":"gif","end_ms":500},{"kind":"poster"}]}"#,
        );
    }
}

fn every_kind_of_output_is_made() {
    let outputs = r#"{"outputs":[
        {"kind":"mp4","name":"h264","video":{"codec":"h264","crf":30}},
        {"kind":"mp4","name":"h265","video":{"codec":"h265","speed":"fast"}},
        {"kind":"mp4","name":"av1","video":{"codec":"av1","speed":"fast"}},
        {"kind":"webm","name":"vp9","video":{"codec":"vp9","speed":"fast"}},
        {"kind":"webm","name":"live","video":{"codec":"vp9","speed":"fastest"}},
        {"kind":"webm","name":"open","video":{"codec":"av1","speed":"fast"}},
        {"kind":"hls","ladder":[240,120],"segment_ms":1000},
        {"kind":"hls","name":"single","ladder":[120],"single_file":true},
        {"kind":"poster","format":"webp"},{"kind":"sprite","every_ms":500},{"kind":"gif","end_ms":500}]}"#;
    transcode_and_verify("mp4", "-c:v libx264 -pix_fmt yuv420p -c:a aac", outputs);
}

fn every_edit_is_made() {
    const H264: &str = "-c:v libx264 -g 5 -bf 2 -pix_fmt yuv420p -c:a aac";
    const HDR: &str = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -c:a aac \
        -x265-params log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc";
    for (extension, encoding, recipe) in [
        (
            "mp4",
            H264,
            r#"{"audio":{"mode":"normalize"},"outputs":[{"kind":"mp4"},{"kind":"audio","format":"mp3"}]}"#,
        ),
        (
            "mp4",
            H264,
            r#"{"audio":{"mode":"drop"},"trim":{"start":0.3,"end":0.7,"mode":"fast"},"outputs":[{"kind":"mp4"}]}"#,
        ),
        (
            "mp4",
            H264,
            r#"{"trim":{"ranges":[{"start":0.4,"end":0.8},{"end":0.2}]},"frame":{"aspect":"1:1","fps":"12"},
                "bumper":{"intro_ms":200,"outro_ms":200},"watermark":{"opacity":0.5},"audio":{"mode":"normalize"},
                "outputs":[{"kind":"hls","ladder":[120]},{"kind":"webm","video":{"speed":"fastest"}}]}"#,
        ),
        (
            "ts",
            "-c:v mpeg2video -flags +ilme+ildct -c:a ac3 -ac 6",
            r#"{"outputs":[{"kind":"mp4"},{"kind":"poster"}]}"#,
        ),
        (
            "mp4",
            HDR,
            r#"{"frame":{"fit":"crop","aspect":"9:16"},"outputs":[{"kind":"mp4"},{"kind":"poster"}]}"#,
        ),
    ] {
        transcode_and_verify(extension, encoding, recipe);
    }
}

/// Transcodes a source in a confined child and verifies the outputs in a second one.
fn transcode_and_verify(extension: &str, encoding: &str, recipe: &str) {
    let recipe = Recipe::parse(recipe).unwrap();
    let fixture = Fixture::new();
    let source = fixture.source().with_extension(extension);
    make(&source, 1, encoding);
    let session = Session {
        sources: vec![source],
        ..fixture.session()
    };
    let (mut child, plan) = probe_and_plan(&session, &recipe);
    child.send(&Request::Transcode(Box::new(plan.clone())));
    let Event::Transcoded(report) = closing_event(&mut child, encoding) else {
        panic!("{encoding}")
    };
    assert_eq!(child.close(), Some(0));

    let mut checker = Child::start(&["mode:media"]);
    checker.send(&Session {
        sources: Vec::new(),
        ..session
    });
    assert!(matches!(checker.receive(), Event::Ready(_)));
    let outputs = plan.outputs.iter().cloned().zip(report.outputs.iter().cloned());
    checker.send(&Request::Verify(outputs.collect()));
    let Event::Verified(checked) = closing_event(&mut checker, encoding) else {
        panic!("{encoding}")
    };
    assert_eq!(checked.len(), recipe.outputs.len(), "{encoding}");
    for ((planned, made), checked) in plan.outputs.iter().zip(&report.outputs).zip(&checked) {
        domain::plan::verify(&plan, planned, made, checked).unwrap();
    }
    assert_eq!(checker.close(), Some(0));
}

/// Starts a child and probes the source. Returns the child and the plan of the recipe.
pub(crate) fn probe_and_plan(session: &Session, recipe: &Recipe) -> (Child, Plan) {
    let mut child = Child::start(&["mode:media"]);
    child.send(session);
    assert!(matches!(child.receive(), Event::Ready(ref status) if status.is_full()));
    child.send(&Request::Probe(0));
    let Event::Probed(probe) = closing_event(&mut child, "probe") else {
        panic!("no probe")
    };
    let (clips, copies) = (Clips::default(), CopyPolicy::default());
    let plan = domain::plan(recipe, &probe, clips, &Limits::default(), copies).unwrap();
    (child, plan)
}

/// Reads events until the closing event of a request, which may be a failure; `None` if the child ended.
pub(crate) fn answer(child: &mut Child) -> Option<Event> {
    loop {
        match serde_json::from_str(&child.receive_line()?).unwrap() {
            Event::Progress(_) => {}
            event => return Some(event),
        }
    }
}

/// Reads events until the closing event of a request, and returns it.
///
/// # Panics
/// The request failed.
pub(crate) fn closing_event(child: &mut Child, context: &str) -> Event {
    match answer(child).expect(context) {
        Event::Failed(failure) => panic!("{context}: {failure}"),
        event => event,
    }
}

/// Starts a child with a transcode that takes several seconds.
fn start_transcode(session: &Session) -> Child {
    make(
        session.sources.first().unwrap(),
        120,
        "-c:v mpeg4 -b:v 4M -c:a aac -f mp4",
    );
    let recipe = Recipe::parse(r#"{"outputs":[{"kind":"mp4","video":{"codec":"h264","crf":10,"speed":"best"}}]}"#);
    let (mut child, plan) = probe_and_plan(session, &recipe.unwrap());
    child.send(&Request::Transcode(Box::new(plan)));
    child
}

fn the_end_of_input_cancels_a_transcode() {
    let fixture = Fixture::new();
    let mut child = start_transcode(&fixture.session());
    assert!(matches!(child.receive(), Event::Progress(_)));
    let since = Instant::now();
    let code = child.close();
    assert!(matches!(code, Some(0 | 2)), "{code:?}");
    assert!(since.elapsed() < Duration::from_secs(5));
}

fn an_output_over_the_size_limit_kills_the_child() {
    let fixture = Fixture::new();
    let mut child = start_transcode(&Session {
        max_file_bytes: 300_000,
        ..fixture.session()
    });
    while child.receive_line().is_some() {}
    assert_eq!(child.wait_for_signal(), Some(libc::SIGXFSZ));
}
