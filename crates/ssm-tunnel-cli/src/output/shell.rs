//! Shell commands that set environment variables, safe for any value.

use anyhow::ensure;

/// The shell that the lines are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// sh, bash, zsh and others that read single quotes as POSIX has them.
    Posix,
    /// fish.
    Fish,
    /// Windows PowerShell and PowerShell 7.
    PowerShell,
    /// cmd.exe.
    Cmd,
}

impl Shell {
    /// A line that sets a variable.
    ///
    /// # Errors
    /// When the shell has no line that sets exactly this value.
    pub fn set(self, name: &str, value: &str) -> anyhow::Result<String> {
        // Lines are also pasted into terminals, which act on control characters.
        ensure!(
            !value.contains(char::is_control),
            "{name} holds a control character, which no line for a shell may have"
        );
        Ok(match self {
            Self::Posix => format!("export {name}='{}'", value.replace('\'', r"'\''")),
            Self::Fish => {
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                format!("set -gx {name} '{value}'")
            }
            Self::PowerShell => format!("$Env:{name} = '{}'", powershell(value)),
            Self::Cmd => {
                // cmd expands these inside quotation marks too, and no way of escaping them works both
                // in a batch file and at the prompt.
                let special = value.chars().find(|c| "\"%!".contains(*c));
                ensure!(
                    special.is_none(),
                    "{name} holds {}, which cmd cannot be given safely: use PowerShell",
                    special.unwrap_or_default()
                );
                format!("set \"{name}={value}\"")
            }
        })
    }

    /// A line that removes a variable, if there is one.
    pub fn unset(self, name: &str) -> String {
        match self {
            Self::Posix => format!("unset {name}"),
            Self::Fish => format!("set -e {name}"),
            Self::PowerShell => format!("Remove-Item Env:{name} -ErrorAction Ignore"),
            Self::Cmd => format!("set \"{name}=\""),
        }
    }
}

/// Inside single quotes only single quotes are special, and doubling one escapes it. PowerShell
/// treats typographic quotation marks like the plain one
/// (`CharExtensions.IsSingleQuote` in `engine/parser/CharTraits.cs` of `PowerShell/PowerShell`).
fn powershell(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Shell; 4] = [Shell::Posix, Shell::Fish, Shell::PowerShell, Shell::Cmd];

    #[test]
    fn what_keys_are_made_of_is_written_as_it_is() {
        let lines = ALL.map(|shell| shell.set("A", "wJalr/K7+x=").expect("safe"));
        let expected = [
            "export A='wJalr/K7+x='",
            "set -gx A 'wJalr/K7+x='",
            "$Env:A = 'wJalr/K7+x='",
            "set \"A=wJalr/K7+x=\"",
        ];
        assert_eq!(lines, expected);
        let unset = ALL.map(|shell| shell.unset("A"));
        let expected = [
            "unset A",
            "set -e A",
            "Remove-Item Env:A -ErrorAction Ignore",
            "set \"A=\"",
        ];
        assert_eq!(unset, expected);
    }

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        for (shell, value, expected) in [
            (Shell::Posix, "'; rm x; '", r"export A=''\''; rm x; '\'''"),
            (Shell::Posix, r"\'$(x)`y`!", r"export A='\'\''$(x)`y`!'"),
            (Shell::Fish, r"\'; rm x; '", r"set -gx A '\\\'; rm x; \''"),
            (Shell::PowerShell, "'; rm x; '", "$Env:A = '''; rm x; '''"),
            (
                Shell::PowerShell,
                "\u{2018}\u{2019}\u{201a}\u{201b}\u{201c}",
                "$Env:A = '\u{2018}\u{2018}\u{2019}\u{2019}\u{201a}\u{201a}\u{201b}\u{201b}\u{201c}'",
            ),
            (Shell::Cmd, "a&b|c>d^e", "set \"A=a&b|c>d^e\""),
        ] {
            assert_eq!(shell.set("A", value).expect("safe"), expected);
        }
    }

    #[test]
    fn what_a_shell_cannot_be_given_safely_is_refused_unshown() {
        for value in ["s3cret\"", "s3cret%PATH%", "s3cret!x!"] {
            let error = Shell::Cmd.set("A", value).expect_err(value).to_string();
            assert!(error.contains("use PowerShell"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        for shell in ALL {
            for value in [
                "s3cret\n",
                "s3cret\r",
                "\u{1b}[2J",
                "\u{3}",
                "\u{0}",
                "\u{9b}",
            ] {
                let error = shell.set("A", value).expect_err(value).to_string();
                assert!(error.contains("a control character"), "{error}");
                assert!(!error.contains("s3cret"), "{error}");
            }
        }
    }
}
