//! How figures are put together and shown: medians, tables, one line of JSON.
//!
//! Used by every benchmark when it is done measuring.

use serde_json::Value;

/// The middle one of `values`; the lower of two. There must be one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) / 2]
}

/// Without the digits that mean nothing: two behind the point.
pub fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// A number with a comma between thousands: `1,234,567`.
pub fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len() - place;
        if place > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints rows of equal length as columns, numbers to the right. The first row is the heading.
pub fn print_table(rows: &[Vec<String>]) {
    let columns = rows[0].len();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    for row in rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            line.push_str(&format!("  {cell:>width$}"));
        }
        println!("{}", line.trim_end());
    }
    println!();
}

/// Prints the line for programs: what was measured, and the figures.
pub fn print_json(bench: &str, figures: Value) {
    println!(
        "{}",
        serde_json::json!({ "bench": bench, "figures": figures })
    );
}

/// The arguments of the benchmark's own; cargo adds `--bench`.
pub fn arguments() -> Vec<String> {
    std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect()
}
