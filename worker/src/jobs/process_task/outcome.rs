//! The outcome of an attempt.

use domain::plan::CostSample;
use domain::{Failure, TaskId};
use entity::task;
use entity::trace::AttemptRecord;

/// The outcome of an attempt, which decides how its task goes on.
pub(crate) enum Outcome {
    /// All outputs are verified and stored.
    Rendered(Box<Rendered>),
    /// The outputs of an earlier task with the same fingerprint were shared. Its row is written already.
    Reused(TaskId),
    /// The attempt failed; with its report so far.
    Failed(Failure, Box<AttemptRecord>),
    /// The claim was lost: the task was canceled or removed, or the lease expired. The row is not written.
    Lost,
    /// The worker shuts down: the task goes back to waiting.
    Released,
}

/// The result of a successful attempt.
pub(crate) struct Rendered {
    /// Stored outputs, report and fingerprint.
    pub(crate) result: task::AttemptResult,
    pub(crate) cost: Option<MeasuredCost>,
}

/// The measured cost of an attempt beside the predicted one.
pub(crate) struct MeasuredCost {
    /// The class of work that `domain::plan::predict` names.
    pub(crate) class: String,
    pub(crate) sample: CostSample,
}
