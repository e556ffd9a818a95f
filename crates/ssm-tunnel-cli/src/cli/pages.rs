//! Completions and manual pages, made of the command line itself.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::help;

/// Prints a shell's completions.
pub(super) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "ssm-tunnel", &mut text);
    print(&text)
}

/// Prints the program's page; or writes all pages into a directory.
pub(super) fn man(directory: Option<&Path>) -> anyhow::Result<()> {
    let command = help::manual();
    let Some(directory) = directory else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        return print(&page);
    };
    let written =
        fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
    written.with_context(|| format!("cannot write the pages to {}", directory.display()))
}

/// Prints to standard output; a closed pipe is not an error.
fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
