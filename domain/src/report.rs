//! The report of an attempt: what was done with a source and at what cost, with reasons that users see.
//!
//! The worker collects a [`TaskReport`] during the attempt. Nothing edits it afterwards: it is stored with the task as
//! JSON, and clients see it as it was stored.
//!
//! *Invariants.* A failed attempt has a report of what was known until then, and reports of earlier versions stay in
//! the database. Therefore every field may be absent, an absent field is never `null`, and unknown fields are ignored.

use crate::plan::{Content, Cost, Step, Warning};
use crate::protocol::{SandboxStatus, VerifyDepth};
use crate::task::TaskId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The report of an attempt: what was done per output, with warnings and cost. Of a failed attempt it has the fields
/// that were known when it failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskReport {
    /// The outputs, in the order of the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub outputs: Option<Vec<ReportedOutput>>,
    /// The files in the bucket of the customer, one entry for each output.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub destination: Option<Vec<WrittenOutput>>,
    /// Facts that a user should know but that did not stop the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub warnings: Option<Vec<Warning>>,
    /// The earlier task that has the same outputs. They were shared and not made again; the other fields are those of
    /// that task.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reused_from: Option<TaskId>,
    /// The duration of each phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub timings: Option<Timings>,
    /// The cost that was predicted from the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub predicted: Option<PredictedCost>,
    /// CPU time in milliseconds that the media engine took to make the outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cpu_ms: Option<u64>,
    /// Wall time in milliseconds that the media engine took to make the outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub wall_ms: Option<u64>,
    /// Peak resident memory of the media engine in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub peak_memory_bytes: Option<u64>,
    /// Size of the source and of all clips in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub bytes_in: Option<u64>,
    /// Size of all outputs in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub bytes_out: Option<u64>,
    /// Duration of the longest output in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub media_ms: Option<u64>,
    /// Seconds of media per second of `wall_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub speed: Option<f64>,
    /// The version of FFmpeg's libavcodec.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "libavcodec 62.11.100")]
    pub ffmpeg: Option<String>,
    /// The restrictions of the process that made the outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sandbox: Option<SandboxStatus>,
    /// The part of each output that was decoded to verify it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub verified: Option<VerifyDepth>,
}

/// An output of a successful attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportedOutput {
    /// The file name, or the name of a set of files.
    #[schema(example = "video.mp4")]
    pub name: String,
    /// The `kind` of the recipe.
    #[schema(example = "mp4")]
    pub kind: String,
    /// The streams that were copied or encoded, with the reasons.
    pub steps: Vec<Step>,
    /// The settings of the output, as in the plan.
    #[schema(value_type = Object)]
    pub encoder: Content,
    /// Number of frames; of an adaptive output, in each rendition; of a sprite, the number of stills.
    pub frames: u64,
    /// Duration in milliseconds; 0 for stills.
    pub duration_ms: u64,
    /// Start of the copied packets in milliseconds of the source, at or before the requested start; null unless a fast
    /// trim copied the video.
    pub packets_from_ms: Option<u64>,
    /// Size in bytes; of a set, the sum of all files.
    pub bytes: u64,
}

/// An output in the bucket of the customer. Each file was read again after it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WrittenOutput {
    /// The name of the output.
    #[schema(example = "video.mp4")]
    pub output: String,
    /// The file; of a set, its entry file.
    #[schema(example = "s3://media/videos/7/video.mp4")]
    pub url: String,
    /// The number of files.
    pub files: u64,
    /// The size of all files.
    pub bytes: u64,
    /// The hexadecimal SHA-256 of the file at `url`, as it was read from there.
    pub sha256: String,
}

/// The duration of each phase of an attempt in milliseconds. A phase that ran twice has the sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Timings {
    /// Fetching source, clips and images from the storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub fetch_ms: Option<u64>,
    /// Starting the media engine and probing all sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub probe_ms: Option<u64>,
    /// Making the outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub transcode_ms: Option<u64>,
    /// Verifying the outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub verify_ms: Option<u64>,
    /// Storing the outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub store_ms: Option<u64>,
}

/// The predicted cost of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PredictedCost {
    /// The class of work: finished tasks of this class correct the estimates of later ones.
    #[schema(example = "h264-balanced+mp4")]
    pub class: String,
    /// CPU seconds.
    pub cpu_s: f64,
    /// Wall time of the transcode in seconds.
    pub wall_s: f64,
    /// Total size of the outputs in bytes.
    pub bytes: f64,
}

impl PredictedCost {
    /// Creates the prediction for a task of a class.
    #[must_use]
    pub fn new(class: &str, cost: Cost) -> Self {
        Self {
            class: class.to_owned(),
            cpu_s: cost.cpu_s,
            wall_s: cost.wall_s,
            bytes: cost.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::StreamAction;
    use serde_json::{Value, json};

    /// A stored report of a task with one copied audio file.
    fn stored() -> Value {
        json!({
            "bytes_in": 400_000, "bytes_out": 399_000, "cpu_ms": 21, "ffmpeg": "libavcodec 62.11.100", "media_ms": 20_000,
            "outputs": [{
                "bytes": 399_000, "duration_ms": 20_000, "encoder": { "audio": { "audio": { "copy": { "codec": "aac" } }, "format": "m4a" } },
                "frames": 0, "kind": "audio", "name": "audio.m4a", "packets_from_ms": null,
                "steps": [{ "done": "copy", "reason": "it is already what was asked", "stream": "audio" }]
            }],
            "peak_memory_bytes": 31_000_000, "predicted": { "bytes": 320_000.0, "class": "m4a+audio", "cpu_s": 0.16, "wall_s": 0.13 },
            "reused_from": 7, "sandbox": { "landlock": true, "seccomp": true }, "speed": 952.38,
            "timings": { "fetch_ms": 1, "probe_ms": 40, "store_ms": 3, "transcode_ms": 30, "verify_ms": 20 },
            "verified": "fast", "wall_ms": 21, "warnings": [{ "code": "streams_dropped", "detail": "video #0 (h264)" }]
        })
    }

    #[test]
    fn a_report_keeps_every_stored_field() {
        let report: TaskReport = serde_json::from_value(stored()).unwrap();
        assert_eq!(report.outputs.as_ref().unwrap()[0].steps[0].action, StreamAction::Copy);
        let text = serde_json::to_value(&report).unwrap().to_string();
        assert_eq!(text, stored().to_string());
    }

    #[test]
    fn a_report_without_known_fields_is_an_empty_object() {
        assert_eq!(serde_json::to_value(TaskReport::default()).unwrap(), json!({}));
        let unfinished = TaskReport {
            timings: Some(Timings::default()),
            ..TaskReport::default()
        };
        assert_eq!(serde_json::to_value(unfinished).unwrap(), json!({ "timings": {} }));
    }

    #[test]
    fn absent_and_unknown_fields_of_a_report_are_accepted() {
        let report = json!({ "cpu_ms": 5, "log": ["a line"], "timings": { "wait_ms": 3, "probe_ms": 4 } });
        let expected = TaskReport {
            cpu_ms: Some(5),
            timings: Some(Timings {
                probe_ms: Some(4),
                ..Timings::default()
            }),
            ..TaskReport::default()
        };
        assert_eq!(serde_json::from_value::<TaskReport>(report).unwrap(), expected);
    }
}
