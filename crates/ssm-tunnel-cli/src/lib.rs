//! The program `ssm-tunnel`, as a library: every command of it is a function, and the example programs
//! of the workspace call the same ones.
//!
//! Programs that want tunnels rather than a command line use the crates below it: `ssm-tunnel`,
//! `ssm-mfa`, `ssm-sandbox`. What is here may change with any release.
//!
//! | room | what lives there | uses |
//! |---|---|---|
//! | [`cli`] | the command line of `ssm-tunnel`: its help, completions and manual | all below |
//! | [`commands`] | options and run of each command | all below |
//! | [`desktop`], [`plugin`], [`sandbox`] | the parts of the larger commands | all below |
//! | [`tunnels`] | what to forward, opening, ready files, events as they come | all below |
//! | [`account`] | profile, region, MFA, the log | all below |
//! | [`process`] | this process and its children, signals, the runtime | all below |
//! | [`output`] | text, JSON, the status line, exit codes | `rdp` |
//! | [`rdp`] | `.rdp` files and Remote Desktop clients | - |

pub mod account;
pub mod cli;
pub mod commands;
pub mod desktop;
pub mod output;
pub mod plugin;
pub mod process;
pub mod rdp;
pub mod sandbox;
pub mod tunnels;
