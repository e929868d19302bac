//! Limits of streams, channels and sample rates: sources are accepted or refused with a code, at little cost.

use crate::clips::{clip, temp_file};
use crate::harness::{probe, process, recipe};
use domain::Code;
use domain::plan::WarningCode;
use std::path::PathBuf;

/// One second of video.
const VIDEO: &str = "-f lavfi -i testsrc2=s=160x90:r=25:d=1";

#[test]
fn a_thousand_video_streams_are_refused() {
    let maps = "-map 0:v ".repeat(1_000);
    let copies = clip(
        "thousand.mp4",
        &format!("{VIDEO} {maps} -frames:v 1 -c:v mjpeg -s 16x16 -threads 1"),
    );
    let failure = probe(&copies).unwrap_err();
    assert_eq!(failure.code, Code::TooManyStreams, "{failure}");
    assert!(failure.detail.contains("1000"), "{failure}");
}

/// One second of video and audio, with this number of subtitle streams and attached fonts.
fn with_others(extension: &str, subtitles: usize, fonts: usize) -> PathBuf {
    let folder = clip("seed.mkv", &format!("{VIDEO} -c:v libx264 -pix_fmt yuv420p"))
        .with_file_name(format!("others-{subtitles}-{fonts}-{extension}"));
    std::fs::create_dir_all(&folder).unwrap();
    let (words, font) = (folder.join("words.srt"), folder.join("font.ttf"));
    std::fs::write(&words, "1\n00:00:00,000 --> 00:00:01,000\nwords\n").unwrap();
    std::fs::write(&font, "a font").unwrap();
    let maps = "-map 2:s ".repeat(subtitles);
    let attached = format!("-attach {} ", font.display()).repeat(fonts);
    let text = if extension == "mp4" { "mov_text" } else { "srt" };
    let words = words.display();
    clip(
        &format!("others-{subtitles}-{fonts}.{extension}"),
        &format!(
            "{VIDEO} -f lavfi -i sine=d=1 -i {words} -map 0:v -map 1:a {maps} {attached} -metadata:s:t mimetype=font/ttf \
             -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -c:s {text}"
        ),
    )
}

#[test]
fn subtitles_and_attachments_do_not_count_as_audio_or_video() {
    // More than the limit of audio and video streams, and up to the limit of others.
    for (extension, subtitles, fonts) in [("mkv", 2, 20), ("mkv", 40, 0), ("mp4", 20, 0), ("mkv", 226, 30)] {
        let source = with_others(extension, subtitles, fonts);
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        let context = format!("{extension}, {subtitles}, {fonts}");
        assert_eq!(run.probe.streams.len(), 2 + subtitles + fonts, "{context}");
        assert_eq!(run.output(0).2.probe.streams.len(), 2, "{context}");
        let mut warnings = run.plan.warnings.iter();
        let dropped = warnings.find(|warning| warning.code == WarningCode::StreamsDropped);
        assert!(dropped.unwrap().detail.contains("more"), "{context}: {dropped:?}");
    }
}

#[test]
fn other_streams_have_their_own_limit() {
    for (extension, subtitles, fonts) in [
        ("mkv", 257, 0),
        ("mkv", 226, 31),
        ("mp4", 257, 0),
        ("mkv", 990, 0),
        ("mp4", 990, 0),
    ] {
        let failure = probe(&with_others(extension, subtitles, fonts)).unwrap_err();
        assert_eq!(failure.code, Code::TooManyStreams, "{extension}: {failure}");
        let others = subtitles + fonts;
        let detail = format!("{others} streams of other kinds; accepted: at most 256");
        assert_eq!(failure.detail, detail, "{extension}");
    }
    // Up to the number of streams that FFmpeg opens.
    for tracks in [257, 1_000, 10_000] {
        let (_folder, path) = temp_file("many-streams.mkv", &matroska_with(tracks));
        let failure = probe(&path).unwrap_err();
        assert_eq!(failure.code, Code::TooManyStreams, "{failure}");
        assert!(failure.detail.starts_with(&tracks.to_string()), "{failure}");
    }
}

/// A Matroska file with this number of subtitle tracks, 27 bytes each (RFC 9559).
fn matroska_with(tracks: u16) -> Vec<u8> {
    let mut entries = Vec::new();
    for number in 1..=tracks {
        let [high, low] = number.to_be_bytes();
        entries.extend([0xae, 0x80 | 25, 0xd7, 0x82, high, low, 0x73, 0xc5, 0x82, high, low]);
        entries.extend([0x83, 0x81, 0x11, 0x86, 0x8b]);
        entries.extend(b"S_TEXT/UTF8");
    }
    let mut bytes = vec![0x1a, 0x45, 0xdf, 0xa3, 0x8b, 0x42, 0x82, 0x88];
    bytes.extend(b"matroska");
    // A segment of unknown size, and `Tracks`.
    bytes.extend([0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    bytes.extend([0x16, 0x54, 0xae, 0x6b, 0x01]);
    bytes.extend(&(entries.len() as u64).to_be_bytes()[1..]);
    bytes.extend(entries);
    // A cluster without blocks.
    bytes.extend([0x1f, 0x43, 0xb6, 0x75, 0x83, 0xe7, 0x81, 0]);
    bytes
}

/// An MP4 with 12,000 copies of its only track.
fn mp4_with_many_tracks() -> Vec<u8> {
    let source = clip(
        "many-streams-seed.mp4",
        "-f lavfi -i color=red:s=16x16:d=0.1 -c:v mjpeg -movflags +faststart",
    );
    let bytes = std::fs::read(source).unwrap();
    let at = |name: &[u8]| bytes.windows(4).position(|window| window == name).unwrap() - 4;
    let size = |from: usize| u32::from_be_bytes(bytes[from..from + 4].try_into().unwrap());
    let (moov, track) = (at(b"moov"), at(b"trak"));
    let length = size(track);
    let copies = bytes[track..track + length as usize].repeat(11_999);
    let mut output = bytes.clone();
    output.splice(moov..moov + 4, (size(moov) + length * 11_999).to_be_bytes());
    output.splice(track..track, copies);
    output
}

#[test]
fn files_with_more_streams_than_ffmpeg_opens_report_their_number() {
    for (name, bytes) in [
        ("many-streams.mkv", matroska_with(12_000)),
        ("many-streams.mp4", mp4_with_many_tracks()),
    ] {
        let (_folder, path) = temp_file(name, &bytes);
        let failure = probe(&path).unwrap_err();
        assert_eq!(failure.code, Code::TooManyStreams, "{name}: {failure}");
        assert!(failure.detail.contains("12000"), "{name}: {failure}");
    }
}

#[test]
fn dts_truehd_mlp_and_latm_are_decoded() {
    for (name, encoding) in [
        ("decoded-dts.mkv", "-c:a dca -strict -2"),
        ("decoded-truehd.mkv", "-c:a truehd -strict -2 -ac 2"),
        ("decoded-mlp.mkv", "-c:a mlp -strict -2 -ac 2"),
        ("decoded-latm.ts", "-c:a aac -mpegts_flags latm"),
    ] {
        let source = clip(
            name,
            &format!("{VIDEO} -f lavfi -i sine=d=1:r=48000 -c:v libx264 -preset ultrafast {encoding}"),
        );
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        let audio_peak = run
            .samples(0)
            .iter()
            .fold(0.0_f32, |loud, sample| loud.max(sample.abs()));
        assert!(audio_peak > 0.05, "{name}: {audio_peak}");
    }
}

#[test]
fn more_than_eight_channels_are_refused_or_dropped_beside_video() {
    let split = "asplit=9[a][b][c][d][e][f][g][h][i];[a][b][c][d][e][f][g][h][i]amerge=9";
    let audio = clip("nine.wav", &format!("-f lavfi -i sine=d=1 -filter_complex {split}"));
    let failure = probe(&audio).unwrap_err();
    assert_eq!(failure.code, Code::CodecUnsupported, "{failure}");
    let video = clip(
        "nine.mov",
        &format!("{VIDEO} -i {} -c:v libx264 -c:a pcm_s16le", audio.display()),
    );
    let run = process(&video, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
    let is_reported = run
        .plan
        .warnings
        .iter()
        .any(|warning| warning.code == WarningCode::AudioUndecodable);
    assert!(is_reported, "{:?}", run.plan.warnings);
}

/// A WAV file with this header and 10,000 bytes of noise.
fn wav(channels: u16, rate: u32, align: u16, bits: u16) -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0".to_vec();
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(align.into()).to_le_bytes());
    bytes.extend(align.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data\x10\x27\0\0");
    bytes.extend((0..10_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]));
    bytes
}

#[test]
fn absurd_audio_headers_use_no_memory() {
    let audio = recipe(r#"{"outputs":[{"kind":"audio"}]}"#);
    for (case, bytes) in [
        ("1 Hz", wav(1, 1, 1, 8)),
        ("10 Hz", wav(1, 10, 1, 8)),
        ("2 GHz", wav(1, i32::MAX.cast_unsigned(), 1, 8)),
        ("255 channels", wav(255, 8_000, 255, 8)),
        ("65535 channels", wav(u16::MAX, 8_000, u16::MAX, 8)),
    ] {
        let (_folder, path) = temp_file("absurd.wav", &bytes);
        let failure = process(&path, &audio).expect_err(case);
        assert_eq!(failure.code, Code::CodecUnsupported, "{case}: {failure}");
    }
    let (_folder, path) = temp_file("align.wav", &wav(1, 8_000, u16::MAX, 8));
    let run = process(&path, &audio).unwrap();
    assert_eq!(run.report.outputs[0].duration_us, 1_250_000);
    assert!(
        run.report.peak_memory_bytes < 512 << 20,
        "{}",
        run.report.peak_memory_bytes
    );
}
