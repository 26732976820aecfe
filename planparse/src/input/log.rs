//! Takes a server's log apart into its entries, so that no plan runs on into the entry after it.
//!
//! The server begins each further line of a message with a tab. What carries the log (syslog, a container's runtime,
//! Kubernetes) may put words of its own before every line; a client that prints the message puts none, nor a tab.

use std::collections::BTreeMap;

/// A log, rewritten: the lines of one entry stand together, without what was put before them.
pub(super) struct Log {
    pub(super) text: String,
    /// For each line, its index in the text that was given.
    pub(super) lines: Vec<usize>,
    /// The lines on which a part begins: an entry with a plan, or what stands between two of them.
    pub(super) parts: Vec<usize>,
}

/// Returns the milliseconds of a line such as `LOG:  duration: 12.345 ms  plan:`, which `auto_explain` writes before a plan.
pub(super) fn duration(line: &str) -> Option<f64> {
    let line = line.trim_end().strip_suffix("plan:")?.trim_end().strip_suffix("ms")?;
    let (_, duration) = line.rsplit_once("duration: ")?;
    duration.trim().parse().ok()
}

/// Returns the milliseconds on such a line with the place at which a plan in JSON begins, which stands on the same line.
pub(super) fn inline_plan(line: &str) -> Option<(f64, usize)> {
    let at = line.find("plan:")? + "plan:".len();
    let plan = line[at..].trim_start();
    let duration = duration(&line[..at]).filter(|_| plan.starts_with(['{', '[']))?;
    Some((duration, line.len() - plan.len()))
}

/// Takes a log apart; none where no plan is announced in it.
pub(super) fn take_apart(text: &str) -> Option<Log> {
    if !text.contains("plan:") || !text.lines().any(|line| duration(line).is_some()) {
        return None;
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut parts = Parts::default();
    let mut form = Form::default();
    for (at, line) in lines.iter().enumerate() {
        if duration(line).is_some() {
            // Lines of others may come between.
            let mut next = lines[at + 1..].iter().take(16);
            form = next.find_map(|next| Form::of(line, next)).unwrap_or_default();
            let rest = form.rest(line).unwrap_or(line);
            parts.begin(form.source(line, rest), at, line);
            continue;
        }
        let Some(rest) = form.rest(line) else {
            parts.beside(at, line);
            continue;
        };
        let source = form.source(line, rest);
        let further = source.chunk.is_some_and(|chunk| chunk > 1);
        if !parts.is_open(&source.name) {
            parts.beside(at, line);
        } else if rest.trim().is_empty() {
            parts.add(&source.name, at, "");
        } else if let Some(inner) = form.further_line(rest) {
            parts.add(&source.name, at, inner);
        } else if further {
            parts.go_on(&source.name, rest.strip_prefix(' ').unwrap_or(rest));
        } else {
            parts.close(&source.name);
            parts.beside(at, line);
        }
    }
    Some(parts.join())
}

/// What stands before each line of an entry.
#[derive(Default)]
struct Form {
    /// The words of the carrier, with `0` for each number and one space for all white space.
    carrier: String,
    /// The white space between them and the text of a further line.
    margin: String,
    /// Whether the margin alone tells a further line from the first one of an entry.
    separates: bool,
}

/// Whose line it is.
struct Source {
    name: String,
    /// The number of the part that syslog was given, from 1.
    chunk: Option<u32>,
}

impl Form {
    /// Takes the form from the first two lines of an entry with a plan.
    fn of(head: &str, next: &str) -> Option<Self> {
        let brace = || next.trim_end().ends_with('{').then(|| next.rfind('{')).flatten();
        let begins = next.find("Query Text:").or_else(|| next.find("<explain")).or_else(brace);
        let before = &next[..begins?];
        let words = before.trim_end();
        let carrier = shape(words);
        let rest = after(&carrier, head)?;
        let margin = &before[words.len()..];
        let separates = !rest.starts_with(margin);
        Some(Self { separates, margin: margin.to_owned(), carrier })
    }

    /// Returns what follows the words of the carrier.
    fn rest<'a>(&self, line: &'a str) -> Option<&'a str> {
        after(&self.carrier, line)
    }

    /// Returns the text of a further line of an entry.
    fn further_line<'a>(&self, rest: &'a str) -> Option<&'a str> {
        let inner = rest.strip_prefix(self.margin.as_str())?;
        (self.separates || !is_head(inner)).then_some(inner)
    }

    fn source(&self, line: &str, rest: &str) -> Source {
        if self.carrier.is_empty() {
            return Source { name: String::new(), chunk: None };
        }
        let mut words = &line[..line.len() - rest.len()];
        let mut chunk = None;
        if let Some((before, number)) = words.trim_end().strip_suffix(']').and_then(last_number) {
            (words, chunk) = (before, Some(number));
        }
        // The time differs from line to line.
        let kept = words.split_whitespace().filter(|word| !is_time(word));
        Source { name: kept.collect::<Vec<_>>().join(" "), chunk }
    }
}

/// `postgres[12]: [5-2`: what stands before the last number, and the number.
fn last_number(words: &str) -> Option<(&str, u32)> {
    let (before, number) = words.rsplit_once('-')?;
    let entry = before.rsplit_once('[')?.1;
    entry.parse::<u64>().ok()?;
    Some((before, number.parse().ok()?))
}

fn is_time(word: &str) -> bool {
    word.contains(':') && word.starts_with(|c: char| c.is_ascii_digit())
}

/// Writes `0` for each number and a space for all white space.
fn shape(words: &str) -> String {
    let mut shape = String::new();
    for c in words.chars() {
        let c = match c {
            '0'..='9' => '0',
            c if c.is_whitespace() => ' ',
            c => c,
        };
        if !(matches!(c, '0' | ' ') && shape.ends_with(c)) {
            shape.push(c);
        }
    }
    shape
}

/// Returns what follows words of this shape.
fn after<'a>(shape: &str, line: &'a str) -> Option<&'a str> {
    let mut rest = line;
    for c in shape.chars() {
        let inner = match c {
            '0' => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
            ' ' => rest.trim_start(),
            c => rest.strip_prefix(c)?,
        };
        if inner.len() == rest.len() {
            return None;
        }
        rest = inner;
    }
    Some(rest)
}

/// Tells whether an entry begins on a line: it names how grave it is, in whichever language.
pub(crate) fn is_head(line: &str) -> bool {
    const LEVELS: [&str; 16] = [
        "LOG",
        "ERROR",
        "FATAL",
        "PANIC",
        "WARNING",
        "NOTICE",
        "INFO",
        "DETAIL",
        "HINT",
        "CONTEXT",
        "STATEMENT",
        "QUERY",
        "LOCATION",
        "BACKTRACE",
        "DEBUG",
        "DEBUG1",
    ];
    let Some(at) = line.find(": ").filter(|_| line.starts_with(|c: char| !c.is_whitespace()))
    else {
        return false;
    };
    // A prefix has few colons with a space behind them.
    let colons = line[at..].match_indices(": ").take(16);
    for at in colons.map(|(further, _)| at + further) {
        let before = &line[..at];
        // What is in quotes is part of a text.
        if before.contains(['\'', '"']) {
            return false;
        }
        let part_of_word = |c: char| c.is_alphanumeric();
        let word = &before[before.trim_end_matches(part_of_word).len()..];
        let upper = |c: char| c.is_uppercase() || (c.is_alphabetic() && !c.is_lowercase());
        let spelled = word.chars().count() >= 2 && word.chars().all(upper);
        if LEVELS.contains(&word) || (spelled && line[at..].starts_with(":  ")) {
            return true;
        }
    }
    false
}

/// The parts of a log so far.
#[derive(Default)]
struct Parts {
    /// Lines, each with its index in the text that was given.
    list: Vec<Vec<(usize, String)>>,
    /// The entry that is open, for each source.
    open: BTreeMap<String, usize>,
    /// The part that takes what stands between two entries.
    between: Option<usize>,
}

impl Parts {
    fn begin(&mut self, source: Source, at: usize, line: &str) {
        self.between = None;
        self.open.insert(source.name, self.list.len());
        self.list.push(vec![(at, line.to_owned())]);
    }

    fn is_open(&self, source: &str) -> bool {
        self.open.contains_key(source)
    }

    fn close(&mut self, source: &str) {
        self.open.remove(source);
    }

    fn add(&mut self, source: &str, at: usize, line: &str) {
        if let Some(part) = self.open.get(source) {
            self.list[*part].push((at, line.to_owned()));
        }
    }

    /// Adds the rest of a line that was too long for syslog.
    fn go_on(&mut self, source: &str, rest: &str) {
        if let Some((_, line)) = self.open.get(source).and_then(|part| self.list[*part].last_mut())
        {
            line.push_str(rest);
        }
    }

    fn beside(&mut self, at: usize, line: &str) {
        let part = *self.between.get_or_insert_with(|| {
            self.list.push(Vec::new());
            self.list.len() - 1
        });
        self.list[part].push((at, line.to_owned()));
    }

    fn join(self) -> Log {
        let mut log = Log { text: String::new(), lines: Vec::new(), parts: Vec::new() };
        for part in self.list {
            log.parts.push(log.lines.len());
            for (at, line) in part {
                log.text.push_str(&line);
                log.text.push('\n');
                log.lines.push(at);
            }
        }
        log
    }
}
