//! Names as messages show them, and what an error says of those that there are where one is looked up and not found.

use std::borrow::Cow;

/// The one of `known` that is most like `name`, where one is like it.
///
/// ```
/// use ir::names::nearest;
/// assert_eq!(nearest("sigmiod", ["relu", "sigmoid", "tanh"]), Some("sigmoid"));
/// assert_eq!(nearest("softplus", ["relu", "sigmoid", "tanh"]), None);
/// ```
pub fn nearest<T: AsRef<str>>(name: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let distances = known.into_iter().filter(|known| known.as_ref().len() <= LONGEST).map(|known| {
        let distance = edit_distance(&name.to_lowercase(), &known.as_ref().to_lowercase());
        (distance, known)
    });
    let best = distances.min_by(|a, b| (a.0, a.1.as_ref()).cmp(&(b.0, b.1.as_ref())))?;
    (best.0 <= 1 + name.len() / 3).then_some(best.1)
}

/// The help for a name that is not known: the nearest one that is, or `otherwise`.
///
/// ```
/// use ir::names::did_you_mean;
/// assert_eq!(did_you_mean("matmull", ["add", "matmul"], "see docs/IR.md"), "did you mean `matmul`?");
/// assert_eq!(did_you_mean("convolve", ["add", "matmul"], "see docs/IR.md"), "see docs/IR.md");
/// ```
pub fn did_you_mean<T: AsRef<str>>(
    name: &str,
    known: impl IntoIterator<Item = T>,
    otherwise: &str,
) -> String {
    let nearest = nearest(name, known);
    nearest.map_or_else(|| otherwise.to_owned(), |known| format!("did you mean `{}`?", known.as_ref()))
}

/// The help for a name that is not among a few: the nearest one, if one is near, and all of them after `introduction`.
///
/// ```
/// use ir::names::choices;
/// let optimizers = ["sgd", "adam"];
/// assert_eq!(choices("adm", "the optimizers are", optimizers), "did you mean `adam`? the optimizers are sgd, adam");
/// assert_eq!(choices("none", "the optimizers are", optimizers), "the optimizers are sgd, adam");
/// ```
pub fn choices<T: AsRef<str>>(name: &str, introduction: &str, known: impl IntoIterator<Item = T>) -> String {
    let known: Vec<T> = known.into_iter().collect();
    let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    with_nearest(name, &known, format!("{introduction} {}", known.join(", ")))
}

/// A help for a name that is not known, with the nearest one before it, if one is near. A name of one letter is near to none:
/// it is as near to all others.
///
/// ```
/// use ir::names::with_nearest;
/// assert_eq!(with_nearest("mpl", ["mlp"], "or give a file".into()), "did you mean `mlp`? or give a file");
/// assert_eq!(with_nearest("a/b", ["mlp"], "give a file".into()), "give a file");
/// ```
pub fn with_nearest<T: AsRef<str>>(name: &str, known: impl IntoIterator<Item = T>, help: String) -> String {
    match nearest(name, known).filter(|_| name.len() > 1) {
        Some(nearest) => format!("did you mean `{}`? {help}", nearest.as_ref()),
        None => help,
    }
}

/// A name out of a file as messages and tables show it: without characters that a terminal would act on, that end the line or that turn
/// the direction of what follows. They become escapes, as in a literal of Rust.
///
/// ```
/// use ir::names::printable;
/// assert_eq!(printable("café \u{1b}[31m\n"), r"café \u{1b}[31m\n");
/// ```
pub fn printable(name: &str) -> Cow<'_, str> {
    escaped(name, |_| false)
}

/// As [`printable`], of a text of several lines, in which line feeds and tabs stay.
///
/// ```
/// use ir::names::printable_lines;
/// assert_eq!(printable_lines("a\tb\n\u{1b}c"), "a\tb\n\\u{1b}c");
/// ```
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| matches!(letter, '\n' | '\t'))
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_escaped = |letter: char| acts_on_terminal(letter) && !is_kept(letter);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match is_escaped(letter) {
            true => shown.extend(letter.escape_debug()),
            false => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// Whether a character is a control character, a separator of lines, or one that turns the direction of writing.
///
/// ```
/// use ir::names::acts_on_terminal;
/// assert!(['\u{1b}', '\r', '\u{9b}', '\u{202e}'].into_iter().all(acts_on_terminal));
/// assert!(!['a', 'é', ' ', '京'].into_iter().any(acts_on_terminal));
/// ```
pub fn acts_on_terminal(letter: char) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter.is_control() || turns || matches!(letter, '\u{2028}' | '\u{2029}')
}

/// The least number of insertions, deletions and replacements that turn `a` into `b` (Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_do_not_count_and_long_names_are_like_none() {
        assert_eq!(nearest("ADAM", ["sgd", "adam"]), Some("adam"));
        assert_eq!(nearest(&"a".repeat(65), [&*"a".repeat(65)]), None);
        assert_eq!(nearest("", ["sgd"; 0]), None);
    }
}
