//! This process's memory, on systems with `/proc`.

use std::fs;

/// Resident memory in MiB; `None` without `/proc`.
pub(crate) fn resident() -> Option<f64> {
    field("VmRSS:")
}

/// The peak so far.
pub(crate) fn peak() -> Option<f64> {
    field("VmHWM:")
}

fn field(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// For the report.
pub(crate) fn shown(mib: Option<f64>) -> String {
    mib.map_or_else(|| "unknown".to_owned(), |mib| format!("{mib:.1} MiB"))
}
