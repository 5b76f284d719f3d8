//! Does a share rise or fall on the next day? Three models learn from rolling features of daily prices, and are tested
//! on days that come after all that they have seen.
//!
//! Without an argument, prices are drawn, with a little in them that can be known: the direction of the last five days
//! goes on where the volume is low and turns where it is high. With one, they are read from a CSV file of date, open,
//! high, low, close, adjusted_close, volume and Name, gzipped or not. Of true prices almost nothing can be known this
//! way. That is what the figures say, and no model is chosen here to make them say something else.

mod features;
mod models;
mod portfolio;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use nnc::data::prices::{self, Date};
use nnc::report::{Axis, Color, Corner, Line, PALETTE, Panel, Scale, figure};
use nnc::{Error, files};

use features::{Observation, observations};
use models::MODELS;
use portfolio::{COST, Quality, Returns, YEAR, all_shares, growth, long_short, sharpe};

/// Predicts the next day's direction of shares.
#[derive(Parser)]
struct Arguments {
    /// A CSV file of daily prices, gzipped or not [default: drawn prices]
    prices: Option<PathBuf>,
    /// The folder to write to
    #[arg(long, value_name = "DIR", default_value = "runs/examples/stock_direction")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match stock_direction(arguments.prices.as_deref(), &arguments.out) {
        Ok(()) => {
            println!("written to {}", arguments.out.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// The first part of the days is for training alone. The rest is tested block after block: each model is fitted to all
/// days before a block, scores the block, and is thrown away.
const FIRST_TESTED: f64 = 0.4;
const BLOCKS: usize = 6;

fn stock_direction(file: Option<&Path>, out: &Path) -> Result<(), Error> {
    let prices = file.map_or_else(|| Ok(prices::draw(15, 1500, 1)), prices::read)?;
    let all = observations(&prices);
    let mut dates: Vec<Date> = all.iter().map(|it| it.date).collect();
    dates.dedup();
    let first = (FIRST_TESTED * dates.len() as f64) as usize;
    if dates.len() - first < 20 * BLOCKS {
        let problem =
            format!("there are {} days on which features and the next price are known", dates.len());
        return Err(Error::invalid("prices", problem, "give at least 200"));
    }
    let from = |index: usize| all.partition_point(|it| it.date < dates[index]);
    let tested = &all[from(first)..];
    let shares = prices.chunk_by(|a, b| a.name == b.name).count();
    println!("{shares} shares, tested on {} days from {} on", dates.len() - first, dates[first]);

    let mut scores = MODELS.map(|_| Vec::new());
    for block in 0..BLOCKS {
        let edge = |block: usize| first + (dates.len() - first) * block / BLOCKS;
        let start = dates[edge(block)];
        let end = if block + 1 < BLOCKS { from(edge(block + 1)) } else { all.len() };
        let future = &all[from(edge(block))..end];
        // At the close of `start`, the return up to `start` is the last that is known.
        let past: Vec<Observation> = all.iter().filter(|it| it.next_date <= start).cloned().collect();
        for ((_, fit), scores) in MODELS.iter().zip(&mut scores) {
            scores.extend(fit(&past, future)?);
        }
    }
    report(tested, &scores, out)
}

/// Prints and writes what the scores of the models are worth.
fn report(tested: &[Observation], scores: &[Vec<f64>; MODELS.len()], out: &Path) -> Result<(), Error> {
    let constant = Quality::new(tested, &vec![1.0; tested.len()]).accuracy;
    let mut portfolios = vec![("all shares, held", all_shares(tested), Color(120, 120, 120))];
    let years = portfolios[0].1.dates.len() as f64 / YEAR;
    let mut summary = "model,accuracy,standard_error,area_under_curve,sharpe,sharpe_after_costs\n".to_owned();
    println!("{:<22} right           area under ROC  Sharpe ratio  after costs", "");
    println!("{:<22} {:.2} %         0.500", "always \"it rises\"", 100.0 * constant);
    let (mut better, mut earning) = (0, 0);
    for (((name, _), scores), color) in MODELS.iter().zip(scores).zip(PALETTE) {
        let Quality { accuracy, standard_error, area } = Quality::new(tested, scores);
        let returns = long_short(tested, scores);
        let (before, after) = (sharpe(&returns.before_costs), sharpe(&returns.after_costs));
        let (percent, error) = (100.0 * accuracy, 100.0 * standard_error);
        println!(
            "{name:<22} {percent:.2} ± {error:.2} %  {area:.3}           {before:>5.2}         {after:>5.2}"
        );
        writeln!(summary, "{name},{accuracy},{standard_error},{area},{before},{after}")
            .expect("a string grows");
        better += usize::from(accuracy - constant.max(1.0 - constant) > 2.0 * standard_error);
        earning += usize::from(after > 2.0 / years.sqrt()); // the standard error of a Sharpe ratio near 0
        portfolios.push((name, returns, color));
    }
    let (models, cost) = (MODELS.len(), 100.0 * COST);
    println!(
        "By two standard errors, {better} of {models} models are right more often than a constant guess,"
    );
    println!(
        "and {earning} of {models} portfolios earn something after costs of {cost} % of what is traded."
    );
    println!(
        "The next day's direction is near a coin toss: expect 50 to 53 % of true prices, and distrust more."
    );
    files::write_text(&out.join("summary.csv"), &summary)?;
    files::write_text(&out.join("portfolio.csv"), &table(&portfolios))?;
    files::write_text(&out.join("portfolio.svg"), &plot(&portfolios))
}

/// A portfolio with its name and colour.
type Portfolio<'a> = (&'a str, Returns, Color);

/// What a capital of 1 becomes, day by day, before and after costs.
fn table(portfolios: &[Portfolio]) -> String {
    let (mut header, mut columns) = ("date".to_owned(), Vec::new());
    for (name, returns, _) in portfolios {
        let name = name.replace([' ', '-'], "_").replace(',', "");
        write!(header, ",{name},{name}_after_costs").expect("a string grows");
        columns
            .extend([&returns.before_costs, &returns.after_costs].map(|it| growth(it).collect::<Vec<f64>>()));
    }
    let mut text = header + "\n";
    for (row, date) in portfolios[0].1.dates.iter().enumerate() {
        let values: Vec<String> = columns.iter().map(|column| format!("{:.6}", column[row])).collect();
        writeln!(text, "{date},{}", values.join(",")).expect("a string grows");
    }
    text
}

fn plot(portfolios: &[Portfolio]) -> String {
    let year = |date: &Date| {
        f64::from(date.year) + (f64::from(date.month - 1) + f64::from(date.day - 1) / 31.0) / 12.0
    };
    let panel = |title: &str, of: fn(&Returns) -> &Vec<f64>| {
        let lines = portfolios.iter().map(|(name, returns, color)| {
            Line::new(name, *color, returns.dates.iter().map(year).zip(growth(of(returns))))
        });
        let (x, y) = (Axis::new("year", Scale::Whole), Axis::new("capital, from 1", Scale::Log));
        Panel::new(title, x, y, lines.collect()).legend(Corner::UpperLeft)
    };
    let panels = vec![
        panel("before costs", |returns| &returns.before_costs),
        panel(&format!("after costs of {} % of what is traded", 100.0 * COST), |returns| {
            &returns.after_costs
        }),
    ];
    figure(
        "Long the third likeliest to rise, short the third least likely to, day by day",
        2,
        (600, 440),
        panels,
    )
}
