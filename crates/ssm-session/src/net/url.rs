//! A URL's host and port, as headers, messages and the resolver take them.

use url::Url;

/// The `Host` header: the port only where the URL names one.
pub(crate) fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

pub(crate) fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port_or_known_default().unwrap_or(443))
}

/// As the resolver takes them: an IPv6 address without its brackets.
pub(crate) fn name_and_port(url: &Url) -> (String, u16) {
    let name = url.host_str().unwrap_or_default();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    (bare.to_owned(), url.port_or_known_default().unwrap_or(443))
}
