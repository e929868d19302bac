//! MP4 files with edited boxes, for structures that the `ffmpeg` command line does not write (ISO/IEC 14496-12).

use crate::clips::{clip, clip_with, frame_number, numbered};
use crate::harness::{decode, process, recipe};
use domain::Code;
use domain::plan::{StreamAction, WarningCode};
use std::fs;
use std::path::{Path, PathBuf};

/// The path to the sample tables of the first track.
pub(crate) const STBL: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];

/// The bytes of an MP4 whose `moov` box is the last one, so that appending to it moves no sample.
pub(crate) struct Mp4(pub(crate) Vec<u8>);

impl Mp4 {
    pub(crate) fn read(path: &Path) -> Self {
        Self(fs::read(path).unwrap())
    }

    /// The offset of the first box with this name in `moov`.
    pub(crate) fn find(&self, name: &[u8; 4]) -> usize {
        let moov = self.0.windows(4).rposition(|window| window == b"moov").unwrap();
        moov + self.0[moov..].windows(4).position(|window| window == name).unwrap() - 4
    }

    /// Reads a 32-bit number.
    pub(crate) fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    /// Writes a 32-bit number.
    pub(crate) fn set(&mut self, at: usize, number: u32) {
        self.0[at..at + 4].copy_from_slice(&number.to_be_bytes());
    }

    /// The bytes of the first box with this name, with its header.
    fn get(&self, name: &[u8; 4]) -> Vec<u8> {
        let at = self.find(name);
        self.0[at..at + self.number(at) as usize].to_vec()
    }

    /// Appends bytes to the last of these nested boxes, and grows all of them.
    pub(crate) fn append(&mut self, within: &[&[u8; 4]], bytes: &[u8]) {
        let last = self.find(within.last().unwrap());
        let end = last + self.number(last) as usize;
        for name in within {
            let at = self.find(name);
            self.set(at, self.number(at) + u32::try_from(bytes.len()).unwrap());
        }
        self.0.splice(end..end, bytes.iter().copied());
    }

    /// Writes the file into a temporary directory.
    pub(crate) fn write(&self, name: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, &self.0).unwrap();
        (folder, path)
    }
}

/// Two clips in one track with two sample descriptions.
fn with_two_sample_descriptions() -> (tempfile::TempDir, PathBuf) {
    let [first, second] = [
        (
            "first.mp4",
            "-c:v libx264 -preset slow -bf 0 -crf 4 -sc_threshold 0 -pix_fmt yuv420p -t 2",
        ),
        (
            "second.mp4",
            "-c:v libx264 -profile:v baseline -crf 4 -sc_threshold 0 -pix_fmt yuv420p -t 2",
        ),
    ]
    .map(|(name, encoding)| numbered(name, encoding));
    let list = first.with_file_name("joined.txt");
    fs::write(&list, format!("file {}\nfile {}\n", first.display(), second.display())).unwrap();
    let list = list.to_str().unwrap();
    let joined = clip_with(
        "joined.mp4",
        &[
            "-f",
            "concat",
            "-safe",
            "0",
            "-auto_convert",
            "0",
            "-i",
            list,
            "-c",
            "copy",
        ],
    );
    let (mut file, second) = (Mp4::read(&joined), Mp4::read(&second));
    let within = |name| [&STBL[..], &[name]].concat();
    // Adds the sample description of the second clip. The second half of the samples becomes a chunk that uses it.
    let list = file.find(b"stsd");
    file.set(list + 12, 2);
    file.append(&within(b"stsd"), &second.get(b"avc1"));
    let (chunks, sizes, offsets) = (file.find(b"stsc"), file.find(b"stsz"), file.find(b"stco"));
    assert_eq!(
        (file.number(chunks + 12), file.number(offsets + 12)),
        (1, 1),
        "one chunk"
    );
    let half = file.number(chunks + 20) / 2;
    let half_bytes: u32 = (0..half)
        .map(|sample| file.number(sizes + 20 + 4 * sample as usize))
        .sum();
    let second_chunk = file.number(offsets + 16) + half_bytes;
    file.set(chunks + 12, 2);
    file.set(chunks + 20, half);
    file.set(offsets + 12, 2);
    file.append(&within(b"stco"), &second_chunk.to_be_bytes());
    file.append(&within(b"stsc"), &[2, half, 2].map(u32::to_be_bytes).concat());
    file.write("joined.mp4")
}

/// 60 numbered frames, the last of which has this duration in the sample table (`stts`) and in the durations of media,
/// track and movie.
pub(crate) fn with_last_frame(last_ms: u32) -> (tempfile::TempDir, PathBuf) {
    let mut file = Mp4::read(&numbered(
        "sixty.mp4",
        "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p -t 2",
    ));
    let times = file.find(b"stts");
    assert_eq!(
        (file.number(times + 12), file.number(times + 16)),
        (1, 60),
        "one length for all"
    );
    let each = file.number(times + 20);
    file.set(times + 12, 2);
    file.set(times + 16, 59);
    let last = last_ms * each * 30 / 1_000;
    file.append(
        &[&STBL[..], &[b"stts"]].concat(),
        &[1, last].map(u32::to_be_bytes).concat(),
    );
    let (media, track, whole) = (file.find(b"mdhd"), file.find(b"tkhd"), file.find(b"mvhd"));
    let length_ms = 59 * 1_000 / 30 + last_ms;
    file.set(media + 24, 59 * each + last);
    file.set(track + 28, length_ms);
    file.set(whole + 24, length_ms);
    let edits = file.find(b"elst");
    file.set(edits + 16, length_ms);
    file.write("last.mp4")
}

/// The numbers of frames of 64x64 that begin with the luma plane.
fn numbers<'a>(frames: impl Iterator<Item = &'a [u8]>) -> Vec<usize> {
    frames.map(|luma| frame_number(&luma[..64 * 64], 64, 64)).collect()
}

/// Encodes a box.
pub(crate) fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap();
    [&size.to_be_bytes()[..], name, content].concat()
}

#[test]
fn video_with_two_sample_descriptions_is_encoded() {
    let (_folder, source) = with_two_sample_descriptions();
    let reference = decode(&source, &["-f", "rawvideo", "-pix_fmt", "yuv420p"]);
    let expected: Vec<_> = (0..60).chain(0..60).collect();
    assert_eq!(
        numbers(reference.chunks(64 * 96)),
        expected,
        "the clip has other frames"
    );
    let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
    let step = &run.plan.outputs[0].steps[0];
    assert_eq!(
        (step.action, step.reason.as_str()),
        (StreamAction::Transcode, "its codec headers change within the stream")
    );
    assert_eq!(numbers(run.luma(0).0.iter().map(Vec::as_slice)), expected);
    assert!(run.report.warnings.is_empty(), "{:?}", run.report.warnings);
}

/// 10-bit PQ video and audio; with a Dolby Vision configuration of this profile and base layer compatibility id, if
/// any.
fn dolby_vision(configuration: Option<(u8, u8)>) -> (tempfile::TempDir, PathBuf) {
    let encoding = "-f lavfi -i testsrc2=s=128x72:r=25:d=1 -f lavfi -i sine=d=1 -c:v libx265 -preset ultrafast -tag:v hvc1 \
        -x265-params log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc -pix_fmt yuv420p10le -c:a aac";
    let mut file = Mp4::read(&clip("dolby-base.mp4", encoding));
    if let Some((profile, compatibility)) = configuration {
        // Level 1; RPU and base layer are present, an enhancement layer is not.
        let record = [1, 0, profile << 1, 1 << 3 | 0b101, compatibility << 4];
        let name = if profile > 7 { b"dvvC" } else { b"dvcC" };
        let head = [&32_u32.to_be_bytes()[..], name].concat();
        let within = [&STBL[..], &[b"stsd", b"hvc1"]].concat();
        file.append(&within, &[&head[..], &record, &[0; 19]].concat());
    }
    file.write("dolby.mp4")
}

#[test]
fn dolby_vision_uses_its_base_layer_or_is_refused_except_for_its_audio() {
    let movie = recipe(r#"{"outputs":[{"kind":"mp4"}]}"#);
    let (_folder, base) = dolby_vision(None);
    let base = process(&base, &movie).unwrap();
    assert_eq!(base.plan.warnings[0].code, WarningCode::PictureConverted);
    for (profile, compatibility) in [(7, 6), (8, 1), (8, 4), (8, 2)] {
        let (_folder, source) = dolby_vision(Some((profile, compatibility)));
        let run = process(&source, &movie).unwrap();
        assert_eq!(run.luma(0), base.luma(0), "profile {profile}.{compatibility}");
    }
    for (profile, compatibility) in [(5, 0), (10, 0), (20, 0)] {
        let (_folder, source) = dolby_vision(Some((profile, compatibility)));
        let failure = process(&source, &movie).unwrap_err();
        assert_eq!(failure.code, Code::CodecUnsupported, "profile {profile}");
        let audio = process(&source, &recipe(r#"{"outputs":[{"kind":"audio"}]}"#)).unwrap();
        assert!(audio.report.outputs[0].duration_us > 900_000, "profile {profile}");
    }
}
