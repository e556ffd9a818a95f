//! The page's commands, run with the built programs.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use e2e::peers::{command, example, output};
use e2e::{echo, instance, sandbox};
use snapbox::{Assert, IntoData as _};
use ssm_sandbox::Sandbox;

use super::root;

const PROGRAMS: [&str; 6] = [
    "doctor",
    "mfa",
    "port_forward",
    "postgres",
    "rdp",
    "sandbox",
];

/// The port that the page calls in use.
const PORT_IN_USE: u16 = 17320;

/// A piece of the page.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Prose(&'a str),
    /// What follows `$ `, and the lines below it up to the next command or the block's end: exit
    /// code, output, and a blank line.
    Command(&'a str, String),
}

/// Splits the page at the commands of its console blocks.
fn pieces(page: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut in_console = false;
    for line in page.split_inclusive('\n') {
        in_console = match line.trim_end() {
            "```console" => true,
            "```" => false,
            _ => in_console,
        };
        match (line.strip_prefix("$ "), pieces.last_mut()) {
            (Some(command), _) if in_console => {
                pieces.push(Piece::Command(command.trim_end(), String::new()));
            }
            (None, Some(Piece::Command(_, shown))) if in_console => shown.push_str(line),
            _ => pieces.push(Piece::Prose(line)),
        }
    }
    pieces
}

#[test]
fn pages_are_split_at_the_commands_of_console_blocks() {
    let page =
        "$ not this\n```console\n$ one 'a b'\n? 3\nerror\n\n$ two\n? 0\n\n```\n```sh\n$ nor\n```\n";
    let found: Vec<_> = pieces(page)
        .into_iter()
        .filter(|piece| matches!(piece, Piece::Command(..)))
        .collect();
    let expected = [("one 'a b'", "? 3\nerror\n\n"), ("two", "? 0\n\n")];
    assert_eq!(
        found,
        expected.map(|(command, shown)| Piece::Command(command, shown.to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_prints_its_text_and_exit_code() {
    let sandbox = sandbox(instance(echo().await)).await;
    // If binding fails, another program uses the port, which serves as well.
    let _busy = TcpListener::bind(("127.0.0.1", PORT_IN_USE));
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in [("broken.ini", "[default\n"), ("empty.pem", "")] {
        fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    let mut programs = BTreeMap::new();
    for name in PROGRAMS {
        programs.insert(name, example(name).await);
    }
    let path = root().join("BAD_INPUT.md");
    let page = fs::read_to_string(&path).expect("the page");
    let (mut corrected, mut wrong) = (String::new(), String::new());
    for piece in pieces(&page) {
        match piece {
            Piece::Prose(line) => corrected.push_str(line),
            Piece::Command(line, shown) => {
                let printed = run(&sandbox, &programs, folder.path(), line).await;
                assert!(!printed.contains("panicked"), "{line}: {printed}");
                let (found, shown) =
                    Assert::new().normalize(printed.into_data(), shown.into_data());
                let piece = format!("$ {line}\n{found}");
                if found != shown {
                    wrong.push_str(&piece);
                }
                corrected.push_str(&piece);
            }
        }
    }
    if env::var("SNAPSHOTS").is_ok_and(|action| action == "overwrite") {
        fs::write(&path, corrected).expect("the page is writable");
    } else {
        assert!(
            wrong.is_empty(),
            "BAD_INPUT.md differs from what these commands print; SNAPSHOTS=overwrite corrects it:\n{wrong}"
        );
    }
}

/// Runs a command line of the page, `NAME=value program 'an argument'`, and returns what the page
/// has below it. An empty value is that of an unset variable.
async fn run(
    sandbox: &Sandbox,
    programs: &BTreeMap<&str, PathBuf>,
    folder: &Path,
    line: &str,
) -> String {
    let words = shlex::split(line).expect("complete quotes");
    let variables: Vec<_> = words
        .iter()
        .map_while(|word| word.split_once('='))
        .collect();
    let (program, arguments) = words[variables.len()..].split_first().expect("a program");
    let program = programs
        .get(program.as_str())
        .unwrap_or_else(|| panic!("{program} is not among PROGRAMS"));
    let mut command = command(sandbox, program, folder);
    command.current_dir(folder).args(arguments).envs(variables);
    let ended = output(line, &mut command).await;
    let code = ended.status.code().expect("programs exit by themselves");
    assert_ne!(code, 0, "{line} succeeded");
    // The doctor's findings are its output.
    format!(
        "? {code}\n{}{}\n",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    )
}
