//! Filter graph fields.

use ffmpeg_next::filter::Graph;
use std::ffi::c_int;

/// Sets the maximum number of threads of a filter graph. Call before the graph is configured.
pub(crate) fn set_graph_threads(graph: &mut Graph, threads: u32) {
    // SAFETY: a graph owns a live `AVFilterGraph`; `nb_threads` is a public field that callers set.
    unsafe { (*graph.as_mut_ptr()).nb_threads = c_int::try_from(threads).unwrap_or(1) };
}
