//! Targets that need no lookup.

/// Whether StartSession takes it as a target without a lookup: `i-` or `mi-` and hexadecimal digits, or
/// `ecs:CLUSTER_TASK_RUNTIMEID`.
pub(crate) fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix("mi-").or(text.strip_prefix("i-"));
    let is_hex =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.is_some_and(is_hex) || text.starts_with("ecs:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_from_names() {
        for id in ["i-0123456789abcdef0", "i-1", "mi-0A", "ecs:c_t_r-1"] {
            assert!(is_id(id), "{id}");
        }
        for name in [
            "i-",
            "mi-",
            "i-team",
            "web",
            "10.0.0.5",
            "I-1",
            "i-0a.corp",
            "my box",
            "",
        ] {
            assert!(!is_id(name), "{name}");
        }
    }
}
