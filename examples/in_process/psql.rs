//! Connections to PostgreSQL as psql writes them, for a client that knows fewer of their settings.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// A connection that tokio-postgres reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    /// `postgres://…`, or `key=value` pairs.
    pub(crate) text: String,
    /// The file of root certificates that it names.
    pub(crate) sslrootcert: Option<PathBuf>,
}

/// Reads what psql takes, but for the settings that concern TLS:
///
/// - `sslmode=verify-full` and `verify-ca` become `require`, since the certificate is always checked
///   against the host's name here, and `allow` becomes `prefer`, which asks for TLS first;
/// - `sslrootcert` is taken out; `system` stands for this machine's roots.
///
/// # Errors
/// When it is not written as psql wants it, or names another `sslmode`.
pub(crate) fn read(text: &str) -> anyhow::Result<Connection> {
    let url = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    let mut sslrootcert = None;
    if url {
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "sslmode" => kept.push(format!("sslmode={}", sslmode(value)?)),
                "sslrootcert" => sslrootcert = roots(&decoded(value)?),
                _ => kept.push(pair.to_owned()),
            }
        }
        let question = if kept.is_empty() { "" } else { "?" };
        let text = format!("{address}{question}{}", kept.join("&"));
        return Ok(Connection { text, sslrootcert });
    }
    let mut kept = Vec::new();
    for (key, value) in pairs(text)? {
        match key.as_str() {
            "sslmode" => kept.push(format!("sslmode={}", sslmode(&value)?)),
            "sslrootcert" => sslrootcert = roots(&value),
            _ => {
                let escaped = value.replace('\\', r"\\").replace('\'', r"\'");
                kept.push(format!("{key}='{escaped}'"));
            }
        }
    }
    let text = kept.join(" ");
    Ok(Connection { text, sslrootcert })
}

fn sslmode(mode: &str) -> anyhow::Result<&'static str> {
    Ok(match mode {
        "disable" => "disable",
        "allow" | "prefer" => "prefer",
        "require" | "verify-ca" | "verify-full" => "require",
        _ => bail!(
            "sslmode={mode} is not one of disable, allow, prefer, require, verify-ca and verify-full"
        ),
    })
}

fn roots(file: &str) -> Option<PathBuf> {
    (!file.is_empty() && file != "system").then(|| PathBuf::from(file))
}

/// `%2F` as `/`.
fn decoded(text: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        rest = others;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = others.get(..2).and_then(|two| str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(byte.with_context(|| format!("{text} has a % without two digits after it"))?);
        rest = others.get(2..).unwrap_or_default();
    }
    Ok(String::from_utf8(bytes)?)
}

/// `key = value` with blanks between, values in `'…'` where they hold blanks, `\` before what is
/// meant literally (PostgreSQL documentation, section 32.1.1.1).
fn pairs(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, value) = rest
            .split_once('=')
            .context("give postgres://USER@HOST/DATABASE, or key=value pairs")?;
        let mut chars = value.trim_start().chars();
        let quoted = chars.as_str().starts_with('\'');
        if quoted {
            chars.next();
        }
        let mut value = String::new();
        let mut closed = !quoted;
        while let Some(c) = chars.next() {
            match c {
                '\\' => value.extend(chars.next()),
                '\'' if quoted => {
                    closed = true;
                    break;
                }
                c if c.is_whitespace() && !quoted => break,
                c => value.push(c),
            }
        }
        let key = key.trim().to_owned();
        if !closed {
            bail!("the value of {key} has no closing quotation mark");
        }
        pairs.push((key, value));
        rest = chars.as_str().trim_start();
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(text: &str, sslrootcert: Option<&str>) -> Connection {
        Connection {
            text: text.to_owned(),
            sslrootcert: sslrootcert.map(PathBuf::from),
        }
    }

    #[test]
    fn every_sslmode_of_psql_is_understood() {
        for (psql, ours) in [
            ("disable", "disable"),
            ("allow", "prefer"),
            ("prefer", "prefer"),
            ("require", "require"),
            ("verify-ca", "require"),
            ("verify-full", "require"),
        ] {
            let url = format!("postgres://a@db/app?sslmode={psql}&application_name=x");
            let expected = format!("postgres://a@db/app?sslmode={ours}&application_name=x");
            assert_eq!(read(&url).expect(psql), connection(&expected, None));
            let pairs = format!("host=db sslmode = {psql}");
            let expected = format!("host='db' sslmode={ours}");
            assert_eq!(read(&pairs).expect(psql), connection(&expected, None));
        }
        let error = read("postgres://db/app?sslmode=verify").expect_err("unknown");
        assert!(error.to_string().contains("verify-full"), "{error}");
    }

    #[test]
    fn the_roots_are_those_that_the_connection_names() {
        let url = "postgresql://a@db/app?sslrootcert=%2Ftmp%2Frds.pem&sslmode=verify-full";
        let expected = connection(
            "postgresql://a@db/app?sslmode=require",
            Some("/tmp/rds.pem"),
        );
        assert_eq!(read(url).expect("a URL"), expected);
        let url = "postgres://a@db/app?sslrootcert=system";
        let expected = connection("postgres://a@db/app", None);
        assert_eq!(read(url).expect("a URL"), expected);
        let pairs = r"host=db sslrootcert='/tmp/my \'roots\'.pem' password='p\\w =x'";
        let expected = connection(r"host='db' password='p\\w =x'", Some("/tmp/my 'roots'.pem"));
        assert_eq!(read(pairs).expect("pairs"), expected);
    }

    #[test]
    fn what_psql_does_not_take_is_refused() {
        for text in ["db", "host='db", "postgres://db/?sslrootcert=%2"] {
            read(text).expect_err(text);
        }
        assert_eq!(read("").expect("nothing"), connection("", None));
    }
}
