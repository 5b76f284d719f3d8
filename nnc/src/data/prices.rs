//! Daily prices of shares: read from a CSV file, or drawn.

use std::fmt;
use std::fmt::Write;
use std::path::Path;
use std::str::FromStr;

use super::records::Records;
use super::synthetic::Draws;
use crate::error::quoted;
use crate::{Error, files};

/// The columns of a file; others are not looked at.
const COLUMNS: [&str; 8] = ["date", "open", "high", "low", "close", "adjusted_close", "volume", "Name"];

/// A day in the Gregorian calendar: `2020-11-25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// The year, to 9999.
    pub year: u16,
    /// The month, from 1 to 12.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
}

/// What a share was worth on a day.
#[derive(Clone, Debug, PartialEq)]
pub struct DailyPrice {
    /// The share.
    pub name: String,
    /// The day.
    pub date: Date,
    /// The first price of the day; all prices are above 0.
    pub open: f64,
    /// The highest.
    pub high: f64,
    /// The lowest.
    pub low: f64,
    /// The last.
    pub close: f64,
    /// The last, as if dividends and splits since had been before.
    pub adjusted_close: f64,
    /// The number of shares traded.
    pub volume: f64,
}

/// The prices in a CSV file, gzipped or not, ordered by share and day. Its first line names the columns `date`, `open`,
/// `high`, `low`, `close`, `adjusted_close`, `volume` and `Name`, in any order and among others.
///
/// # Errors
/// As [`decode`], and where the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<DailyPrice>, Error> {
    decode(&files::read(path)?, &path.display().to_string())
}

/// As [`read`], from the bytes of a file; `subject` is what an error calls it.
///
/// # Errors
/// Where a column is missing, a line is malformed, a price is not above 0 or a share has two prices of a day.
pub fn decode(file: &[u8], subject: &str) -> Result<Vec<DailyPrice>, Error> {
    let mut records = Records::new(file, subject, None)?;
    let header: Vec<String> = match records.next_record()? {
        Some(header) => header.fields().map(str::to_owned).collect(),
        None => Vec::new(),
    };
    let mut places = [0; COLUMNS.len()];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        *place = header.iter().position(|name| name == column).ok_or_else(|| {
            let help = format!("give a table with the columns {}", COLUMNS.join(", "));
            Error::invalid(subject, format!("it has no column `{column}`"), help)
        })?;
    }
    let mut prices = Vec::new();
    while let Some(record) = records.next_record()? {
        let malformed = |problem: String| {
            Error::invalid(
                format!("{subject}, line {}", record.line),
                problem,
                "mend the line, or leave it out",
            )
        };
        if record.len() != header.len() {
            let problem = format!("there are {} fields, in the first line {}", record.len(), header.len());
            return Err(malformed(problem));
        }
        let fields: Vec<&str> = record.fields().collect();
        prices.push(price(places.map(|place| fields[place])).map_err(malformed)?);
    }
    let key = |price: &DailyPrice| (price.name.clone(), price.date);
    prices.sort_by_cached_key(key);
    if let Some(pair) = prices.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
        let problem = format!("{} has two prices of {}", pair[0].name, pair[0].date);
        return Err(Error::invalid(subject, problem, "leave one out"));
    }
    Ok(prices)
}

/// The price that a line's fields, in the order of [`COLUMNS`], say.
fn price(fields: [&str; COLUMNS.len()]) -> Result<DailyPrice, String> {
    let number = |index: usize, least: f64| {
        let (column, field) = (COLUMNS[index], fields[index]);
        let number: f64 = field.parse().map_err(|_| format!("{column} is {}, no number", quoted(field)))?;
        if number.is_finite() && number >= least { Ok(number) } else { Err(format!("{column} is {field}")) }
    };
    let positive = |index: usize| number(index, f64::MIN_POSITIVE);
    Ok(DailyPrice {
        name: fields[7].to_owned(),
        date: fields[0]
            .parse()
            .map_err(|()| format!("date is {}, not like 2020-11-25", quoted(fields[0])))?,
        open: positive(1)?,
        high: positive(2)?,
        low: positive(3)?,
        close: positive(4)?,
        adjusted_close: positive(5)?,
        volume: number(6, 0.0)?,
    })
}

/// The prices as the text of a CSV file, which [`decode`] reads.
pub fn to_csv(prices: &[DailyPrice]) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    for DailyPrice { name, date, open, high, low, close, adjusted_close, volume } in prices {
        let line = format_args!("{date},{open},{high},{low},{close},{adjusted_close},{volume},{name}");
        writeln!(text, "{line}").expect("a string can be written to");
    }
    text
}

/// Drawn prices of shares `S00`, `S01`, .. on as many weekdays from 2010-01-04 on, ordered by share and day. Returns
/// (logarithms of the ratio of two days' closing prices) have a deviation of about 1.5 %, in part that of all shares of
/// the day. A little of them can be known: they go on in the direction of the last five days where the volume was low,
/// and turn where it was high, so that about 55 % of the directions can be predicted.
///
/// ```
/// let prices = nnc::data::prices::draw(2, 100, 7);
/// assert_eq!((prices.len(), prices[100].name.as_str()), (200, "S01"));
/// assert_eq!(prices[100].date.to_string(), "2010-01-04");
/// ```
pub fn draw(shares: usize, days: usize, seed: u64) -> Vec<DailyPrice> {
    let mut market = Draws::new(seed, 4);
    let of_market: Vec<f64> = (0..days).map(|_| market.normal()).collect();
    let mut draws = Draws::new(seed, 5);
    let mut prices = Vec::new();
    for share in 0..shares {
        let (mut close, mut log_volume) = (draws.between(20.0, 200.0), 0.0);
        let mut last_returns = [0.0; MOMENTUM_DAYS];
        for (day, of_market) in of_market.iter().enumerate() {
            let known = expected_direction(&last_returns, log_volume);
            let drawn = MARKET_PART.sqrt() * of_market + (1.0 - MARKET_PART).sqrt() * draws.normal();
            let change = DRIFT + DEVIATION * (known + drawn);
            let open = close * (0.3 * DEVIATION * draws.normal()).exp();
            close *= change.exp();
            let mut beyond = || (0.3 * DEVIATION * draws.normal().abs()).exp();
            let (high, low) = (open.max(close) * beyond(), open.min(close) / beyond());
            log_volume = 0.8 * log_volume + 0.4 * draws.normal();
            let volume = (1e6 * log_volume.exp()).round();
            last_returns.rotate_left(1);
            last_returns[MOMENTUM_DAYS - 1] = change;
            let (name, date) = (format!("S{share:02}"), weekday(day));
            prices.push(DailyPrice { name, date, open, high, low, close, adjusted_close: close, volume });
        }
    }
    prices
}

/// The deviation of a day's return, the mean, and the part of the variance that all shares have in common.
const DEVIATION: f64 = 0.015;
const DRIFT: f64 = 0.0003;
const MARKET_PART: f64 = 0.25;
const MOMENTUM_DAYS: usize = 5;

/// What of the next return is known, in deviations.
fn expected_direction(last_returns: &[f64; MOMENTUM_DAYS], log_volume: f64) -> f64 {
    let sum: f64 = last_returns.iter().sum();
    let momentum = (sum / (DEVIATION * (MOMENTUM_DAYS as f64).sqrt())).tanh();
    momentum * if log_volume > 0.0 { -0.15 } else { 0.3 }
}

/// Number `index` of the weekdays from Monday, 2010-01-04, on.
fn weekday(index: usize) -> Date {
    const FIRST: usize = 14_613; // days since 1970-01-01
    civil_from_days(FIRST + index / 5 * 7 + index % 5)
}

/// The date that is so many days after 1970-01-01 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013,
/// `civil_from_days`).
fn civil_from_days(days: usize) -> Date {
    let days = days + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100); // from March on
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, is_next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    Date { year: (year_of_era + era * 400 + is_next_year) as u16, month: month as u8, day: day as u8 }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = ();

    fn from_str(text: &str) -> Result<Date, ()> {
        let is_like_a_date = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !is_like_a_date {
            return Err(());
        }
        let (year, month, day) = (text[..4].parse(), text[5..7].parse(), text[8..].parse());
        let date = Date { year: year.map_err(drop)?, month: month.map_err(drop)?, day: day.map_err(drop)? };
        let is_date = (1..=12).contains(&date.month) && (1..=31).contains(&date.day);
        if is_date { Ok(date) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        decode(text.as_bytes(), "p.csv").unwrap_err().to_string()
    }

    const HEADER: &str = "date,open,high,low,close,adjusted_close,volume,Name\n";

    #[test]
    fn drawn_prices_come_back_from_a_csv_file() {
        let prices = draw(3, 30, 1);
        assert_eq!(decode(to_csv(&prices).as_bytes(), "p.csv").unwrap(), prices);
        assert_eq!(draw(3, 30, 1), prices);
        assert_ne!(draw(3, 30, 2), prices);
    }

    #[test]
    fn columns_come_in_any_order_and_lines_are_ordered_by_share_and_day() {
        let text = "Name,split,volume,adjusted_close,close,low,high,open,date\n\
                    B,1,0,6,5,4,3,2,2020-11-25\nA,1,9,1,1,1,1,1,2020-11-25\nB,1,7,6,5,4,3,2,2019-12-31\n";
        let prices = decode(text.as_bytes(), "p.csv").unwrap();
        let order: Vec<String> =
            prices.iter().map(|price| format!("{} {}", price.name, price.date)).collect();
        assert_eq!(order, ["A 2020-11-25", "B 2019-12-31", "B 2020-11-25"]);
        let DailyPrice { open, high, low, close, adjusted_close, volume, .. } = prices[1];
        assert_eq!([open, high, low, close, adjusted_close, volume], [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn malformed_lines_are_errors_that_name_the_line() {
        let second = |line: &str| problem(&format!("{HEADER}2020-11-25,1,1,1,1,1,1,A\n{line}\n"));
        let help = "mend the line, or leave it out";
        let short = second("2020-11-26,1");
        assert_eq!(short, format!("p.csv, line 3: there are 2 fields, in the first line 8; {help}"));
        assert!(second("2020-11-26,x,1,1,1,1,1,A").contains("line 3: open is \"x\", no number; "));
        assert!(second("2020-11-26,1,1,1,0,1,1,A").contains("line 3: close is 0; "));
        assert!(second("2020-11-26,1,1,1,1,inf,1,A").contains("line 3: adjusted_close is inf; "));
        assert!(second("2020-11-26,1,1,1,1,1,-1,A").contains("line 3: volume is -1; "));
        for date in ["2020-13-01", "2020-1-01", "25.11.2020", "2020-11-0é", "+202-11-11", "2020-11-00"] {
            let error = second(&format!("{date},1,1,1,1,1,1,A"));
            assert!(error.contains("line 3: date is ") && error.contains("not like 2020-11-25"), "{error}");
        }
        assert_eq!(
            second("2020-11-25,2,2,2,2,2,2,A"),
            "p.csv: A has two prices of 2020-11-25; leave one out"
        );
        assert!(
            problem("date,open\n").contains("it has no column `high`; give a table with the columns date, ")
        );
        assert!(problem("").contains("it has no column `date`"));
    }

    #[test]
    fn weekdays_follow_the_calendar() {
        let dates = [0, 4, 5, 40, 41, 543].map(|index| weekday(index).to_string());
        assert_eq!(
            dates,
            ["2010-01-04", "2010-01-08", "2010-01-11", "2010-03-01", "2010-03-02", "2012-02-02"]
        );
        assert_eq!(civil_from_days(11_016).to_string(), "2000-02-29");
        assert_eq!(civil_from_days(0).to_string(), "1970-01-01");
    }

    #[test]
    fn what_is_known_predicts_the_direction_a_little() {
        let prices = draw(10, 1000, 3);
        let (mut right, mut all) = (0, 0);
        for share in prices.chunk_by(|a, b| a.name == b.name) {
            let returns: Vec<f64> =
                share.windows(2).map(|pair| (pair[1].close / pair[0].close).ln()).collect();
            for (day, last) in returns.windows(MOMENTUM_DAYS).enumerate().take(returns.len() - MOMENTUM_DAYS)
            {
                let today = day + MOMENTUM_DAYS;
                let log_volume = (share[today].volume / 1e6).ln();
                let known = expected_direction(last.try_into().unwrap(), log_volume);
                right += usize::from((known > 0.0) == (returns[today] > 0.0));
                all += 1;
            }
        }
        let accuracy = f64::from(right as u32) / f64::from(all);
        assert!((0.54..0.56).contains(&accuracy), "{accuracy}");
        assert!(prices.iter().all(|p| p.low <= p.open.min(p.close) && p.high >= p.open.max(p.close)));
    }
}
