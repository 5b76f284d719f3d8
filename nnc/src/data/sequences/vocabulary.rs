//! Which characters there are, and their numbers.

use std::collections::BTreeSet;

use super::super::targets::MAX_CLASSES;
use crate::Error;

/// The characters of a text in the order of their code points. The number of a character is its place.
///
/// ```
/// use nnc::data::sequences::Vocabulary;
/// let vocabulary = Vocabulary::of("text", "banana")?;
/// assert_eq!(vocabulary.encode("prompt", "nab")?, [2, 0, 1]);
/// assert_eq!(vocabulary.decode(&[1, 0, 2]), "ban");
/// let error = vocabulary.encode("prompt", "bank").unwrap_err().to_string();
/// assert_eq!(error, "prompt: its character 3 (from 0) is 'k', which is not in the vocabulary; give characters of \"abn\"");
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    characters: Vec<char>,
}

impl Vocabulary {
    /// The characters of `text`; `subject` is what an error calls it.
    ///
    /// # Errors
    /// Where there are none, or too many to choose from.
    pub fn of(subject: &str, text: &str) -> Result<Vocabulary, Error> {
        let characters: BTreeSet<char> = text.chars().collect();
        if characters.is_empty() {
            return Err(Error::invalid(subject, "the text is empty", "give a text to learn from"));
        }
        if characters.len() > MAX_CLASSES {
            let problem = format!("there are {} different characters", characters.len());
            return Err(Error::invalid(subject, problem, format!("give a text of at most {MAX_CLASSES}")));
        }
        Ok(Vocabulary { characters: characters.into_iter().collect() })
    }

    /// The vocabulary of which these are the names, as a file holds them.
    ///
    /// # Errors
    /// Where one is no single character, or they are not in their order.
    pub fn of_names(subject: &str, names: &[String]) -> Result<Vocabulary, Error> {
        let characters: Option<Vec<char>> = names.iter().map(|name| single(name)).collect();
        let characters = characters.filter(|all| !all.is_empty() && all.is_sorted_by(|a, b| a < b));
        match characters {
            Some(characters) => Ok(Vocabulary { characters }),
            None => {
                let help = "give a model that `nnc train rnn --data text` has written";
                Err(Error::invalid(subject, "what it tells is no character of a text", help))
            }
        }
    }

    /// The number of characters.
    pub fn len(&self) -> usize {
        self.characters.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.characters.is_empty()
    }

    /// The characters, each as a name.
    pub fn names(&self) -> Vec<String> {
        self.characters.iter().map(char::to_string).collect()
    }

    /// The character of a number.
    pub fn character(&self, token: i64) -> Option<char> {
        self.characters.get(usize::try_from(token).ok()?).copied()
    }

    /// The numbers of the characters of a text; `subject` is what an error calls it.
    ///
    /// # Errors
    /// Where a character is not in the vocabulary: it and its place are named.
    pub fn encode(&self, subject: &str, text: &str) -> Result<Vec<i64>, Error> {
        let number = |(place, character): (usize, char)| match self.characters.binary_search(&character) {
            Ok(number) => Ok(number as i64),
            Err(_) => {
                let problem = format!(
                    "its character {place} (from 0) is {character:?}, which is not in the vocabulary"
                );
                Err(Error::invalid(subject, problem, format!("give characters of {:?}", self.text())))
            }
        };
        text.chars().enumerate().map(number).collect()
    }

    /// The text of these numbers; those of no character are left out.
    pub fn decode(&self, tokens: &[i64]) -> String {
        tokens.iter().filter_map(|&token| self.character(token)).collect()
    }

    fn text(&self) -> String {
        self.characters.iter().collect()
    }
}

/// The character that a name is.
fn single(name: &str) -> Option<char> {
    let mut characters = name.chars();
    characters.next().filter(|_| characters.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vocabulary_comes_back_from_its_names() {
        let vocabulary = Vocabulary::of("text", "zweï λόγοι\n").unwrap();
        assert_eq!(Vocabulary::of_names("file", &vocabulary.names()).unwrap(), vocabulary);
        let text = "λ ï\n";
        assert_eq!(vocabulary.decode(&vocabulary.encode("t", text).unwrap()), text);
    }

    #[test]
    fn names_that_are_no_characters_are_an_error() {
        for names in [&["a", "bc"][..], &["b", "a"], &["a", "a"], &[]] {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let error = Vocabulary::of_names("file", &names).unwrap_err().to_string();
            assert!(error.starts_with("file: what it tells is no character of a text"), "{error}");
        }
    }

    #[test]
    fn an_empty_text_is_an_error() {
        let error = Vocabulary::of("text:a.txt", "").unwrap_err().to_string();
        assert_eq!(error, "text:a.txt: the text is empty; give a text to learn from");
    }
}
