//! Adaptive streams, read as a player reads them: by the master playlist.

use crate::clips::{number_of, numbered};
use crate::studio::{decoded, footage, plan, probe, recipe};
use domain::plan::Content;
use domain::protocol::Report;
use media::engine::{self, Cancel};
use std::fs::File;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CODED: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// A stream that was made.
struct Stream {
    folder: PathBuf,
    report: Report,
    rungs: Vec<(u32, usize, usize)>,
    _scratch: TempDir,
}

/// Makes a stream of a source; `wish` is the output's JSON after its kind.
fn stream(source: &Path, wish: &str) -> Stream {
    let recipe = recipe(&format!(r#"{{"outputs":[{{"kind":"hls",{wish}}}]}}"#));
    let plan = plan(&recipe, &probe(source).unwrap()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let sources = [File::open(source).unwrap()];
    let cancel = Cancel::new();
    let report = engine::transcode(&footage(&sources), &plan, scratch.path(), 2, &mut |_| {}, &cancel).unwrap();
    let Content::Hls(hls) = &plan.outputs[0].content else {
        panic!("no stream")
    };
    let size = |rung: &domain::plan::Rung| {
        let size = rung.video.size();
        (rung.short_side_px, size.width_px as usize, size.height_px as usize)
    };
    Stream {
        folder: scratch.path().join("hls"),
        report,
        rungs: hls.rungs.iter().map(size).collect(),
        _scratch: scratch,
    }
}

impl Stream {
    /// The number in every picture of a rung, in the order of showing.
    fn numbers(&self, rung: usize) -> Vec<usize> {
        let (_, width, height) = self.rungs[rung];
        let map = format!("0:v:{rung}");
        let arguments = [
            "-map",
            &map,
            "-vsync",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
        ];
        let raw = decoded(&self.folder.join("master.m3u8"), &arguments);
        let pictures = raw.chunks(width * height * 3 / 2);
        pictures.map(|picture| number_of(picture, width, height)).collect()
    }
}

#[test]
fn every_rung_shows_every_picture_once_across_the_borders_of_segments() {
    let source = numbered("numbered.mp4", CODED);
    for single_file in [false, true] {
        let wish = format!(r#""ladder":[64,32],"segment_ms":1500,"single_file":{single_file},"video":{{"crf":8}}"#);
        let stream = stream(&source, &wish);
        let all: Vec<_> = (0..240).collect();
        assert_eq!(
            (stream.numbers(0), stream.numbers(1)),
            (all.clone(), all),
            "{single_file}"
        );
        assert_eq!(stream.report.outputs[0].frames, 240);
    }
}
