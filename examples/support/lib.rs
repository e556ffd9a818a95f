//! What the examples share: options, output, signals, and the sandbox's demo.

pub mod demo;
pub mod launch;
pub mod login;
pub mod options;
pub mod output;
pub mod session;
pub mod signals;
pub mod stdio;
pub mod story;
