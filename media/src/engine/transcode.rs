//! Executes a plan: opens the source, measures loudness if the plan asks for it, renders all outputs and reports what
//! was lost.
//!
//! *Threads.* One thread reads and decodes the source, every output has a thread of its own, and the calling thread
//! reports progress until all of them have ended. The reader and the outputs are connected by the [`FanOut`].
//!
//! *Errors.* The first error of an output or of the reader sets the flag `halt`, and the other threads stop with
//! [`Code::Unavailable`]. The result is the error that was not caused by that flag.

use crate::engine::audio::limiter::Gain;
use crate::engine::audio::loudness;
use crate::engine::audio::params::AudioParams;
use crate::engine::cancel::Cancel;
use crate::engine::context::{OutputContext, SourceFacts, TranscodeContext};
use crate::engine::decode::reader::Reader;
use crate::engine::decode::source_loss::SourceLoss;
use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::decode::timeline_reader::TimelineReader;
use crate::engine::error::{self, unsupported_output};
use crate::engine::fanout::channel::MediaReceiver;
use crate::engine::fanout::{FanOut, OutputQueue};
use crate::engine::output::audio_file::{self, AudioFileSpec};
use crate::engine::output::gif::{self, GifSpec};
use crate::engine::output::movie::{self, MovieSpec};
use crate::engine::output::poster::{self, PosterSpec};
use crate::engine::output::remux::{self, RemuxSpec};
use crate::engine::output::{hls, sprite};
use crate::engine::progress::{OutputProgress, ProgressReporter};
use crate::engine::resource_usage::ResourceUsage;
use crate::engine::video::scaled_frames::CascadePlan;
use domain::plan::{AudioTrack, Content, Movie, PlannedOutput, VideoTrack, Warning, WarningCode};
use domain::probe::Size;
use domain::protocol::{OutputReport, Progress, TranscodeReport};
use domain::{Code, Failure, Timecode};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Renders all outputs of the plan.
pub(crate) fn run(
    context: &TranscodeContext<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<TranscodeReport, Failure> {
    let usage = ResourceUsage::start();
    let mut timeline = TimelineReader::open(context)?;
    let (mut reporter, progresses) = ProgressReporter::new(context.plan, progress);
    let facts = source_facts(timeline.reader());
    let gain = loudness::measure_gain(context, facts.audio, &mut reporter)?;
    let setup = OutputSetup {
        progresses,
        facts,
        gain,
    };
    let (outputs, loss) = run_threads(context, &mut timeline, &mut reporter, &setup)?;
    reporter.finish();
    let mut warnings = warnings(loss, &outputs);
    if loss.headers_changed && context.plan.copies() {
        let detail = "parameter sets or sizes in the packets are not those of the container";
        warnings.push(Warning::new(WarningCode::HeadersChange, detail));
    }
    if loss.transparent {
        warnings.push(Warning::new(
            WarningCode::AlphaFlattened,
            "transparent areas were composited over black",
        ));
    }
    Ok(TranscodeReport {
        source_audio_gap_us: loss.audio_gap_us,
        has_variable_frame_rate: loss.has_variable_frame_rate,
        ..usage.report(outputs, warnings)
    })
}

/// Values that every output is opened with.
struct OutputSetup {
    /// Progress of each output, in their order.
    progresses: Vec<OutputProgress>,
    facts: SourceFacts,
    gain: Option<Gain>,
}

/// Starts one thread per output and one that reads the source, and reports progress on the calling thread until all
/// have ended.
fn run_threads(
    context: &TranscodeContext<'_>,
    timeline: &mut TimelineReader<'_>,
    reporter: &mut ProgressReporter<'_>,
    setup: &OutputSetup,
) -> Result<(Vec<OutputReport>, SourceLoss), Failure> {
    let TranscodeContext {
        plan,
        images,
        scratch,
        threads,
        cancel,
        ..
    } = *context;
    let (facts, gain) = (setup.facts, setup.gain);
    reporter.report();
    let halt = &Cancel::new();
    let (stages, reader_stage) = (&reporter.stages().clone(), reporter.reader_stage().clone());
    let (outputs, read) = thread::scope(|scope| {
        let (end_sender, ended) = sync_channel::<()>(plan.outputs.len() + 1);
        let (mut queues, mut output_threads) = (Vec::new(), Vec::new());
        for (planned, progress) in plan.outputs.iter().zip(&setup.progresses) {
            let (queue, receiver) = OutputQueue::new(planned, facts.frame_bytes, progress, &reader_stage);
            let end_sender = end_sender.clone();
            let context = OutputContext {
                plan,
                images,
                scratch,
                threads,
                progress,
                stages,
                gain,
                copy_source: timeline.reader().copy_source(),
                facts,
                cancel,
                halt,
            };
            queues.push(queue);
            let output_thread = thread::Builder::new().spawn_scoped(scope, move || {
                let output = run_output(&context, planned, receiver);
                let _ = end_sender.send(());
                output
            });
            output_threads.push(output_thread);
        }
        let coded = facts.video.map_or(Size::default(), |(size, _)| size);
        let cascade_plan = CascadePlan::new(&plan.outputs, coded, threads);
        let fan_out = FanOut::new(queues, reader_stage, halt.clone(), cascade_plan);
        let reader = thread::Builder::new().spawn_scoped(scope, move || {
            let read = read(timeline, fan_out, halt);
            let _ = end_sender.send(());
            read
        });
        wait_for_all(&ended, output_threads.len() + 1, reporter);
        let outputs = output_threads.into_iter().map(error::join);
        (outputs.collect::<Vec<_>>(), error::join(reader))
    });
    let outputs = collect(outputs, cancel);
    let loss = loss_or_first_cause(&outputs, read)?;
    Ok((outputs?, loss))
}

/// Renders an output; its stage is active until it ends.
fn run_output(
    context: &OutputContext<'_>,
    planned: &PlannedOutput,
    receiver: MediaReceiver,
) -> Result<OutputReport, Failure> {
    // A hang while the output opens its file and encoders counts as well.
    context.progress.stage().set_active();
    let output = render(context, planned, &receiver);
    // The reader must see a failed output before this thread is joined, or it would wait for a full channel.
    drop(receiver);
    context.progress.stage().set_idle();
    output
}

/// Reads all parts. Returning drops the fan-out and closes the channels, which ends the outputs.
fn read(timeline: &mut TimelineReader<'_>, mut fan_out: FanOut, halt: &Cancel) -> Result<SourceLoss, Failure> {
    let read = timeline.run(&mut fan_out);
    if read.is_err() {
        halt.raise();
    }
    fan_out.mark_reader_idle();
    read
}

/// Renders an output by its kind, on the thread of the output.
fn render(
    context: &OutputContext<'_>,
    planned: &PlannedOutput,
    receiver: &MediaReceiver,
) -> Result<OutputReport, Failure> {
    if let Some(spec) = RemuxSpec::of(&planned.content) {
        return remux::run(context, &planned.file, &spec, receiver);
    }
    match &planned.content {
        Content::Movie(Movie {
            container,
            video: VideoTrack::Encode(video),
            audio,
        }) => {
            let spec = MovieSpec {
                video,
                audio: *audio,
                boundaries: None,
            };
            movie::run(context, &planned.file, (*container).into(), &spec, receiver)
        }
        Content::Hls(spec) => hls::run(context, &planned.file, spec, receiver),
        Content::Audio {
            format,
            audio: AudioTrack::Encode { bitrate_bps, .. },
        } => {
            let spec = AudioFileSpec {
                format: *format,
                bitrate_bps: *bitrate_bps,
            };
            audio_file::run(context, &planned.file, &spec, receiver)
        }
        _ => render_images(context, planned, receiver),
    }
}

/// Renders an output that samples frames: a poster, sprite or animation.
fn render_images(
    context: &OutputContext<'_>,
    planned: &PlannedOutput,
    receiver: &MediaReceiver,
) -> Result<OutputReport, Failure> {
    match &planned.content {
        Content::Poster { layout, format, .. } => {
            let spec = PosterSpec {
                layout,
                format: *format,
            };
            poster::run(context, &planned.file, &spec, receiver)
        }
        Content::Gif {
            layout,
            fps,
            start_us,
            end_us,
        } => {
            let spec = GifSpec {
                layout,
                fps: *fps,
                start_us: *start_us,
                duration_us: end_us.saturating_sub(*start_us),
            };
            gif::run(context, &planned.file, &spec, receiver)
        }
        Content::Sprite { layout, every_us, .. } => {
            let spec = sprite::SpriteSpec {
                layout,
                interval_us: *every_us,
            };
            sprite::run(context, &planned.file, &spec, receiver)
        }
        content => Err(unsupported_output(content.kind())),
    }
}

/// Waits until `threads` threads have ended, or all of those that were started, and reports progress every half second.
fn wait_for_all(ended: &Receiver<()>, mut threads: usize, reporter: &mut ProgressReporter<'_>) {
    while threads > 0 {
        match ended.recv_timeout(Duration::from_millis(500)) {
            Ok(()) => threads -= 1,
            Err(RecvTimeoutError::Timeout) => reporter.report(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Returns all outputs, or the failure that was not caused by another one.
fn collect(outputs: Vec<Result<OutputReport, Failure>>, cancel: &Cancel) -> Result<Vec<OutputReport>, Failure> {
    cancel.check()?;
    let (outputs, failures): (Vec<_>, Vec<_>) = outputs.into_iter().partition(Result::is_ok);
    let mut failures: Vec<_> = failures.into_iter().filter_map(Result::err).collect();
    // `Unavailable` is the failure of outputs that were stopped by `halt`: they come last.
    failures.sort_by_key(|failure| failure.code == Code::Unavailable);
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => Ok(outputs.into_iter().filter_map(Result::ok).collect()),
    }
}

/// Returns what the source has lost; else the failure of the reader, unless an output failed for a reason of its own.
fn loss_or_first_cause(
    outputs: &Result<Vec<OutputReport>, Failure>,
    read: Result<SourceLoss, Failure>,
) -> Result<SourceLoss, Failure> {
    match (outputs, read) {
        (Err(failure), _) if failure.code != Code::Unavailable => Err(failure.clone()),
        (_, read) => read,
    }
}

fn source_facts(reader: &Reader) -> SourceFacts {
    let (video, audio) = reader.decoders();
    let size = |decoder: &StreamDecoder| Size {
        width_px: decoder.facts.width_px,
        height_px: decoder.facts.height_px,
    };
    SourceFacts {
        video: video.map(|decoder| (size(decoder), decoder.facts.color)),
        frame_bytes: video.map_or(0, |decoder| decoder.facts.frame_bytes()),
        audio: audio.map(|decoder| AudioParams::for_output(decoder.facts.sample_rate_hz, decoder.facts.channels)),
    }
}

fn warnings(loss: SourceLoss, outputs: &[OutputReport]) -> Vec<Warning> {
    let damage = loss
        .description()
        .map(|detail| Warning::new(WarningCode::SourceDamaged, detail));
    let unread = (loss.unread_bytes > 0).then(|| {
        let detail = format!("the last {} bytes of the file were not read", loss.unread_bytes);
        Warning::new(WarningCode::SourceDamaged, detail)
    });
    let audio_gap = (loss.audio_gap_us > 0).then(|| {
        let (ms, at) = (loss.audio_gap_us / 1_000, Timecode::from_us(loss.first_audio_gap_us));
        let detail = format!("the source: {ms} ms of audio missing, first at source time {at}");
        Warning::new(WarningCode::SoundShortened, detail)
    });
    let lost_audio = outputs
        .iter()
        .filter_map(|output| Some((&output.file, output.lost_audio?)));
    let lost_audio = lost_audio.map(|(file, lost)| {
        let (ms, at) = (lost.length_us / 1_000, Timecode::from_us(lost.at_us));
        Warning::new(
            WarningCode::SoundShortened,
            format!("{file}: {ms} ms of audio missing, first at output time {at}"),
        )
    });
    // All movies of a plan have the same frame rate, so they drop the same frames.
    let dropped = outputs.iter().find_map(|output| output.dropped).map(|dropped| {
        let (frames, at) = (dropped.frames, Timecode::from_us(dropped.at_us));
        Warning::new(
            WarningCode::FramesDropped,
            format!("{frames} frames, first at output time {at}"),
        )
    });
    damage
        .into_iter()
        .chain(unread)
        .chain(audio_gap)
        .chain(lost_audio)
        .chain(dropped)
        .collect()
}
