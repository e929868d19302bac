//! Real work behind the closed door: every codec that is let in, every kind of output, and what ends it early.

use crate::Story;
use crate::child::Child;
use crate::stage::Stage;
use domain::plan::Clips;
use domain::protocol::{Event, Request, Session};
use domain::{Limits, Plan, Recipe};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const STORIES: &[Story] = &[
    (
        "films_of_every_codec_pass_through_the_closed_door",
        films_of_every_codec_pass,
    ),
    (
        "every_kind_of_output_passes_through_the_closed_door",
        every_kind_of_output_passes,
    ),
    ("every_edit_passes_through_the_closed_door", every_edit_passes),
    (
        "the_end_of_input_ends_work_in_progress",
        the_end_of_input_ends_work_in_progress,
    ),
    (
        "a_file_over_the_limit_ends_the_child",
        a_file_over_the_limit_ends_the_child,
    ),
];

/// Ending of the file, and the arguments that make it.
const FILMS: &[(&str, &str)] = &[
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

/// The same of films without sound.
const SILENT_FILMS: &[(&str, &str)] = &[
    ("gif", "-an -c:v gif"),
    ("apng", "-an -c:v apng"),
    ("apng", "-an -c:v apng -pix_fmt rgba"),
];

/// Makes a film of a test picture and a tone.
pub(crate) fn make(path: &Path, seconds: u32, arguments: &str) {
    let picture = format!("testsrc2=s=320x240:r=25:d={seconds}");
    let tone = format!("sine=sample_rate=48000:d={seconds}");
    let sources = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone];
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(sources)
        .args(arguments.split(' '))
        .arg(path)
        .env("SVT_LOG", "0")
        .status();
    assert!(made.unwrap().success(), "{arguments}");
}

fn films_of_every_codec_pass() {
    let outputs = r#"{"outputs":[{"kind":"mp4"},{"kind":"audio","format":"m4a"},{"kind":"audio","format":"mp3"},
        {"kind":"audio","format":"opus"},{"kind":"poster","at_ms":0,"format":"jpeg"},
        {"kind":"poster","at_ms":100,"format":"png"}]}"#;
    for film in FILMS {
        pass(film, outputs);
    }
    for film in SILENT_FILMS {
        pass(
            film,
            r#"{"outputs":[{"kind":"mp4"},{"kind":"gif","end_ms":500},{"kind":"poster"}]}"#,
        );
    }
}

fn every_kind_of_output_passes() {
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
    pass(&("mp4", "-c:v libx264 -pix_fmt yuv420p -c:a aac"), outputs);
}

fn every_edit_passes() {
    const RIGHT: &str = "-c:v libx264 -g 5 -bf 2 -pix_fmt yuv420p -c:a aac";
    const HDR: &str = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -c:a aac \
        -x265-params log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc";
    for (ending, film, recipe) in [
        (
            "mp4",
            RIGHT,
            r#"{"audio":{"mode":"normalize"},"outputs":[{"kind":"mp4"},{"kind":"audio","format":"mp3"}]}"#,
        ),
        (
            "mp4",
            RIGHT,
            r#"{"audio":{"mode":"drop"},"trim":{"start":0.3,"end":0.7,"mode":"fast"},"outputs":[{"kind":"mp4"}]}"#,
        ),
        (
            "mp4",
            RIGHT,
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
        pass(&(ending, film), recipe);
    }
}

/// Makes and checks the outputs of a recipe behind the closed door.
fn pass((ending, arguments): &(&str, &str), outputs: &str) {
    let recipe = Recipe::parse(outputs).unwrap();
    let stage = Stage::new();
    let source = stage.source().with_extension(ending);
    make(&source, 1, arguments);
    let session = Session {
        sources: vec![source],
        ..stage.session()
    };
    let (mut child, plan) = planned(&session, &recipe);
    child.say(&Request::Transcode(Box::new(plan.clone())));
    let Event::Transcoded(report) = answer(&mut child, arguments) else {
        panic!("{arguments}")
    };
    assert_eq!(child.end(), Some(0));

    let mut checker = Child::start(&["as:media"]);
    checker.say(&Session {
        sources: Vec::new(),
        ..session
    });
    assert!(matches!(checker.hear(), Event::Ready(_)));
    let outputs = plan.outputs.iter().cloned().zip(report.outputs.iter().cloned());
    checker.say(&Request::Verify(outputs.collect()));
    let Event::Verified(checked) = answer(&mut checker, arguments) else {
        panic!("{arguments}")
    };
    assert_eq!(checked.len(), recipe.outputs.len(), "{arguments}");
    for ((planned, made), checked) in plan.outputs.iter().zip(&report.outputs).zip(&checked) {
        domain::plan::verify(&plan, planned, made, checked).unwrap();
    }
    assert_eq!(checker.end(), Some(0));
}

/// A child that has looked at the source, and what it shall do.
pub(crate) fn planned(session: &Session, recipe: &Recipe) -> (Child, Plan) {
    let mut child = Child::start(&["as:media"]);
    child.say(session);
    assert!(matches!(child.hear(), Event::Ready(ref status) if status.is_full()));
    child.say(&Request::Probe(0));
    let Event::Probed(probe) = answer(&mut child, "probe") else {
        panic!("no probe")
    };
    let plan = domain::plan(recipe, &probe, Clips::default(), &Limits::default()).unwrap();
    (child, plan)
}

/// The closing event of a request.
pub(crate) fn answer(child: &mut Child, about: &str) -> Event {
    loop {
        match child.hear() {
            Event::Progress(_) => {}
            Event::Failed(failure) => panic!("{about}: {failure}"),
            event => return event,
        }
    }
}

/// A child in the middle of work that takes a while.
fn working(session: &Session) -> Child {
    make(
        session.sources.first().unwrap(),
        120,
        "-c:v mpeg4 -b:v 4M -c:a aac -f mp4",
    );
    let recipe = Recipe::parse(r#"{"outputs":[{"kind":"mp4","video":{"codec":"h264","crf":10,"speed":"best"}}]}"#);
    let (mut child, plan) = planned(session, &recipe.unwrap());
    child.say(&Request::Transcode(Box::new(plan)));
    child
}

fn the_end_of_input_ends_work_in_progress() {
    let stage = Stage::new();
    let mut child = working(&stage.session());
    assert!(matches!(child.hear(), Event::Progress(_)));
    let since = Instant::now();
    let code = child.end();
    assert!(matches!(code, Some(0 | 2)), "{code:?}");
    assert!(since.elapsed() < Duration::from_secs(5));
}

fn a_file_over_the_limit_ends_the_child() {
    let stage = Stage::new();
    let mut child = working(&Session {
        max_file_bytes: 300_000,
        ..stage.session()
    });
    while child.hear_line().is_some() {}
    assert_eq!(child.signal(), Some(libc::SIGXFSZ));
}
