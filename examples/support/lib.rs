//! What the examples share: options, output, signals, and the sandbox's demo.

pub mod child;
pub mod command;
pub mod demo;
pub mod exit;
pub mod forward;
pub mod launch;
pub mod local;
pub mod log;
pub mod login;
pub mod open;
pub mod options;
pub mod output;
pub mod password;
pub mod plugin;
pub mod program;
pub mod psql;
pub mod ready_file;
pub mod session;
pub mod shell;
pub mod signals;
pub mod status;
pub mod stdio;
pub mod story;
pub mod target;
pub mod tunnels;
