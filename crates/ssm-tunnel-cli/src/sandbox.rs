//! The stand-in for AWS: as a program, and as the demonstration behind `--sandbox`.

pub mod arguments;
mod demo;
mod environment;
mod story;

pub use environment::{Shell, environment, json};
pub use story::{NAME, REGION, Story, TARGET};
