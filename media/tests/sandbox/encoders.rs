//! Encoders behind the closed door, without an engine around them.

use crate::attempts::LIMITS;
use ffmpeg_next::codec::{self, encoder, threading};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Packet, Rational};
use media::sandbox;
use std::path::Path;
use std::process::ExitCode;

pub(crate) const NAMES: [&str; 4] = ["libx264", "libx265", "libvpx-vp9", "libsvtav1"];

const PICTURES: i64 = 30;

/// Locks itself in and lets each encoder make a few pictures.
pub(crate) fn run() -> ExitCode {
    sandbox::cut_loose().unwrap();
    let status = sandbox::enter(Path::new("/tmp"), &LIMITS).unwrap();
    assert!(status.is_full());
    ffmpeg_next::init().unwrap();
    for name in NAMES {
        println!("{name}: {} pictures", encode(name));
    }
    ExitCode::SUCCESS
}

/// How many packets come out.
fn encode(name: &str) -> usize {
    let codec = encoder::find_by_name(name).unwrap();
    let mut video = codec::Context::new_with_codec(codec).encoder().video().unwrap();
    video.set_width(640);
    video.set_height(360);
    video.set_format(Pixel::YUV420P);
    video.set_time_base(Rational(1, 25));
    video.set_threading(threading::Config::count(4));
    let mut encoder = video.open_as(codec).unwrap();
    let mut packets = 0;
    for number in 0..PICTURES {
        let mut picture = Video::new(Pixel::YUV420P, 640, 360);
        let shade = u8::try_from(number * 8).unwrap();
        (0..3).for_each(|plane| picture.data_mut(plane).fill(shade));
        picture.set_pts(Some(number));
        encoder.send_frame(&picture).unwrap();
        packets += receive(&mut encoder);
    }
    encoder.send_eof().unwrap();
    packets + receive(&mut encoder)
}

fn receive(encoder: &mut encoder::Video) -> usize {
    let mut packet = Packet::empty();
    std::iter::from_fn(|| encoder.receive_packet(&mut packet).ok()).count()
}
