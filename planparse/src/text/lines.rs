//! Puts lines together again that were broken at a margin, and tells what each is.

use crate::input::is_head;
use crate::text::{Line, detail, header};

/// What a line is by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A node; the text is without the arrow.
    Node,
    /// The heading of an `InitPlan`, `SubPlan` or CTE.
    Label,
    /// Anything else.
    Other,
}

/// A line as `PostgreSQL` printed it.
pub(super) struct Logical {
    pub(super) column: usize,
    pub(super) place: Place,
    /// Whether it stands no further right than the root.
    pub(super) beside: bool,
    pub(super) text: String,
}

impl Logical {
    /// Takes off the white space that may have been part of a broken line.
    fn trimmed(mut self) -> Self {
        self.text.truncate(self.text.trim_end().len());
        self
    }
}

/// What the next line is to the one before it.
enum Next {
    New(Place),
    Continues,
    Noise,
    /// The plan ended before this line.
    Stop,
    /// The plan ended with this line.
    Last,
}

/// Hands on the lines of the plan that begins at `first`; returns the index of the first line after it.
pub(super) fn put_together(
    lines: &[Line<'_>],
    first: usize,
    mut each: impl FnMut(Logical),
) -> usize {
    let mut gather = Gather {
        root: column(lines[first].text),
        pending: None,
        balance: Balance::default(),
        blank: false,
        widest: 0,
        width: 0,
    };
    let mut index = first;
    while let Some(line) = lines.get(index) {
        let trimmed = line.text.trim();
        if trimmed.is_empty() {
            gather.blank = true;
            index += 1;
            continue;
        }
        match gather.next(lines, index, trimmed) {
            Next::New(place) => {
                if let Some(line) = gather.start(line.text, place) {
                    each(line);
                }
            }
            Next::Continues => gather.append(line.text),
            Next::Noise => {}
            Next::Stop => break,
            Next::Last => {
                index += 1;
                break;
            }
        }
        gather.blank = false;
        gather.width = line.text.chars().count();
        gather.widest = gather.widest.max(gather.width);
        index += 1;
    }
    if let Some(line) = gather.pending.take() {
        each(line.trimmed());
    }
    index
}

struct Gather {
    /// The root's column.
    root: usize,
    pending: Option<Logical>,
    balance: Balance,
    /// Whether a blank line came since.
    blank: bool,
    /// The width of the widest line so far, and of the last one.
    widest: usize,
    width: usize,
}

impl Gather {
    fn next(&self, lines: &[Line<'_>], index: usize, line: &str) -> Next {
        let Some(pending) = &self.pending else { return Next::New(Place::Node) };
        if is_rule(line) {
            return Next::Noise;
        }
        if is_row_count(line) || line.starts_with("```") {
            return Next::Last;
        }
        let whole = self.balance.is_even();
        if let Some(node) = arrow(line) {
            let is_node = || {
                let header = header::read(node);
                header.known || header.figures
            };
            if whole || is_node() {
                return Next::New(Place::Node);
            }
        }
        if is_label(line) && next_is_node(lines, index) {
            return Next::New(Place::Label);
        }
        let column = column(lines[index].text);
        if column <= self.root && (whole || line.contains("  (cost=")) && header::opens_plan(line) {
            return Next::Stop;
        }
        if column <= self.root && whole && line.contains(":  ") && is_head(line) {
            return Next::Stop;
        }
        // Greenplum tells after the nodes what memory each of its slices took.
        if line.starts_with("(slice") {
            return Next::New(Place::Other);
        }
        let footers = pending.beside;
        if is_trigger(line) {
            return Next::New(Place::Other);
        }
        // What was broken at the margin goes on at the very left, whatever it looks like.
        let broken = self.at_margin() && column <= self.root.max(1) && !self.blank;
        if let Some((key, _)) = detail::split(line) {
            if is_beside(key) || (footers && is_below_heading(key)) {
                return Next::New(Place::Other);
            }
            if broken {
                return Next::Continues;
            }
            if detail::is_known(key) {
                return Next::New(Place::Other);
            }
            if is_client_time(line) {
                return Next::Noise;
            }
            if whole && !(self.blank && column <= self.root) {
                return Next::New(Place::Other);
            }
        }
        match (whole, self.blank) {
            (false, false) => Next::Continues,
            (true, false) if broken => Next::Continues,
            (_, true) => Next::Stop,
            _ if header::modified(line).is_some() && column > self.root => Next::New(Place::Other),
            _ if footers && !pending.text.starts_with("Settings:") => Next::Stop,
            _ if column == pending.column
                && pending.place == Place::Other
                && column > self.root =>
            {
                Next::New(Place::Other)
            }
            _ if pending.place == Place::Node && column > self.root && self.is_below(column) => {
                Next::New(Place::Other)
            }
            _ => Next::Continues,
        }
    }

    /// Tells whether a line stands where the details of the pending node do.
    fn is_below(&self, column: usize) -> bool {
        self.pending.as_ref().is_some_and(|pending| {
            let indent = if pending.column == self.root { 2 } else { 6 };
            column == pending.column + indent
        })
    }

    /// Begins a line; returns the one before it.
    fn start(&mut self, raw: &str, place: Place) -> Option<Logical> {
        let trimmed = raw.trim_start();
        let text = if place == Place::Node { arrow(trimmed).unwrap_or(trimmed) } else { trimmed };
        let column = column(raw);
        let is_root = self.pending.is_none() && self.widest == 0;
        let beside = !is_root
            && place == Place::Other
            && (column <= self.root || detail::split(text).is_some_and(|(key, _)| is_beside(key)));
        self.balance = Balance::default();
        self.balance.go_on(text);
        self.pending
            .replace(Logical { column, place, beside, text: text.to_owned() })
            .map(Logical::trimmed)
    }

    /// Tells whether the line before is as wide as any, so that it may have been broken there.
    fn at_margin(&self) -> bool {
        self.width >= 60 && self.width + 1 >= self.widest
    }

    /// Adds the rest of a broken line. A break within a text constant may be the constant's own.
    fn append(&mut self, raw: &str) {
        let at_margin = self.at_margin();
        let Some(pending) = &mut self.pending else { return };
        let mut start = pending.text.len();
        if at_margin {
            pending.text.push_str(raw);
        } else if self.balance.quote == Some(b'\'') || self.balance.is_even() {
            pending.text.push('\n');
            pending.text.push_str(raw);
        } else if raw.starts_with([' ', '\t']) {
            pending.text.truncate(pending.text.trim_end().len());
            start = pending.text.len();
            pending.text.push(' ');
            pending.text.push_str(raw.trim_start());
        } else {
            pending.text.push_str(raw);
        }
        self.balance.go_on(&pending.text[start..]);
    }
}

/// Counts brackets and quotes; `PostgreSQL` prints each with its partner.
#[derive(Default)]
struct Balance {
    depth: i64,
    quote: Option<u8>,
}

impl Balance {
    fn go_on(&mut self, text: &str) {
        for byte in text.bytes() {
            match (self.quote, byte) {
                (Some(open), byte) if byte == open => self.quote = None,
                (Some(_), _) => {}
                (None, b'\'' | b'"') => self.quote = Some(byte),
                (None, b'(' | b'[') => self.depth += 1,
                (None, b')' | b']') => self.depth -= 1,
                _ => {}
            }
        }
    }

    fn is_even(&self) -> bool {
        self.depth <= 0 && self.quote.is_none()
    }
}

/// Returns the column at which a line begins, from 0; a tab counts for four.
pub(crate) fn column(line: &str) -> usize {
    let space = line.chars().take_while(|c| c.is_whitespace());
    space.map(|c| if c == '\t' { 4 } else { 1 }).sum()
}

/// Returns what follows the arrow of a node.
fn arrow(line: &str) -> Option<&str> {
    let node = line.strip_prefix("->")?;
    let separate = node.starts_with([' ', '\t']);
    let node = node.trim_start();
    (separate && node.starts_with(|c: char| c.is_uppercase())).then_some(node)
}

pub(crate) fn is_label(line: &str) -> bool {
    let named = |prefix: &str| {
        line.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    named("InitPlan") || named("SubPlan") || (named("CTE") && !line.starts_with("CTE Scan"))
}

fn next_is_node(lines: &[Line<'_>], index: usize) -> bool {
    let after = lines[index + 1..].iter().map(|line| line.text.trim());
    let mut said = after.take(4).filter(|line| !line.is_empty() && !is_rule(line));
    said.next().is_some_and(|line| line.starts_with("->"))
}

/// Tells whether a line with this key is one that EXPLAIN prints after the nodes.
pub(super) fn is_beside(key: &str) -> bool {
    matches!(
        key,
        "Planning Time"
            | "Planning time"
            | "Execution Time"
            | "Execution time"
            | "Total runtime"
            | "Total Runtime"
            | "Settings"
            | "Query Identifier"
            | "Query Parameters"
            | "Planning"
            | "Serialization"
            | "JIT"
    ) || key.starts_with("JIT for worker ")
}

/// Tells whether a line with this key stands below a heading after the nodes.
fn is_below_heading(key: &str) -> bool {
    matches!(key, "Functions" | "Options" | "Timing" | "Memory" | "Buffers" | "I/O Timings")
}

fn is_trigger(line: &str) -> bool {
    line.starts_with("Trigger")
        && ["calls=", ": time=", " for constraint "].iter().any(|mark| line.contains(mark))
}

/// `(7 rows)` in whichever language.
pub(super) fn is_row_count(line: &str) -> bool {
    let Some(inner) = line.strip_prefix('(').and_then(|line| line.strip_suffix(')')) else {
        return false;
    };
    let mut words = inner.split(' ');
    words.next().is_some_and(|count| !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit()))
        && words.next().is_some_and(|word| word.chars().all(char::is_alphabetic))
        && words.next().is_none()
}

/// A line that is drawn.
pub(crate) fn is_rule(line: &str) -> bool {
    let drawn = |c: char| "-+=|_─═┼╪│┬┴├┤┌┐└┘╔╗╚╝║ ".contains(c);
    line.chars().all(drawn) && line.chars().count() >= 3 && !line.starts_with("->")
}

/// What psql's `\timing` prints.
fn is_client_time(line: &str) -> bool {
    ["Time: ", "Temps : ", "Temps: ", "Zeit: "].iter().any(|word| line.starts_with(word))
        && line.contains(" ms")
}
