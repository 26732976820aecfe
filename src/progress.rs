//! What is going on, on stderr, for as long as it goes on; only on a terminal.

use std::io::IsTerminal as _;
use std::time::Duration;

use agent::applier::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::text;

/// Longer statements are cut: a progress line that wraps cannot be wiped away.
const STATEMENT_COLUMNS: usize = 70;

/// A line at the bottom of the terminal that says what is going on.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Shown only where somebody watches.
    pub(crate) fn new(wanted: bool) -> Self {
        let shown = wanted && std::io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_style(style("{spinner} {msg}"));
        if shown {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self(bar)
    }

    /// Something of which nobody knows how long it takes.
    pub(crate) fn stage(&self, what: &str) {
        self.0.unset_length();
        self.0.set_style(style("{spinner} {msg}"));
        self.0.set_message(what.to_owned());
    }

    /// Something of which so much is done.
    pub(crate) fn part(&self, what: &str, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
        self.0.set_style(style("{spinner} {msg} {bar:24} {pos} of {len}"));
        self.0.set_message(what.to_owned());
    }

    /// A change being carried out or taken back.
    pub(crate) fn applying(&self, event: &Event) {
        match event {
            Event::Waiting { why, .. } => self.stage(&format!("waiting: {}", text::line(why))),
            Event::Started { statement, .. } => {
                self.stage(&text::cut(&text::line(statement), STATEMENT_COLUMNS));
            }
            Event::Progress { phase, done, total, .. } if *total > 0 => {
                self.part(&text::line(phase), *done, *total);
            }
            Event::Progress { phase, .. } => self.stage(&text::line(phase)),
            Event::Recovered { row, what, .. } => {
                let what = text::line(what);
                self.0.suspend(|| {
                    crate::commands::warn(&format!("action {row} of an earlier run: {what}"));
                });
            }
            Event::Finished(_) => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates are constant and right")
        .progress_chars("█▓░")
}
