//! A graph for any number of rows, as a text.
//!
//! Graphs are specialised to the number of rows of a batch. What depends on it are extents, which are multiples of it and
//! perhaps some more, and the factors of means, which are one over such a number. So the texts of a graph for two numbers of
//! rows say what that for any other is; a third, built and compared, is the proof.

use std::fmt;
use std::str::FromStr;

use ir::{Graph, Init, NodeId};

use crate::Error;

/// The text of a graph, with holes for what depends on the number of rows: `${64*rows+1}`, and `${1/(64*rows)}` for one over
/// that.
///
/// ```
/// use nn::{Loss, Supervised, models, network::evaluation_graph};
/// use nnc::checkpoint::Template;
/// let network = Supervised::new([64], models::mlp(), Loss::cross_entropy());
/// let build = |rows| evaluation_graph("mlp", &network, rows);
/// let template = Template::new(build)?;
/// assert!(template.to_string().contains("%x = input : f32[${1*rows+0}, 64]"));
/// assert_eq!(template.to_string().parse::<Template>()?.text(17), build(17)?.to_string());
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// `factor * rows + offset`
    Linear {
        factor: i64,
        offset: i64,
    },
    /// `1 / (factor * rows)`
    Reciprocal {
        factor: i64,
    },
}

/// The numbers of rows from which a template is made, and the one by which it is checked. A single row is another matter: an
/// axis of extent 1 is broadcast.
const SAMPLES: [usize; 3] = [2, 3, 5];

impl Template {
    /// The template of the graphs that `build` gives for numbers of rows.
    ///
    /// # Errors
    /// Those of `build`; and where graphs for other numbers of rows do not follow from two of them.
    pub fn new(build: impl Fn(usize) -> Result<Graph, ir::Error>) -> Result<Template, Error> {
        let [two, three, check] = SAMPLES;
        let [first, second, expected] =
            [build(two)?.to_string(), build(three)?.to_string(), build(check)?.to_string()];
        let irregular = |what: &str| {
            let problem =
                format!("it depends on the number of rows in a way that a file cannot state: {what}");
            let help = "build the same ops for every number of rows";
            Error::invalid("the graph of the model", problem, help)
        };
        let (first, second): (Vec<&str>, Vec<&str>) = (words(&first).collect(), words(&second).collect());
        if first.len() != second.len() {
            return Err(irregular("there are other ops for 3 rows than for 2"));
        }
        let mut parts = Vec::new();
        for (a, b) in first.into_iter().zip(second) {
            if a != b {
                let part = Part::between(a, b).ok_or_else(|| irregular(&format!("{a} becomes {b}")))?;
                parts.push(part);
            } else if let Some(Part::Text(text)) = parts.last_mut() {
                text.push_str(a);
            } else {
                parts.push(Part::Text(a.to_owned()));
            }
        }
        let template = Template { parts };
        if template.text(check) != expected {
            return Err(irregular("the graph for 5 rows is none of the kind"));
        }
        Ok(template)
    }

    /// The text of the graph for a batch of so many rows.
    pub fn text(&self, rows: usize) -> String {
        let rows = rows as i64;
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Linear { factor, offset } => {
                factor.saturating_mul(rows).saturating_add(*offset).to_string()
            }
            Part::Reciprocal { factor } => reciprocal(factor.saturating_mul(rows)),
        };
        self.parts.iter().map(part).collect()
    }

    /// The graph for a batch of so many rows. States start at 0: what they are comes from elsewhere.
    ///
    /// # Errors
    /// Where there is no such graph: the text has been changed, or it would be too large.
    pub fn graph(&self, rows: usize) -> Result<Graph, Error> {
        let mut graph = match crate::modules::parse(&self.text(rows), "the graph of the model")? {
            ir::text::Module::Graph(graph) => graph,
            _ => return Err(Error::invalid("the graph of the model", "it is none", "train the model again")),
        };
        let states: Vec<NodeId> = graph.states().map(|(id, _)| id).collect();
        states.into_iter().for_each(|state| graph.set_init(state, Init::Constant(0.0)));
        Ok(graph)
    }
}

impl Part {
    /// What is `first` for the first number of rows and `second` for the second.
    fn between(first: &str, second: &str) -> Option<Part> {
        let [two, three, _] = SAMPLES.map(|rows| rows as i64);
        if let (Ok(first), Ok(second)) = (first.parse::<i64>(), second.parse::<i64>()) {
            let factor = (second - first) / (three - two);
            return Some(Part::Linear { factor, offset: first - factor * two });
        }
        let factor = (1.0 / first.parse::<f64>().ok()? / two as f64).round() as i64;
        let is_it = |rows: i64, text: &str| reciprocal(factor.saturating_mul(rows)) == text;
        (factor > 0 && is_it(two, first) && is_it(three, second)).then_some(Part::Reciprocal { factor })
    }
}

/// `1 / n` as the text form has it.
fn reciprocal(n: i64) -> String {
    format!("{:?}", (1.0 / n as f64) as f32)
}

/// The words of a text (numbers and names), and what is between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+');
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Linear { factor, offset } => write!(f, "${{{factor}*rows{offset:+}}}"),
            Part::Reciprocal { factor } => write!(f, "${{1/({factor}*rows)}}"),
        })
    }
}

impl FromStr for Template {
    type Err = Error;

    fn from_str(text: &str) -> Result<Template, Error> {
        let malformed = |hole: &str| {
            let problem = format!("`{hole}` is no number of rows");
            Error::invalid(
                "the graph of the model",
                problem,
                "give a file that this version of nnc has written",
            )
        };
        let hole = |hole: &str| -> Option<Part> {
            if let Some(factor) = hole.strip_prefix("1/(").and_then(|rest| rest.strip_suffix("*rows)")) {
                return Some(Part::Reciprocal { factor: factor.parse().ok()? });
            }
            let (factor, offset) = hole.split_once("*rows")?;
            Some(Part::Linear { factor: factor.parse().ok()?, offset: offset.parse().ok()? })
        };
        let mut parts = Vec::new();
        let mut pieces = text.split("${");
        parts.extend(pieces.next().filter(|text| !text.is_empty()).map(|text| Part::Text(text.to_owned())));
        for piece in pieces {
            let (inside, after) = piece.split_once('}').ok_or_else(|| malformed(piece))?;
            parts.push(hole(inside).ok_or_else(|| malformed(inside))?);
            if !after.is_empty() {
                parts.push(Part::Text(after.to_owned()));
            }
        }
        Ok(Template { parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::{Builder, DType};

    #[test]
    fn graphs_for_all_numbers_of_rows_follow_from_two() {
        for architecture in crate::models::ARCHITECTURES {
            let row = architecture.row_of(&[3, 32, 32].into()).unwrap();
            let network = architecture.network(&row, 7, &Default::default(), None);
            let build = |rows| nn::network::evaluation_graph(architecture.name, &*network, rows);
            let template = Template::new(build).unwrap();
            let again: Template = template.to_string().parse().unwrap();
            assert_eq!(again, template, "{}", architecture.name);
            for rows in [1, 2, 7, 64] {
                assert_eq!(template.text(rows), build(rows).unwrap().to_string(), "{}", architecture.name);
            }
        }
    }

    #[test]
    fn what_does_not_follow_is_an_error_that_shows_it() {
        let message =
            |build: &dyn Fn(usize) -> Result<Graph, ir::Error>| Template::new(build).unwrap_err().to_string();
        let with = |constant: f64| {
            let mut b = Builder::new("g");
            let c = b.float(DType::F32, constant);
            b.output("y", c).unwrap();
            Ok(b.finish())
        };
        let start =
            "the graph of the model: it depends on the number of rows in a way that a file cannot state: ";
        let error = message(&|rows| with((rows as f64).sqrt()));
        assert_eq!(
            error,
            format!("{start}1.4142135 becomes 1.7320508; build the same ops for every number of rows")
        );
        let more = |rows: usize| {
            let mut b = Builder::new("g");
            (0..rows).for_each(|_| {
                b.float(DType::F32, 0.5);
            });
            Ok(b.finish())
        };
        assert!(message(&more).starts_with(&format!("{start}there are other ops for 3 rows than for 2")));
        let error = message(&|rows| with([0.0, 0.0, 0.5, 1.0 / 3.0, 0.0, 9.5][rows]));
        assert!(error.starts_with(&format!("{start}the graph for 5 rows is none of the kind")), "{error}");
    }

    #[test]
    fn texts_that_are_no_templates_are_errors() {
        for text in ["a ${rows", "${}", "${1*rows}", "${x*rows+1}", "${1/(rows)}"] {
            let error = text.parse::<Template>().unwrap_err().to_string();
            assert!(error.contains("is no number of rows"), "{error}");
        }
        let error = "graph @g { ${1*rows+0} }".parse::<Template>().unwrap().graph(2).unwrap_err().to_string();
        assert!(error.contains("the graph of the model:1:"), "{error}");
    }
}
