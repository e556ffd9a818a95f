//! As much XML as the replies of AWS's query protocol need: the texts of elements without attributes.

/// The texts of all elements of this name. An element that is cut off does not count.
pub(super) fn texts<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = String> + use<'a> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (text, after) = after.split_once(&close)?;
        rest = after;
        Some(unescape(text))
    })
}

/// The five entities that XML predefines, and the carriage returns of EC2's `passwordData`.
fn unescape(text: &str) -> String {
    text.replace("&#13;", "\r")
        .replace("&#xd;", "\r")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_is_cut_off_gives_its_whole_elements() {
        let xml = "<SerialNumber>GAHT12345678</SerialNumber><b/><SerialNumber>a&amp;lt;b</SerialNumber><SerialNumber>cut";
        let found: Vec<String> = texts(xml, "SerialNumber").collect();
        assert_eq!(found, ["GAHT12345678", "a&lt;b"]);
        assert_eq!(texts("", "SerialNumber").count(), 0);
        assert_eq!(
            texts("<a>x&#13;\n</a>", "a").next().as_deref(),
            Some("x\r\n")
        );
    }
}
