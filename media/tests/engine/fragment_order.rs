//! Fragmented MP4 files whose fragments are in another order, or twice in the file.

use crate::clips::numbered;
use crate::gaps::{H264, loss_details, numbered_with_beeps, written};
use crate::harness::{Run, process, recipe};
use std::fs;
use std::path::Path;

const COPY: &str = r#"{"outputs":[{"kind":"mp4"}]}"#;
const ENCODE: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;

/// The parts of a fragmented file: its beginning, its fragments, and what is behind them.
fn parts(source: &Path) -> (Vec<u8>, Vec<Vec<u8>>, Vec<u8>) {
    let bytes = fs::read(source).unwrap();
    let boxes = |name: &[u8]| {
        let found = bytes.windows(4).enumerate();
        let found = found.filter(move |(_, window)| *window == name);
        found.map(|(at, _)| at - 4).collect::<Vec<_>>()
    };
    let starts = boxes(b"moof");
    let end = boxes(b"mfra").last().copied().unwrap_or(bytes.len());
    let ends = starts.iter().skip(1).copied().chain([end]);
    let fragments = starts.iter().zip(ends).map(|(from, to)| bytes[*from..to].to_vec());
    (bytes[..starts[0]].to_vec(), fragments.collect(), bytes[end..].to_vec())
}

/// Runs a recipe on a copy of a file with its fragments in this order.
fn process_in_order(source: &Path, order: &[usize], json: &str) -> Run {
    let (begin, fragments, end) = parts(source);
    let fragments: Vec<_> = order.iter().flat_map(|index| fragments[*index].clone()).collect();
    let path = written(source, &format!("order-{order:?}"), &[begin, fragments, end].concat());
    process(&path, &recipe(json)).unwrap()
}

#[test]
fn fragments_in_another_order_or_twice_are_played_in_order_and_once() {
    let swapped = [0, 2, 1, 3, 4, 5, 6, 7];
    let reversed = [7, 6, 5, 4, 3, 2, 1, 0];
    let twice = [0, 1, 1, 2, 3, 4, 5, 6, 7];
    let twice_apart = [0, 1, 2, 3, 4, 1, 5, 6, 7, 0];
    for flags in [
        "+frag_keyframe+empty_moov+default_base_moof",
        // Offsets from the start of the file.
        "+frag_keyframe+empty_moov",
        // With an index before the fragments.
        "+frag_keyframe+empty_moov+default_base_moof+global_sidx",
    ] {
        let source = numbered_with_beeps("order.mp4", &format!("{H264} -c:a aac -movflags {flags}"));
        let expected = process(&source, &recipe(ENCODE)).unwrap().frame_numbers(0);
        for order in [&swapped[..], &reversed, &twice, &twice_apart] {
            for json in [COPY, ENCODE] {
                let run = process_in_order(&source, order, json);
                let named = format!("{flags} {order:?} {json}");
                assert!(
                    run.probe.duration_us.abs_diff(8_000_000) < 100_000,
                    "{named}: {:?}",
                    run.probe
                );
                assert_eq!(loss_details(&run), [""; 0], "{named}");
                assert_eq!(run.frame_numbers(0), expected, "{named}");
                let beeps = run.beeps_ms(0);
                let misplaced = beeps.iter().filter(|ms| (**ms + 500) % 1_000 > 560);
                assert!(beeps.len() == 8 && misplaced.count() == 0, "{named}: {beeps:?}");
            }
        }
        let json = r#"{"trim":{"start":2.5,"end":3.5},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
        let expected = process(&source, &recipe(json)).unwrap().frame_numbers(0);
        let trimmed = process_in_order(&source, &swapped, json);
        assert_eq!(trimmed.frame_numbers(0), expected, "{flags}");
    }
}

#[test]
fn a_fragment_that_is_missing_among_reordered_ones_is_reported() {
    let flags = "+frag_keyframe+empty_moov+default_base_moof";
    let source = numbered_with_beeps("missing.mp4", &format!("{H264} -c:a aac -movflags {flags}"));
    let run = process_in_order(&source, &[0, 3, 1, 4, 5, 7, 6], ENCODE);
    let details = loss_details(&run);
    assert!(
        details.len() == 1 && details[0].contains("lost, first at source time 00:00:02.0"),
        "{details:?}"
    );
    assert!(run.frame_numbers(0)[150].abs_diff(150) <= 1);
}

#[test]
fn fragments_whose_order_is_not_known_are_reported() {
    let flags = "+frag_keyframe+empty_moov+default_base_moof";
    let one = numbered("one.mp4", &format!("{H264} -t 4 -movflags {flags}"));
    let other = numbered("other.mp4", &format!("{H264} -t 4 -vf hflip -movflags {flags}"));
    let ((begin, mine, _), (_, theirs, _)) = (parts(&one), parts(&other));
    let mixed = [begin, mine[..3].concat(), theirs[1..].concat()].concat();
    let run = process(&written(&one, "mixed", &mixed), &recipe(ENCODE)).unwrap();
    let details = loss_details(&run);
    assert!(
        details.iter().any(|detail| detail.contains("not in order")),
        "{details:?}"
    );
}

#[test]
fn a_recording_whose_encoder_was_restarted_is_reported() {
    let flags = "+frag_keyframe+empty_moov+default_base_moof";
    let one = numbered("before.mp4", &format!("{H264} -t 4 -movflags {flags}"));
    let other = numbered("after.mp4", &format!("{H264} -ss 4 -t 4 -movflags {flags}"));
    let ((begin, mine, _), (_, theirs, _)) = (parts(&one), parts(&other));
    let restarted = [begin, mine.concat(), theirs.concat()].concat();
    let run = process(&written(&one, "restarted", &restarted), &recipe(ENCODE)).unwrap();
    let details = loss_details(&run);
    assert!(
        details.iter().any(|detail| detail.contains("not in order")),
        "{details:?}"
    );
    // The frames of the second part follow at their place; those of its first fragment are lost.
    let frames = run.frame_numbers(0);
    assert!(frames.len() == 240 && frames[239].abs_diff(239) <= 1, "{frames:?}");
}
