//! Every example runs, alone, and leaves what it says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nnc::data::prices;

#[allow(dead_code, reason = "the example uses all of it")]
#[path = "../examples/stock_direction/features.rs"]
mod features;

/// The program of an example, which `cargo test` builds beside the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path =
        test.parent().and_then(Path::parent).unwrap().join("examples").join(format!("{name}{EXE_SUFFIX}"));
    assert!(path.exists(), "{} is not there; `cargo build --examples` makes it", path.display());
    path
}

fn run(name: &str, arguments: &[&str], out: &Path) -> Output {
    Command::new(example(name)).args(arguments).arg("--out").arg(out).current_dir(out).output().unwrap()
}

/// Runs an example, checks that it leaves these files, and returns what it prints.
fn printed(name: &str, files: &[&str]) -> String {
    let out = tempfile::tempdir().unwrap();
    let output = run(name, &[], out.path());
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    for file in files {
        let bytes =
            std::fs::read(out.path().join(file)).unwrap_or_else(|error| panic!("{name}, {file}: {error}"));
        assert!(!file.ends_with(".svg") || bytes.starts_with(b"<svg"), "{name}: {file} is no picture");
    }
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), files.len(), "{name} leaves other files, too");
    String::from_utf8(output.stdout).unwrap()
}

/// The numbers in the line that begins so.
fn numbers(text: &str, line: &str) -> Vec<f64> {
    let line = text
        .lines()
        .find_map(|it| it.trim_start().strip_prefix(line))
        .unwrap_or_else(|| panic!("{line}: {text}"));
    line.split([' ', '(']).filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn quick_start_learns_the_digits() {
    let text = printed("quick_start", &["confusion.svg", "history.svg", "mlp.safetensors"]);
    assert!(numbers(&text, "test accuracy")[0] > 95.0, "{text}");
}

#[test]
fn a_model_of_a_table_comes_back_for_two_threads() {
    let text = printed("csv_model", &["digits.safetensors"]);
    assert!(text.contains("rows are scaled: ") && numbers(&text, "two threads predict")[0] > 340.0, "{text}");
}

#[test]
fn a_network_of_two_inputs_tells_digits_apart() {
    let output = Command::new(example("siamese")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(numbers(&text, "")[0] > 93.0, "{text}");
}

/// It says how far drawn points are from the middle of a ring of radius 1.
#[test]
fn a_generator_learns_the_ring() {
    let output = Command::new(example("gan")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let radius = numbers(&text, "drawn points are")[0];
    assert!((radius - 1.0).abs() < 0.15, "{text}");
}

/// It has a row of accuracies, with 100 and 1,000 labels, for each start.
#[test]
fn few_labels_compares_starts() {
    let output = Command::new(example("few_labels")).arg("1").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for start in ["random, relu", "random, sigmoid", "denoising autoencoders, sigmoid", "Boltzmann machines"]
    {
        let found = numbers(&text, start);
        assert!(found[0] > 80.0 && found[2] > 90.0, "{text}");
    }
}

#[test]
fn digits_without_labels_help_a_classifier() {
    let output = Command::new(example("semi_supervised")).arg("1").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let [alone, both] = ["the classifier alone", "with a variational"].map(|name| numbers(&text, name)[0]);
    assert!(both > alone + 1.0, "{text}");
}

#[test]
fn an_autoencoder_with_a_head_classifies_and_draws() {
    let text = printed("two_heads", &["two_heads.safetensors"]);
    assert!(numbers(&text, "")[0] > 90.0 && text.contains("image: f32[1, 64]"), "{text}");
}

#[test]
fn a_custom_layer_learns_what_lines_cannot_separate() {
    let text = printed("custom_layer", &["borders.svg"]);
    assert!(numbers(&text, "Gaussian bumps 2-48-3")[1] > 95.0, "{text}");
    assert!(numbers(&text, "logistic regression")[1] < 75.0, "{text}");
}

#[test]
fn a_custom_loop_makes_a_model_harder_to_deceive() {
    let text = printed("custom_training_loop", &["loss.svg"]);
    let [plain, punished] = ["0  ", "0.3  "].map(|penalty| numbers(&text, penalty)[1]);
    assert!(punished > plain + 10.0, "{text}");
}

#[test]
fn a_focal_loss_learns_the_digits() {
    let text = printed("focal_loss", &["cross_entropy.svg", "focal.svg"]);
    let [cross_entropy, focal] = ["cross entropy", "focal"].map(|line| numbers(&text, line));
    assert!(focal[1] > 94.0 && focal[0] < cross_entropy[0], "{text}");
}

#[test]
fn a_server_of_eight_threads_gives_the_answers_of_one() {
    let text = printed("server", &[]);
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert!(lines.len() == 3 && lines.iter().all(|line| line.ends_with("those of one thread")), "{text}");
}

#[test]
fn activations_tell_vanishing_gradients() {
    let text = printed("activations", &["activations.svg", "depth.svg"]);
    assert!(numbers(&text, "sigmoid     false")[0] < 1e-6, "{text}");
}

/// Cells without gates forget, those whose gates are open do not.
#[test]
fn gradients_reach_far_back_through_open_gates() {
    let text = printed("memory_of_cells", &["memory_of_cells.svg"]);
    let [closed, open] = ["from random weights", "with open gates"].map(|title| text.find(title).unwrap());
    let far = |part: &str, cell: &str| *numbers(part, cell).last().unwrap();
    assert!(far(&text[closed..open], "elman") < 1e-20 && far(&text[closed..open], "lstm") < 1e-6, "{text}");
    assert!(["mgu", "gru", "lstm"].iter().all(|cell| far(&text[open..], cell) > 1e-3), "{text}");
}

#[test]
fn a_loop_of_ones_own_is_trained_through() {
    let text = printed("own_loop", &["own_loop.svg"]);
    let [velocity, measured] = ["of the velocity", "of measurements"].map(|line| numbers(&text, line)[2]);
    assert!((0.08..0.12).contains(&velocity) && (1.8..2.2).contains(&measured), "{text}");
    let [first, learned] = ["first guess", "learned"].map(|line| numbers(&text, line)[0]);
    assert!(learned < 0.8 * first, "{text}");
}

#[test]
fn words_are_written_backwards() {
    let output = Command::new(example("reverse_sequence")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let [greedy, beam] = ["greedy", "beam search"].map(|line| numbers(&text, line)[0]);
    assert!(greedy > 150.0 && beam >= greedy, "{text}");
}

#[test]
fn optimizers_go_down() {
    let text = printed("optimizers", &["optimizers.svg"]);
    assert!(numbers(&text, "Nesterov").last() < Some(&1e-3), "{text}");
}

#[test]
fn plain_networks_become_worse_with_depth_and_residual_ones_do_not() {
    let text = printed("residual_vs_plain", &["residual_vs_plain.svg"]);
    let [plain, residual] = ["26  plain", "26  residual"].map(|line| numbers(&text, line)[0]);
    assert!(plain > residual + 1.0, "{text}");
}

#[test]
fn batch_norm_trains_faster() {
    let text = printed("batchnorm_vs_dropout", &["batchnorm_vs_dropout.svg"]);
    let [neither, norm] = ["neither", "batch norm"].map(|line| numbers(&text, line)[0]);
    assert!(norm < neither, "{text}");
}

#[test]
fn the_direction_of_drawn_prices_is_predicted_a_little() {
    let text = printed("stock_direction", &["portfolio.csv", "portfolio.svg", "summary.csv"]);
    for model in ["logistic regression", "feed-forward network", "boosted trees"] {
        let numbers = numbers(&text, model);
        let (accuracy, area) = (numbers[0], numbers[2]);
        assert!((50.5..56.0).contains(&accuracy) && (0.51..0.58).contains(&area), "{model}: {text}");
    }
}

#[test]
fn prices_that_cannot_be_read_are_an_error_and_leave_nothing() {
    let out = tempfile::tempdir().unwrap();
    let output = run("stock_direction", &["no/such/file.csv"], out.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: no/such/file.csv: cannot read"));
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
}

/// Features of a day are the same whatever comes after it.
#[test]
fn features_do_not_look_ahead() {
    let (shares, days, known) = (3, 60, 40);
    let before = prices::draw(shares, days, 1);
    let mut after = before.clone();
    for price in after.chunks_mut(days).flat_map(|share| &mut share[known..]) {
        for value in [&mut price.open, &mut price.high, &mut price.low, &mut price.close] {
            *value *= 1.5;
        }
        price.adjusted_close *= 1.5;
        price.volume += 1e6;
    }
    let last_known = before[known - 1].date;
    let of = |prices: &[prices::DailyPrice]| {
        let known = features::observations(prices).into_iter().filter(|it| it.date <= last_known);
        known.map(|it| (it.share, it.date, it.features)).collect::<Vec<_>>()
    };
    assert_eq!(of(&before), of(&after));
    assert_eq!(of(&before).len(), shares * (known - 20));
    assert_ne!(features::observations(&before), features::observations(&after));
}

#[test]
fn autoencoders_lose_less_than_components() {
    let text = printed("autoencoder_vs_pca", &["errors.svg", "units.png", "components.png", "study.json"]);
    for size in ["  2 ", "  5 ", " 10 ", " 30 "] {
        let line = text.lines().skip(2).find(|line| line.contains(size)).unwrap();
        let words: Vec<f64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        assert!(words[1] < words[2], "{text}");
    }
}

#[test]
fn layers_tell_of_labels_and_a_bottleneck_forgets_the_rest() {
    let text = printed("information_plane", &["information_plane.svg", "bottleneck.svg"]);
    let [free, tight] = ["0.0001 ", "0.1 "].map(|beta| numbers(&text, beta));
    assert!(free[0] > 10.0 * tight[0] && tight[1] > 2.5 && tight[2] > 95.0, "{text}");
}

#[test]
fn wide_layers_come_near_to_a_function() {
    let text = printed("universal_approximation", &["universal_approximation.svg"]);
    let words =
        |line: &str| line.split_whitespace().map(|word| word.parse::<f64>().unwrap()).collect::<Vec<f64>>();
    let table: Vec<Vec<f64>> = text.lines().skip(1).take(6).map(words).collect();
    assert!(table.windows(2).all(|pair| pair[1][1] < pair[0][1]), "{text}");
    assert!(table[5][0] == 128.0 && table[5][1] < 1e-3 * table[0][1], "{text}");
}
