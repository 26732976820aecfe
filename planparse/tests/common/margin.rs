//! What a narrow terminal does to a text.

/// Breaks each line at a margin, as a terminal does.
pub(crate) fn broken_at(text: &str, margin: usize) -> String {
    let mut broken = String::new();
    for line in text.lines() {
        let letters: Vec<char> = line.chars().collect();
        for part in letters.chunks(margin) {
            broken.extend(part);
            broken.push('\n');
        }
    }
    broken
}
