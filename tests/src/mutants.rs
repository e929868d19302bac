//! Damaged media files: flipped bits, overwritten, lost, repeated and foreign bytes, truncation, wrong box sizes. They
//! stand for broken transfers, disks and muxers, and for malicious files. A seed and a number determine a mutant.

use crate::clip::ffmpeg;
use crate::random::Random;
use crate::skip;
use std::path::{Path, PathBuf};

/// Boxes of MP4 and chunks of RIFF whose sizes are changed. The size of a box stands before its name, that of a chunk
/// after it.
const BOXES: [&[u8; 4]; 30] = [
    b"ftyp", b"moov", b"mvhd", b"trak", b"tkhd", b"edts", b"elst", b"mdia", b"mdhd", b"hdlr", b"minf", b"stbl",
    b"stsd", b"stts", b"ctts", b"stss", b"stsz", b"stsc", b"stco", b"avc1", b"avcC", b"hvcC", b"mp4a", b"esds",
    b"mdat", b"moof", b"traf", b"tfhd", b"trun", b"sidx",
];
const CHUNKS: [&[u8; 4]; 8] = [b"RIFF", b"LIST", b"avih", b"strh", b"strf", b"idx1", b"fmt ", b"data"];

/// Clips of up to two seconds in every supported container with common codecs: file name, `ffmpeg` options.
const CLIPS: [(&str, &str); 26] = [
    ("avc.mp4", "-c:v libx264 -g 10 -bf 2 -c:a aac -movflags +faststart"),
    ("avc-last.mov", "-c:v libx264 -g 1 -c:a pcm_s16le"),
    (
        "avc-fragments.mp4",
        "-c:v libx264 -g 10 -c:a aac -movflags frag_keyframe+empty_moov",
    ),
    (
        "hevc.mp4",
        "-c:v libx265 -preset ultrafast -x265-params log-level=error -pix_fmt yuv420p10le -c:a aac",
    ),
    ("prores.mov", "-c:v prores_ks -c:a pcm_s24le"),
    ("avc.mkv", "-c:v libx264 -g 10 -c:a flac"),
    ("vp8.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libvorbis"),
    (
        "vp9.webm",
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus",
    ),
    ("mpeg2.ts", "-c:v mpeg2video -c:a mp2"),
    ("avc.ts", "-c:v libx264 -g 10 -c:a ac3"),
    ("mpeg1.mpg", "-c:v mpeg1video -c:a mp2"),
    ("mpeg4.avi", "-c:v mpeg4 -bf 2 -c:a libmp3lame"),
    ("mjpeg.avi", "-c:v mjpeg -pix_fmt yuvj420p -c:a adpcm_ms"),
    ("flash.flv", "-c:v flv -c:a libmp3lame -ar 44100"),
    ("windows.wmv", "-c:v wmv2 -c:a wmav2"),
    ("theora.ogg", "-c:v libtheora -c:a libvorbis"),
    ("sound.mp3", "-vn -c:a libmp3lame"),
    ("animation.gif", "-an -c:v gif -r 10"),
    ("animation.apng", "-an -c:v apng -pix_fmt rgba -r 10"),
    ("mpeg2.mxf", "-c:v mpeg2video -pix_fmt yuv422p -c:a pcm_s16le"),
    (
        "camcorder.dv",
        "-s 720x576 -c:v dvvideo -pix_fmt yuv420p -ac 2 -c:a pcm_s16le -t 0.4",
    ),
    ("ffv1.mkv", "-c:v ffv1 -pix_fmt yuva444p -c:a flac"),
    ("cineform.mov", "-c:v cfhd -c:a pcm_s16le -t 0.4"),
    ("animation.mov", "-c:v qtrle -pix_fmt argb -c:a pcm_s16le -t 0.4"),
    ("lossless.avi", "-c:v utvideo -pix_fmt gbrp -c:a pcm_s16le -t 0.4"),
    (
        "hdtv.mxf",
        "-s 1280x720 -c:v dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p -c:a pcm_s24le -t 0.2",
    ),
];

/// The undamaged files from which mutants are made.
#[derive(Debug)]
pub struct Mutants {
    clips: Vec<(String, Vec<u8>)>,
    seed: u64,
}

/// A damaged file.
#[derive(Debug)]
pub struct Mutant {
    /// File name: the kinds of damage, the seed, the number and the original.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// A random number with which a test selects a recipe.
    pub choice: usize,
}

impl Mutants {
    /// Generates the clips in `folder` and adds the small ones of the collection beside the repository, if it exists.
    pub fn new(folder: &Path, seed: u64) -> Self {
        let picture = ["-f", "lavfi", "-i", "testsrc2=s=128x96:r=25:d=1.6"];
        let sound = ["-f", "lavfi", "-i", "sine=f=440:r=48000:d=1.6"];
        let generated = CLIPS.iter().map(|(name, codecs)| {
            let path = folder.join(name);
            let codecs: Vec<_> = codecs.split_whitespace().collect();
            ffmpeg(&[&picture[..], &sound[..], &codecs[..]].concat(), &path);
            path
        });
        let mut paths: Vec<_> = generated.collect();
        paths.extend(collection());
        let read = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        };
        Self {
            clips: paths.iter().map(read).collect(),
            seed,
        }
    }

    /// The number of undamaged files.
    pub fn clips(&self) -> usize {
        self.clips.len()
    }

    /// The mutant with this number.
    pub fn mutant(&self, number: u64) -> Mutant {
        let mut random = Random::new(self.seed.wrapping_mul(0x1_0000_0001).wrapping_add(number));
        random.next();
        let (name, clip) = random.one_of(&self.clips);
        let (mut bytes, mut name) = (clip.clone(), format!("{}-{number}-{name}", self.seed));
        for _ in 0..=random.below(3) {
            let kind = self.damage(&mut bytes, &mut random);
            name = format!("{kind}-{name}");
        }
        Mutant {
            name,
            bytes,
            choice: random.below(1 << 16),
        }
    }

    /// Damages the bytes once and returns the kind of damage.
    fn damage(&self, bytes: &mut Vec<u8>, random: &mut Random) -> &'static str {
        let at = random.below(bytes.len());
        let length = random.up_to(bytes.len() / 4).min(bytes.len() - at);
        let (_, other) = random.one_of(&self.clips);
        match random.below(9) {
            0 => {
                // In the whole file, or only in its first 2 KiB, where the headers are.
                let within = if random.below(2) == 0 {
                    bytes.len()
                } else {
                    bytes.len().min(2_048)
                };
                for _ in 0..random.up_to(256) {
                    let at = random.below(within);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << random.below(8);
                    }
                }
                "bits"
            }
            1 => {
                let with = *random.one_of(&[None, Some(0), Some(0xff), Some(0x80)]);
                for byte in &mut bytes[at..at + length] {
                    *byte = with.unwrap_or_else(|| random.byte());
                }
                "run"
            }
            2 => {
                bytes.truncate(at);
                "cut"
            }
            3 | 4 => {
                change_a_size(bytes, random);
                "size"
            }
            5 => {
                let length = random.up_to(4_096).min(bytes.len()).min(other.len());
                bytes[..length].copy_from_slice(&other[..length]);
                "header"
            }
            6 => {
                let range = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, range);
                "twice"
            }
            7 => {
                bytes.drain(at..at + length);
                "gap"
            }
            _ => {
                bytes.truncate(at);
                bytes.extend(&other[random.below(other.len())..]);
                "splice"
            }
        }
    }
}

/// Changes the size of a box or chunk. In files without any, changes four random bytes.
fn change_a_size(bytes: &mut [u8], random: &mut Random) {
    let is_box = |name: &[u8]| BOXES.iter().any(|known| known.as_slice() == name);
    let is_chunk = |name: &[u8]| CHUNKS.iter().any(|known| known.as_slice() == name);
    let names = bytes.windows(4).enumerate();
    let sizes = names.filter_map(|(at, name)| {
        let before = at.checked_sub(4).filter(|_| is_box(name));
        before.or_else(|| is_chunk(name).then_some(at + 4))
    });
    let mut offsets: Vec<_> = sizes.filter(|at| at + 4 <= bytes.len()).collect();
    if offsets.is_empty() {
        offsets.push(random.below(bytes.len().saturating_sub(4)));
    }
    let at = *random.one_of(&offsets);
    let Some(size) = bytes.get_mut(at..at + 4) else { return };
    let changed = match random.below(6) {
        0 => [0; 4],
        1 => [0xff; 4],
        2 => [0, 0, 0, random.byte()],
        3 => [0x7f, 0xff, 0xff, random.byte()],
        4 => [size[0], size[1], size[2], random.byte()],
        _ => [random.byte(), random.byte(), random.byte(), random.byte()],
    };
    size.copy_from_slice(&changed);
}

/// Recorded clips of less than 700 kB: small enough to process hundreds of mutants.
fn collection() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
    let Ok(entries) = std::fs::read_dir(folder) else {
        skip::recorded_clips("../shared/media");
        return Vec::new();
    };
    let small = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ending != "md") && path.metadata().is_ok_and(|file| file.len() < 700_000)
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(small).collect();
    paths.sort();
    paths
}
