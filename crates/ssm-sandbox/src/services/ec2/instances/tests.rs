//! Wildcards, filters and pages.

use super::*;

#[test]
fn wildcards_match_as_the_user_guide_says() {
    for (pattern, text, expected) in [
        ("web", "web", true),
        ("web", "Web", false),
        ("web", "web-1", false),
        ("web*", "web", true),
        ("*-1", "web-1", true),
        ("*a*b*c*", "xxaxxbxxc", true),
        ("*a*b*c*", "xxaxxcxxb", false),
        ("web-?", "web-1", true),
        ("web-?", "web-", false),
        ("\\*", "*", true),
        ("\\*", "x", false),
        ("\\?\\\\", "?\\", true),
        ("", "", true),
        ("*", "", true),
        ("b?ro", "büro", true),
    ] {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    }
    // As many ways to match as a text can have.
    assert!(!fits(&"*a".repeat(100), &"a".repeat(99)));
    assert!(!fits(&"?".repeat(300), &"a".repeat(300)));
}

#[test]
fn numbered_parameters_keep_the_order_of_their_numbers() {
    let form: Form = [
        ("InstanceId.10", "c"),
        ("InstanceId.2", "b"),
        ("InstanceId.1", "a"),
        ("InstanceId.x", "?"),
        ("InstanceIds.1", "?"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    assert_eq!(numbered(&form, "InstanceId"), ["a", "b", "c"]);
}

#[test]
fn unknown_filters_and_page_sizes_are_refused_with_ec2s_codes() {
    let form = |pairs: &[(&str, &str)]| -> Form {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let unknown = form(&[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")]);
    assert_eq!(
        filters(&unknown).err().map(|it| it.code),
        Some("InvalidParameterValue")
    );
    for size in ["4", "1001", "many", "-1", ""] {
        let code = page_size(&form(&[("MaxResults", size)]), false)
            .err()
            .map(|it| it.code);
        assert_eq!(code, Some("InvalidParameterValue"), "{size}");
    }
    let both = page_size(&form(&[("MaxResults", "5")]), true)
        .err()
        .map(|it| it.code);
    assert_eq!(both, Some("InvalidParameterCombination"));
    assert_eq!(
        page_size(&form(&[("MaxResults", "5")]), false).ok(),
        Some(Some(5))
    );
    let odd = offset(&form(&[("NextToken", "page two")]))
        .err()
        .map(|it| it.code);
    assert_eq!(odd, Some("InvalidParameterValue"));
    assert_eq!(offset(&form(&[("NextToken", &token(7))])).ok(), Some(7));
}
