//! Which columns of a table are those that an encoding was made for.

use std::collections::BTreeMap;

use ir::names::with_nearest;

use super::columns::listed;
use super::encoding::{Column, Encoding, Role};
use super::header;
use crate::Error;

/// What rows of a table are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Rows with their targets.
    Evaluate,
    /// Rows alone; a target is not looked at where there is one.
    Predict,
}

/// The places of columns in the lines of a table.
pub(super) struct Matching {
    pub has_header: bool,
    pub features: Vec<usize>,
    /// Where targets are wanted.
    pub target: Option<usize>,
    /// What a user should know of it.
    pub remarks: Vec<String>,
}

impl Matching {
    /// The places for a table whose first line is this.
    ///
    /// # Errors
    /// Where a column is not there, or there several times; or there is no header, and another number of columns.
    pub fn of(
        encoding: &Encoding,
        first: &[&str],
        has_header: Option<bool>,
        wanted: Use,
        subject: &str,
    ) -> Result<Matching, Error> {
        let is_there = |column: &Column| first.contains(&column.name.as_str());
        let has_all_names = || encoding.features().all(|(column, _)| is_there(column));
        let may_be_names = || {
            let has_a_name = encoding.has_names && encoding.columns.iter().any(is_there);
            has_a_name || !first.iter().any(|field| encoding.is_number(field))
        };
        let has_header = has_header.unwrap_or_else(|| {
            (encoding.has_names && has_all_names()) || (may_be_names() && !Matching::is_row(encoding, first))
        });
        let names = header::names(first, has_header);
        let is_same = || names.iter().eq(encoding.columns.iter().map(|column| &column.name));
        if has_header && encoding.has_names && !is_same() {
            return Matching::by_name(encoding, &names, wanted, subject);
        }
        let mut matching = Matching::by_place(encoding, first.len(), wanted, subject)?;
        matching.has_header = has_header;
        if has_header != encoding.has_names {
            let what = if has_header {
                "has names, and those that the model was trained on had none"
            } else {
                "has no header"
            };
            matching.remarks.push(format!("{subject} {what}: columns are taken in their order"));
        }
        Ok(matching)
    }

    /// Whether the fields are those of a row of columns in their order.
    fn is_row(encoding: &Encoding, first: &[&str]) -> bool {
        let matching = Matching::by_place(encoding, first.len(), Use::Predict, "");
        matching.is_ok_and(|it| encoding.is_row(it.features.iter().map(|&place| first[place])))
    }

    fn by_name(
        encoding: &Encoding,
        header: &[String],
        wanted: Use,
        subject: &str,
    ) -> Result<Matching, Error> {
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        header
            .iter()
            .enumerate()
            .for_each(|(place, name)| places.entry(name.as_str()).or_default().push(place));
        let wanted_columns = encoding.columns.iter().filter(|column| match column.role {
            Role::Feature(_) => true,
            Role::Target(_) => wanted == Use::Evaluate,
            Role::Unused => false,
        });
        let missing: Vec<&Column> =
            wanted_columns.clone().filter(|column| !places.contains_key(column.name.as_str())).collect();
        if let Some(first) = missing.first() {
            let names: Vec<String> = missing.iter().map(|column| column.name.clone()).collect();
            let problem = format!("it has no column {}", listed(names.iter()));
            let help = format!("name the columns as they were in training; it has {}", listed(header.iter()));
            return Err(Error::invalid(subject, problem, with_nearest(&first.name, header, help)));
        }
        if let Some(column) = wanted_columns.clone().find(|column| places[column.name.as_str()].len() > 1) {
            let problem = format!("several columns are called {}", listed([column.name.clone()].iter()));
            return Err(Error::invalid(subject, problem, "rename one, or take it out"));
        }
        let place_of = |column: &Column| places[column.name.as_str()][0];
        let is_known = |name: &String| encoding.columns.iter().any(|column| column.name == *name);
        let left_over: Vec<String> = header.iter().filter(|name| !is_known(name)).cloned().collect();
        let mut remarks = Vec::new();
        if !left_over.is_empty() {
            remarks.push(format!("columns of {subject} that are not used: {}", listed(left_over.iter())));
        }
        Ok(Matching {
            has_header: true,
            features: encoding.features().map(|(column, _)| place_of(column)).collect(),
            target: encoding.target().filter(|_| wanted == Use::Evaluate).map(|(column, _)| place_of(column)),
            remarks,
        })
    }

    /// The places where all columns are there, or those alone that rows are made of, in order.
    fn by_place(encoding: &Encoding, count: usize, wanted: Use, subject: &str) -> Result<Matching, Error> {
        let all = encoding.columns.len();
        let of_features = encoding.features().count();
        let places = |is_wanted: &dyn Fn(&Role) -> bool| {
            let columns = encoding.columns.iter().enumerate();
            columns
                .filter(|(_, column)| is_wanted(&column.role))
                .map(|(place, _)| place)
                .collect::<Vec<usize>>()
        };
        let features = match count {
            _ if count == all => places(&|role| matches!(role, Role::Feature(_))),
            _ if count == of_features && wanted == Use::Predict => (0..count).collect(),
            _ => {
                let problem =
                    format!("a line has {count} columns, and those that the model was trained on have {all}");
                let help = match wanted {
                    Use::Predict => format!("give {all}, or the {of_features} that rows are made of"),
                    Use::Evaluate => format!("give {all}"),
                };
                return Err(Error::invalid(subject, problem, help + ", or a header with their names"));
            }
        };
        let target = places(&|role| matches!(role, Role::Target(_)) && wanted == Use::Evaluate);
        Ok(Matching { has_header: false, features, target: target.first().copied(), remarks: Vec::new() })
    }
}
