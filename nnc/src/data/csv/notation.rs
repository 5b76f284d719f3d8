//! How numbers and missing values are written in a table.

/// What stands for a value that is missing.
const MARKERS: [&str; 9] = ["", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null"];

/// Whether a field stands for a missing value: it is empty, or `?`, `NA`, `N/A`, `NaN` or `null`.
pub fn is_missing(field: &str) -> bool {
    MARKERS.contains(&field) || field == "NULL"
}

/// The number that a field holds: digits with a sign, a decimal mark and an exponent as they may be. Nothing else is a number:
/// digits in groups, units and names of numbers are not.
pub fn number(field: &str, decimal: char) -> Option<f64> {
    let is_of_numbers = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | 'e' | 'E') || c == decimal;
    if !field.chars().all(is_of_numbers) {
        return None;
    }
    match decimal {
        '.' => field.parse().ok(),
        _ => field.replace(decimal, ".").parse().ok(),
    }
}

/// The integer that a field holds, without a decimal mark or an exponent.
pub fn integer(field: &str) -> Option<i64> {
    field.parse().ok()
}

/// What a field is, where it is a number in a notation that is not read.
pub fn other_notation(field: &str, decimal: char) -> Option<&'static str> {
    let is_number = |text: &str| number(text, '.').is_some() || number(text, ',').is_some();
    let unsigned = field.trim_start_matches(['+', '-']);
    let hexadecimal = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
    let is_hexadecimal =
        |digits: &str| !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_hexdigit());
    let without = |marks: &[char]| field.replace(marks, "");
    let has = |marks: &[char]| field.contains(marks);
    let starts_with_digit = unsigned.starts_with(|c: char| c.is_ascii_digit());
    if hexadecimal.is_some_and(is_hexadecimal) {
        return Some("a hexadecimal number");
    }
    if matches!(unsigned.to_ascii_lowercase().as_str(), "inf" | "infinity") {
        return Some("infinite");
    }
    if field.strip_suffix('%').is_some_and(|number| is_number(number.trim_end())) {
        return Some("a percentage");
    }
    const CURRENCIES: [char; 4] = ['$', '€', '£', '¥'];
    if has(&CURRENCIES) && is_number(without(&[' ', ',', '.', '\'', '$', '€', '£', '¥']).as_str()) {
        return Some("an amount of money");
    }
    let (this, that) = if decimal == '.' { ('.', ',') } else { (',', '.') };
    if number(field, that).is_some() {
        return Some(match (that, field.rsplit(that).next().map(str::len)) {
            (',', Some(3)) => "a number with a comma, for decimals or thousands",
            (',', _) => "a number with a decimal comma",
            _ => "a number with a decimal point",
        });
    }
    let ungrouped = without(&[that, ' ', '\u{a0}', '\u{202f}', '\'', '’', '_']);
    if starts_with_digit && ungrouped.len() < field.len() && number(&ungrouped, this).is_some() {
        return Some("a number of digits in groups");
    }
    if starts_with_digit && number(&field.replace(['d', 'D'], "e"), decimal).is_some() {
        return Some("a number whose exponent follows a D");
    }
    let minus = field.replace('\u{2212}', "-");
    (minus != field && number(&minus, decimal).is_some()).then_some("a number with a typographic minus")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_with_a_decimal_mark() {
        for (field, value) in
            [("1", 1.0), ("-2.5", -2.5), ("+.5e-3", 0.0005), ("1700000000.25", 1.7e9 + 0.25)]
        {
            assert_eq!(number(field, '.'), Some(value));
        }
        assert_eq!(number("2,5", ','), Some(2.5));
        for field in ["", "1,5", "nan", "inf", "0x10", "1_000", "10%", "e", "1 2", "٣"] {
            assert_eq!(number(field, '.'), None, "{field}");
        }
        assert_eq!(number("2.5", ','), None);
        assert_eq!((integer("007"), integer("7.0"), integer("7e0")), (Some(7), None, None));
    }

    #[test]
    fn other_notations_are_told_from_words() {
        for (field, what) in [
            ("1,5", "a number with a decimal comma"),
            ("1,234", "a number with a comma, for decimals or thousands"),
            ("1,234,567.5", "a number of digits in groups"),
            ("1 234", "a number of digits in groups"),
            ("1'234.5", "a number of digits in groups"),
            ("10%", "a percentage"),
            ("12,5 %", "a percentage"),
            ("0x1F", "a hexadecimal number"),
            ("$1,200.50", "an amount of money"),
            ("3 €", "an amount of money"),
            ("-inf", "infinite"),
            ("1.5D+03", "a number whose exponent follows a D"),
            ("\u{2212}5", "a number with a typographic minus"),
        ] {
            assert_eq!(other_notation(field, '.'), Some(what), "{field}");
        }
        assert_eq!(other_notation("1.5", ','), Some("a number with a decimal point"));
        assert_eq!(other_notation("1.234,5", ','), Some("a number of digits in groups"));
        for word in ["red", "A1", "12a", "2020-11-25", "12:30", "e5", "1-2", "%", "$", "", "x,y", "dad"] {
            assert_eq!(other_notation(word, '.'), None, "{word}");
        }
    }

    #[test]
    fn markers_stand_for_missing_values() {
        assert!(["", "?", "NA", "NaN", "null", "NULL"].into_iter().all(is_missing));
        assert!(!["0", "none", "na", "-"].into_iter().any(is_missing));
    }
}
