//! A confusion matrix as a picture.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::style::{DrawError, FAINT_INK, FONT, INK, finished, text};
use crate::trainer::ConfusionMatrix;

/// The room left of and above the matrix.
const MARGIN: (i32, i32) = (92, 110);
/// Where the name of the rows stands, upright, left of the names of classes.
const TRUE_LABEL: i32 = 16;
/// The room for the column of recalls, and below the matrix for precisions.
const SUMS: (i32, i32) = (86, 64);
/// The matrix is about as large as this, whatever the number of classes.
const MATRIX: i32 = 520;
/// The least size of a cell in pixels.
const LEAST_CELL: i32 = 6;
/// Cells smaller than this have no numbers in them.
const LEAST_CELL_WITH_TEXT: i32 = 22;

/// White to dark blue and to dark vermilion: what is right, and what is not.
const RIGHT: RGBColor = RGBColor(0, 84, 138);
const WRONG: RGBColor = RGBColor(176, 62, 0);

/// A cell per true class (row) and prediction (column) as an SVG document: the darker, the greater the part of the rows
/// of that class; blue on the diagonal, vermilion off it, on a scale of roots, so that single errors are seen. Recalls
/// stand to the right, precisions below.
///
/// ```
/// use nnc::trainer::ConfusionMatrix;
/// let names = ["cat".to_owned(), "dog".to_owned()];
/// let matrix = ConfusionMatrix::new(&[1.0, 0.0, 0.2, 0.8], &[0, 1], &names);
/// assert!(nnc::report::confusion_plot("mlp on pets", &matrix).starts_with("<svg"));
/// ```
pub fn confusion_plot(title: &str, matrix: &ConfusionMatrix) -> String {
    let mut svg = String::new();
    draw(&mut svg, title, matrix).expect("an SVG document in memory can be written");
    finished(svg)
}

fn draw(svg: &mut String, title: &str, matrix: &ConfusionMatrix) -> Result<(), DrawError> {
    let classes = matrix.classes() as i32;
    let cell = (MATRIX / classes.max(1)).clamp(LEAST_CELL, MATRIX / 3);
    let side = cell * classes;
    let size = (MARGIN.0 + side + SUMS.0, MARGIN.1 + side + SUMS.1);
    let page = SVGBackend::with_string(svg, (size.0 as u32, size.1 as u32)).into_drawing_area();
    page.fill(&WHITE)?;
    let write = |what: &str, at: (i32, i32), size: i32, color: RGBColor, h: HPos| {
        let style = (FONT, size).into_font().color(&color).pos(Pos::new(h, VPos::Center));
        page.draw(&Text::new(what.to_owned(), at, style))
    };
    let middle = |index: i32| index * cell + cell / 2;
    let font = (cell / 3).clamp(9, 17);

    write(title, (MARGIN.0, 24), 21, INK, HPos::Left)?;
    let right = matrix.accuracy().map_or(String::new(), |part| format!("{:.2} % right", 100.0 * part));
    write(&right, (MARGIN.0, 50), 14, FAINT_INK, HPos::Left)?;
    write("predicted", (MARGIN.0 + side / 2, MARGIN.1 - 36), 14, INK, HPos::Center)?;
    let upright = text(14).transform(FontTransform::Rotate270).pos(Pos::new(HPos::Center, VPos::Center));
    page.draw(&Text::new("true", (TRUE_LABEL, MARGIN.1 + side / 2), upright))?;

    for label in 0..classes {
        let rows = matrix.rows_of(label as usize);
        for predicted in 0..classes {
            let count = matrix.count(label as usize, predicted as usize);
            let shade = (count as f64 / rows.max(1) as f64).sqrt();
            let dark = if label == predicted { RIGHT } else { WRONG };
            let corner = (MARGIN.0 + predicted * cell, MARGIN.1 + label * cell);
            let end = (corner.0 + cell, corner.1 + cell);
            page.draw(&Rectangle::new([corner, end], mixed(dark, shade).filled()))?;
            page.draw(&Rectangle::new([corner, end], RGBColor(232, 232, 232)))?;
            if count > 0 && cell >= LEAST_CELL_WITH_TEXT {
                let color = if shade > 0.6 { WHITE } else { INK };
                let at = (corner.0 + cell / 2, corner.1 + cell / 2);
                write(&count.to_string(), at, font, color, HPos::Center)?;
            }
        }
    }
    if cell < LEAST_CELL_WITH_TEXT {
        return page.present();
    }
    for class in 0..classes {
        let percent = |part: Option<f64>| part.map_or("-".into(), |x| format!("{:.1}", 100.0 * x));
        let name = shortened(&matrix.names()[class as usize]);
        let (recall, precision) = (matrix.recall(class as usize), matrix.precision(class as usize));
        let (x, y) = (MARGIN.0 + middle(class), MARGIN.1 + middle(class));
        write(&name, (MARGIN.0 - 8, y), font, INK, HPos::Right)?;
        write(&name, (x, MARGIN.1 - 14), font, INK, HPos::Center)?;
        write(&percent(recall), (MARGIN.0 + side + 44, y), font.min(14), FAINT_INK, HPos::Right)?;
        write(&percent(precision), (x, MARGIN.1 + side + 16), font.min(14), FAINT_INK, HPos::Center)?;
    }
    write("recall, %", (MARGIN.0 + side + 8, MARGIN.1 - 14), 13, FAINT_INK, HPos::Left)?;
    write("precision, %", (MARGIN.0 + side / 2, MARGIN.1 + side + 40), 13, FAINT_INK, HPos::Center)?;
    page.present()
}

/// `part` of the way from white to `dark`.
fn mixed(dark: RGBColor, part: f64) -> RGBColor {
    let mix = |dark: u8| (255.0 + (f64::from(dark) - 255.0) * part).round() as u8;
    RGBColor(mix(dark.0), mix(dark.1), mix(dark.2))
}

/// A name that fits beside its row.
fn shortened(name: &str) -> String {
    const MOST: usize = 10;
    if name.chars().count() <= MOST {
        name.to_owned()
    } else {
        name.chars().take(MOST - 1).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_shows_names_counts_and_ratios() {
        let names = ["cat", "a very long name", "owl"].map(str::to_owned);
        let logits = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
        let svg = confusion_plot("pets", &ConfusionMatrix::new(&logits, &[0, 1, 1, 1], &names));
        for text in ["pets", "75.00 % right", "predicted", "true", "cat", "a very lo…", "66.7", "100.0"] {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
    }

    #[test]
    fn no_class_and_many_classes_can_be_drawn() {
        for classes in [0, 1, 2, 200] {
            let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
            let svg = confusion_plot("odd", &ConfusionMatrix::new(&[], &[], &names));
            assert!(svg.ends_with("</svg>\n"), "{classes}");
        }
    }
}
