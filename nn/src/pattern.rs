//! Patterns of names, in which a `*` stands for any characters.

/// What the stars of `pattern` stand for in `name`, each as short as it can be from the left on; `None` where the name is not
/// like the pattern.
///
/// ```
/// use nn::pattern::captures;
/// assert_eq!(captures("layer*.*.weight", "layer1.0.weight"), Some(vec!["1", "0"]));
/// assert_eq!(captures("fc1.weight", "fc1.weight"), Some(vec![]));
/// assert_eq!(captures("*.bias", "fc1.weight"), None);
/// ```
pub fn captures<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let Some((start, rest)) = pattern.split_once('*') else {
        return (pattern == name).then(Vec::new);
    };
    let name = name.strip_prefix(start)?;
    let ends = (0..=name.len()).filter(|&end| name.is_char_boundary(end));
    ends.map(|end| name.split_at(end)).find_map(|(captured, after)| {
        let mut all = vec![captured];
        all.extend(captures(rest, after)?);
        Some(all)
    })
}

/// `name` with what the stars of `from` stand for in the places of those of `to`, which has as many; `None` where the name is
/// not like `from`.
///
/// ```
/// use nn::pattern::renamed;
/// assert_eq!(renamed("features.3.bias", "features.*", "layers.*").as_deref(), Some("layers.3.bias"));
/// assert_eq!(renamed("classifier.bias", "features.*", "layers.*"), None);
/// ```
pub fn renamed(name: &str, from: &str, to: &str) -> Option<String> {
    let captured = captures(from, name)?;
    let mut parts = to.split('*');
    let mut renamed = parts.next().unwrap_or_default().to_owned();
    for (captured, part) in captured.iter().zip(parts) {
        renamed.push_str(captured);
        renamed.push_str(part);
    }
    Some(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, is_match) in [
            ("fc1.weight", "fc1.weight", true),
            ("fc1.*", "fc1.weight", true),
            ("*.bias", "encoder.fc1.bias", true),
            ("encoder.*.bias", "encoder.fc1.bias", true),
            ("*", "p", true),
            ("fc1", "fc1.weight", false),
            ("*.bias", "fc1.bias_v", false),
            ("fc*1*", "fc21", true),
            ("fc*1*1", "fc1", false),
            ("größe.*", "größe.ß", true),
        ] {
            assert_eq!(captures(pattern, name).is_some(), is_match, "{pattern} {name}");
        }
    }

    #[test]
    fn what_stars_stand_for_is_carried_over_in_order() {
        let cases = [
            ("layer1.0.bn1.weight", "layer*.*.bn*.*", "stage*.*.norm*.*", "stage1.0.norm1.weight"),
            ("a.b.c", "*.*", "*/*", "a/b.c"),
            ("gamma", "gamma", "weight", "weight"),
        ];
        for (name, from, to, expected) in cases {
            assert_eq!(renamed(name, from, to).as_deref(), Some(expected), "{name}");
        }
    }
}
