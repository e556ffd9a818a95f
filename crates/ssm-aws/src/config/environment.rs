//! The environment variables that AWS settings are read from, as data.

use std::collections::BTreeMap;

/// Environment variables. Empty ones count as unset, and line ends after a value are cut: some
/// shells' `$(cat FILE)` and env files leave them.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process that concern AWS, the user's home and certificates. One that
    /// is not UTF-8 is kept with replacement characters, and refused where it is used.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| concerns_us(name))
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
            .collect()
    }

    /// A variable that is set to something.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?.trim_end_matches(['\r', '\n']);
        (!value.is_empty()).then_some(value)
    }

    /// The first of these variables that is set, with its name.
    pub(crate) fn first(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// Variables whose names start with `prefix`, which is cut from the names.
    pub(crate) fn beginning<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .keys()
            .filter_map(move |name| Some((name.strip_prefix(prefix)?, self.get(name)?)))
    }
}

fn concerns_us(name: &str) -> bool {
    const OTHERS: [&str; 5] = [
        "HOME",
        "USERPROFILE",
        "HOMEDRIVE",
        "HOMEPATH",
        "REQUESTS_CA_BUNDLE",
    ];
    name.starts_with("AWS_") || OTHERS.contains(&name)
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_variables_are_unset_and_line_ends_are_cut() {
        let environment: Environment = [("A", ""), ("B", "b\r\n"), ("C", "\n"), ("D", " d ")]
            .into_iter()
            .collect();
        assert_eq!(environment.get("A"), None);
        assert_eq!(environment.get("B"), Some("b"));
        assert_eq!(environment.get("C"), None);
        assert_eq!(environment.get("D"), Some(" d "));
        assert_eq!(environment.get("E"), None);
    }

    #[test]
    fn debug_shows_no_values() {
        let environment: Environment = [("AWS_SECRET_ACCESS_KEY", "hidden")].into_iter().collect();
        let shown = format!("{environment:?}");
        assert!(
            shown.contains("AWS_SECRET_ACCESS_KEY") && !shown.contains("hidden"),
            "{shown}"
        );
    }
}
