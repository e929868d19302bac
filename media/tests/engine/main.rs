//! Stories of the engine on clips made at test time with the `ffmpeg` command line.

mod clips;
mod golden;
mod hostile;
mod looks;
mod outputs;
mod studio;
mod timing;
