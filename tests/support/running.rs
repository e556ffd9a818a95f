//! A program that runs while a test reads its output, line by line.

use std::process::ExitStatus;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::soon;

/// A program in a process group of its own, which is killed when this is dropped: a failed test
/// leaves no child behind, nor a child's child.
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts a command whose outputs are pipes.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .process_group(0)
            .spawn()
            .expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// The next lines up to the first that `wanted` picks, and what it made of that line.
    pub async fn until<T>(
        &mut self,
        what: &str,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> (Vec<String>, T) {
        let mut seen = Vec::new();
        let found = soon(what, async {
            while let Some(line) = self.lines.next_line().await.expect("text") {
                let found = wanted(&line);
                seen.push(line);
                if found.is_some() {
                    return found;
                }
            }
            None
        });
        match found.await {
            Some(found) => (seen, found),
            None => {
                let mut errors = String::new();
                if let Some(stderr) = &mut self.child.stderr {
                    let read = soon("standard error", stderr.read_to_string(&mut errors)).await;
                    read.expect("text");
                }
                panic!("the program ended without {what}: {seen:#?}\n{errors}");
            }
        }
    }

    /// The next line that begins like this.
    pub async fn line(&mut self, beginning: &str) -> String {
        let begins = |line: &str| line.starts_with(beginning).then(|| line.to_owned());
        self.until(beginning, begins).await.1
    }

    /// Sends a signal (`INT`, `TERM`) to the program alone.
    pub async fn signal(&self, name: &str) {
        kill(name, self.id().to_string()).await;
    }

    /// Sends a signal to the program and its children, as a terminal does.
    pub async fn signal_group(&self, name: &str) {
        kill(name, format!("-{}", self.id())).await;
    }

    fn id(&self) -> u32 {
        self.child.id().expect("the program runs")
    }

    /// Its status if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the status is known")
    }

    /// The rest of its lines, and how it ended.
    pub async fn end(mut self) -> (Vec<String>, ExitStatus) {
        soon("the program's end", async {
            let mut rest = Vec::new();
            while let Some(line) = self.lines.next_line().await.expect("text") {
                rest.push(line);
            }
            (rest, self.child.wait().await.expect("the status is known"))
        })
        .await
    }
}

async fn kill(signal: &str, whom: String) {
    let signal = format!("-{signal}");
    let killed = Command::new("kill").args([&signal, "--", &whom]).status();
    assert!(killed.await.expect("kill runs").success());
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(id) = self.child.id() {
            let group = format!("-{id}");
            // The process is already gone if the program has ended meanwhile.
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &group])
                .stderr(std::process::Stdio::null())
                .status();
        }
    }
}
