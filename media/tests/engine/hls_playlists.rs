//! The master and media playlists of HLS outputs.

use crate::clips::clip;
use crate::hls_player::{attribute_values, bitrates, checked, folder, process_hls, read_file, segment_durations_us};
use std::process::Command;

#[test]
fn the_master_playlist_matches_the_renditions() {
    let source = clip(
        "hls-source.mp4",
        "-f lavfi -i testsrc2=s=320x180:r=25:d=7 -f lavfi -i sine=d=7 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac",
    );
    let run = process_hls(&source, r#""ladder":[180,90],"segment_ms":2000"#);
    let master = read_file(&run, "master.m3u8");
    let audio = bitrates(&run, "audio");
    for (index, rendition) in ["90p", "180p"].iter().enumerate() {
        let video = bitrates(&run, rendition);
        assert_eq!(
            attribute_values(&master, ":BANDWIDTH=")[index],
            (video.peak_bps + audio.peak_bps).to_string()
        );
        assert_eq!(
            attribute_values(&master, "AVERAGE-BANDWIDTH=")[index],
            (video.average_bps + audio.average_bps).to_string()
        );
        let output = Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-select_streams",
                "v:0",
                "-show_entries",
                "stream=profile,level",
                "-of",
                "default=nw=1:nk=1",
            ])
            .arg(folder(&run).join(format!("{rendition}.m3u8")))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("High"));
        let level = lines.next().unwrap();
        let codecs = format!("avc1.6400{:02x},mp4a.40.2", level.parse::<u8>().unwrap());
        assert_eq!(attribute_values(&master, "CODECS=\"")[index], codecs);
    }
    assert_eq!(attribute_values(&master, "RESOLUTION="), ["160x90", "320x180"]);
    assert_eq!(attribute_values(&master, "FRAME-RATE="), ["25.000", "25.000"]);
    assert_eq!(
        segment_durations_us(&read_file(&run, "90p.m3u8")),
        [2_000_000, 2_000_000, 2_000_000, 1_000_000]
    );
}

#[test]
fn the_audio_group_has_its_language() {
    for (language, expected) in [("ger", "de"), ("eng", "en"), ("ast", "ast")] {
        let source = clip(
            &format!("hls-{language}.mp4"),
            &format!(
                "-f lavfi -i testsrc2=s=64x64:r=10:d=2 -f lavfi -i sine=d=2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac \
                 -metadata:s:a:0 language={language}"
            ),
        );
        let master = read_file(&process_hls(&source, r#""ladder":[64]"#), "master.m3u8");
        assert_eq!(attribute_values(&master, "LANGUAGE=\""), [expected], "{master}");
    }
}

#[test]
fn segments_of_a_fractional_frame_rate_are_aligned_and_within_the_target_duration() {
    let source = clip(
        "hls-ntsc.mp4",
        "-f lavfi -i testsrc2=s=64x64:r=30000/1001:d=7 -f lavfi -i sine=d=7 -c:v libx264 -preset ultrafast -c:a aac",
    );
    let run = process_hls(&source, r#""ladder":[64,48,32],"segment_ms":2000"#);
    assert_eq!(
        attribute_values(&read_file(&run, "master.m3u8"), "FRAME-RATE=")[0],
        "29.970"
    );
    for rendition in ["64p", "48p", "32p", "audio"] {
        let playlist = read_file(&run, &format!("{rendition}.m3u8"));
        assert_eq!(attribute_values(&playlist, "#EXT-X-TARGETDURATION:"), ["3"]);
        assert!(
            segment_durations_us(&playlist).iter().all(|us| *us <= 3_000_000),
            "{playlist}"
        );
        if rendition != "audio" {
            // 60 frames last 2.002 s, without drift.
            assert_eq!(segment_durations_us(&playlist)[..3], [2_002_000; 3], "{rendition}");
        }
    }
    assert!(checked(&run).aligned);
}

#[test]
fn the_ladder_of_a_portrait_uses_its_short_side_and_silent_video_has_no_audio_group() {
    let source = clip(
        "hls-portrait.mp4",
        "-f lavfi -i testsrc2=s=90x160:r=10:d=2 -c:v libx264 -pix_fmt yuv420p",
    );
    let run = process_hls(&source, r#""ladder":[1080,60]"#);
    let master = read_file(&run, "master.m3u8");
    assert_eq!(attribute_values(&master, "RESOLUTION="), ["60x106", "90x160"]);
    assert!(folder(&run).join("90p.m3u8").exists() && folder(&run).join("60p.m3u8").exists());
    assert_eq!(attribute_values(&master, "CLOSED-CAPTIONS="), ["NONE", "NONE"]);
    assert!(!master.contains("AUDIO") && !master.contains("mp4a"), "{master}");
    assert!(!folder(&run).join("audio.m3u8").exists());
    assert_eq!(checked(&run).audio, None);
}
