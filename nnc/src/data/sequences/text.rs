//! Texts as sequences of characters, of which the next is to be told.

use std::ops::Range;
use std::path::Path;

use super::super::gzip;
use super::{NO_TARGET, Sequences, Vocabulary};
use crate::{Error, files, memory};

/// The project's own documents; `data/README.md` says which.
static DOCUMENTS: &[u8] = include_bytes!("../../../data/documents.txt.gz");

/// The memory that a character takes on the way to rows: numbers of 8 bytes, in a vector that grows, as tokens, as targets, and as
/// the tensors of both.
const BYTES_PER_CHARACTER: usize = 48;
/// A text is cut into so many parts, of which one in ten is held out: what is written at its end is told as seldom as what
/// is written in its middle.
const PARTS: usize = 100;
const HELD_OUT: usize = 10;

/// A text with its vocabulary.
///
/// ```
/// use nnc::data::sequences::Text;
/// let text = Text::documents();
/// let (train, held_out) = text.sequences(32, 64)?;
/// assert_eq!(train.len() % 32, 0);
/// assert_eq!(train.names(), held_out.names());
/// // What is to be told at a step is the character at the next.
/// assert_eq!(train.row(0)[1..], train.targets(0)[..63]);
/// // A row goes on in the next batch.
/// assert_eq!(train.row(32)[0], train.targets(0)[63]);
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    name: String,
    vocabulary: Vocabulary,
    train: Vec<i64>,
    held_out: Vec<i64>,
}

impl Text {
    /// The project's own documents, as they were when this version was made: about 200,000 characters.
    pub fn documents() -> Text {
        Text::decode("text", DOCUMENTS).expect("the embedded file is sound, as the tests have checked")
    }

    /// The text in a file of UTF-8, gzipped or not; `name` is what the data set is called.
    ///
    /// # Errors
    /// Where the file cannot be read, is no text or is empty.
    pub fn read(path: &Path, name: &str) -> Result<Text, Error> {
        Text::decode(name, &files::read(path)?)
    }

    fn decode(name: &str, file: &[u8]) -> Result<Text, Error> {
        let text = String::from_utf8(gzip::inflated(file, name)?).map_err(|error| {
            let problem = format!("byte {} is none of a text in UTF-8", error.utf8_error().valid_up_to());
            Error::invalid(name, problem, "give a text file")
        })?;
        Text::new(name, &text)
    }

    /// A text of this name.
    ///
    /// # Errors
    /// Where it is empty.
    pub fn new(name: &str, text: &str) -> Result<Text, Error> {
        memory::check(name, text.len().saturating_mul(BYTES_PER_CHARACTER))?;
        let vocabulary = Vocabulary::of(name, text)?;
        let tokens = vocabulary.encode(name, text)?;
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        for part in 0..PARTS {
            let range = part * tokens.len() / PARTS..(part + 1) * tokens.len() / PARTS;
            let of = if part % HELD_OUT == HELD_OUT / 2 { &mut held_out } else { &mut train };
            of.extend_from_slice(&tokens[range]);
        }
        Ok(Text { name: name.to_owned(), vocabulary, train, held_out })
    }

    /// The same text with the characters of another, by which a model knows them.
    ///
    /// # Errors
    /// Where it has a character that is none of these.
    pub fn with_vocabulary(&self, vocabulary: Vocabulary) -> Result<Text, Error> {
        let again = |tokens: &[i64]| vocabulary.encode(&self.name, &self.vocabulary.decode(tokens));
        let (train, held_out) = (again(&self.train)?, again(&self.held_out)?);
        Ok(Text { vocabulary, train, held_out, ..self.clone() })
    }

    /// Its characters.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The number of characters to train on, and of those held out.
    pub fn lengths(&self) -> (usize, usize) {
        (self.train.len(), self.held_out.len())
    }

    /// What a model is trained on and what it is tested on, in rows of `steps` characters.
    ///
    /// To train on, the text is cut into `batch` streams of one length; batch `n` has segment `n` of each, so that a row goes on
    /// from the row at its place in the batch before. What is held out is in rows that overlap: the first three quarters of each
    /// are what the model reads before it is judged by the last, as it has read what came before where it is trained and used.
    ///
    /// # Errors
    /// Where the text is too short for them.
    pub fn sequences(&self, batch: usize, steps: usize) -> Result<(Sequences, Sequences), Error> {
        if batch == 0 || steps == 0 {
            let problem = format!("there are {batch} rows of {steps} steps");
            return Err(Error::invalid(&self.name, problem, "give at least one of each"));
        }
        Ok((self.streams(batch, steps)?, self.windows(steps, true)?))
    }

    fn streams(&self, batch: usize, steps: usize) -> Result<Sequences, Error> {
        let length = self.train.len() / batch;
        let segments = length.saturating_sub(1) / steps;
        if segments == 0 {
            let wanted = batch.saturating_mul(steps + 1);
            return Err(self.too_short(self.train.len(), "to train on", wanted));
        }
        let starts =
            (0..segments).flat_map(|segment| (0..batch).map(move |stream| stream * length + segment * steps));
        self.rows(&self.train, starts, steps, 0)?.continued(batch)
    }

    /// Rows to judge a model by, of what is held out or of what is trained on: they overlap, and have targets in their last
    /// quarter alone.
    ///
    /// # Errors
    /// Where the text is too short for one.
    pub fn windows(&self, steps: usize, is_held_out: bool) -> Result<Sequences, Error> {
        let (tokens, what) =
            if is_held_out { (&self.held_out, "held out") } else { (&self.train, "to train on") };
        let starts = Text::starts(0..tokens.len(), steps);
        if starts.is_empty() {
            return Err(self.too_short(tokens.len(), what, steps + 1));
        }
        self.rows(tokens, starts.into_iter(), steps, Text::context(steps))
    }

    /// As [`Text::windows`], of all of it.
    ///
    /// # Errors
    /// Where the text is too short for one.
    pub fn all_windows(&self, steps: usize) -> Result<Sequences, Error> {
        let tokens = [&self.train[..], &self.held_out].concat();
        let mut starts = Text::starts(0..self.train.len(), steps);
        starts.extend(Text::starts(self.train.len()..tokens.len(), steps));
        if starts.is_empty() {
            return Err(self.too_short(tokens.len(), "in it", steps + 1));
        }
        self.rows(&tokens, starts.into_iter(), steps, Text::context(steps))
    }

    /// The steps of a window that have no targets.
    fn context(steps: usize) -> usize {
        steps * 3 / 4
    }

    /// Where the windows of some tokens begin, each with one after it.
    fn starts(tokens: Range<usize>, steps: usize) -> Vec<usize> {
        let stride = (steps - Text::context(steps)).max(1);
        match tokens.len().checked_sub(steps + 1) {
            Some(last) => (0..=last).step_by(stride).map(|start| tokens.start + start).collect(),
            None => Vec::new(),
        }
    }

    /// Rows that begin at these places of `tokens`, without targets in their first `context` steps.
    fn rows(
        &self,
        tokens: &[i64],
        starts: impl Iterator<Item = usize>,
        steps: usize,
        context: usize,
    ) -> Result<Sequences, Error> {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for start in starts {
            x.extend_from_slice(&tokens[start..start + steps]);
            y.extend(std::iter::repeat_n(NO_TARGET, context));
            y.extend_from_slice(&tokens[start + context + 1..start + steps + 1]);
        }
        let sequences =
            Sequences::new(&self.name, steps, x, y, self.vocabulary.len(), self.vocabulary.names())?;
        Ok(sequences.of_text())
    }

    fn too_short(&self, there: usize, what: &str, wanted: usize) -> Error {
        let problem =
            format!("the text is too short: there are {there} characters {what}, and {wanted} are needed");
        Error::invalid(&self.name, problem, "give a longer text, a smaller batch, or rows of fewer steps")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The characters of the text are all different, so that each names its place.
    fn counted(length: u32) -> Text {
        let text: String = (0..length).filter_map(|number| char::from_u32(0x4E00 + number)).collect();
        Text::new("text", &text).unwrap()
    }

    #[test]
    fn rows_go_on_from_batch_to_batch_and_nothing_is_told_that_is_not_next() {
        let text = counted(1000);
        let (batch, steps) = (4, 7);
        let (train, _) = text.sequences(batch, steps).unwrap();
        let stream = text.train.len() / batch;
        assert_eq!(train.len(), batch * ((stream - 1) / steps));
        for row in 0..train.len() {
            let (segment, number) = (row / batch, row % batch);
            let start = number * stream + segment * steps;
            assert_eq!(train.row(row), &text.train[start..start + steps]);
            assert_eq!(train.targets(row), &text.train[start + 1..start + steps + 1]);
        }
    }

    #[test]
    fn held_out_windows_judge_each_character_once_after_some_context() {
        let text = counted(1000);
        let (_, held_out) = text.sequences(4, 7).unwrap();
        let mut judged = Vec::new();
        for row in 0..held_out.len() {
            let targets = held_out.targets(row);
            assert!(targets[..5].iter().all(|&target| target == NO_TARGET));
            assert_eq!(held_out.row(row)[6..], targets[5..6]);
            judged.extend_from_slice(&targets[5..]);
        }
        assert_eq!(judged, text.held_out[6..6 + judged.len()]);
        assert!(judged.len() + 6 + 2 > text.held_out.len());
    }

    #[test]
    fn a_text_is_read_with_the_characters_of_another() {
        let other = Vocabulary::of("other", "abcxyz").unwrap();
        let text = Text::new("text", &"cab".repeat(70)).unwrap().with_vocabulary(other.clone()).unwrap();
        assert_eq!((text.train[..4].to_vec(), text.vocabulary()), (vec![2, 0, 1, 2], &other));
        let error = Text::new("text", &"cad".repeat(70)).unwrap().with_vocabulary(other).unwrap_err();
        assert!(error.to_string().contains("'d', which is not in the vocabulary"), "{error}");
    }

    #[test]
    fn no_held_out_part_is_trained_on() {
        let text = counted(1000);
        assert_eq!(text.lengths(), (900, 100));
        assert!(text.held_out.iter().all(|token| !text.train.contains(token)));
    }

    #[test]
    fn empty_and_short_texts_are_errors_that_say_how_much_is_needed() {
        let message = |text: &str, batch, steps| {
            Text::new("text:a", text).and_then(|text| text.sequences(batch, steps)).unwrap_err().to_string()
        };
        assert_eq!(message("", 1, 1), "text:a: the text is empty; give a text to learn from");
        let help = "give a longer text, a smaller batch, or rows of fewer steps";
        assert_eq!(
            message(&"ab".repeat(50), 4, 30),
            format!(
                "text:a: the text is too short: there are 90 characters to train on, and 124 are needed; {help}"
            )
        );
        assert_eq!(
            message(&"ab".repeat(50), 2, 20),
            format!(
                "text:a: the text is too short: there are 10 characters held out, and 21 are needed; {help}"
            )
        );
        assert!(message("ab", 0, 1).contains("there are 0 rows of 1 steps"));
        let error = Text::decode("text:a", b"ab\xff").unwrap_err().to_string();
        assert_eq!(error, "text:a: byte 2 is none of a text in UTF-8; give a text file");
    }

    #[test]
    fn the_embedded_documents_are_whole() {
        let text = Text::documents();
        let (train, held_out) = text.lengths();
        assert!(train > 8 * held_out && train > 100_000, "{train} and {held_out}");
        assert!(text.vocabulary().len() > 80);
        assert!(text.vocabulary().encode("ascii", "The graph is compiled.\n").is_ok());
    }
}
