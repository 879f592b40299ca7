//! Which of the known names a misspelled one was meant to be.
//!
//! Called for settings by `config` and for commands and flags by `cli`.

/// The known name nearest to `misspelled`, if one is near enough to be meant.
///
/// Near is: one begins with the other, or a third of the letters at most were
/// changed, left out, added or swapped with the next.
pub fn nearest<'a>(misspelled: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No name is longer than this; a longer text is no misspelling of one.
    if misspelled.is_empty() || misspelled.len() > 64 {
        return None;
    }
    let wanted = misspelled.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .filter_map(|name| Some((cost(&wanted, name)?, name)))
        .min()
        .map(|(_, name)| name)
}

fn cost(wanted: &str, name: &str) -> Option<usize> {
    let distance = distance(wanted.as_bytes(), name.as_bytes());
    let begins = wanted.len() >= 3 && (name.starts_with(wanted) || wanted.starts_with(name));
    (begins || distance <= wanted.len().div_ceil(3)).then_some(distance)
}

/// Edit distance in bytes; a swap of two neighbours counts once.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_found() {
        let known = [
            "port",
            "secret",
            "poll_hold_ms",
            "log_dir",
            "log_level",
            "doc_root",
        ];
        for (misspelled, meant) in [
            ("prot", Some("port")),
            ("PORT", Some("port")),
            ("secrte", Some("secret")),
            ("poll-hold-ms", Some("poll_hold_ms")),
            ("poll_hold", Some("poll_hold_ms")),
            ("docroot", Some("doc_root")),
            ("log_levels", Some("log_level")),
            ("elephant", None),
            ("", None),
            (&"p".repeat(1000), None),
        ] {
            assert_eq!(nearest(misspelled, known), meant, "{misspelled}");
        }
    }
}
