//! Fields of filter graphs.

use ffmpeg_next::filter::Graph;
use std::ffi::c_int;

/// Bounds the threads that the filters of a graph use.
pub(crate) fn set_graph_threads(graph: &mut Graph, threads: u32) {
    // SAFETY: a graph owns a live `AVFilterGraph`; the field is meant to be set before the graph is configured.
    unsafe { (*graph.as_mut_ptr()).nb_threads = c_int::try_from(threads).unwrap_or(1) };
}
