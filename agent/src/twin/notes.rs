//! What a person should know of a twin, each once.

/// Sentences in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Vec<String>);

impl Notes {
    pub(super) fn add(&mut self, note: &str) {
        let note = note.replace('\n', " ");
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    pub(super) fn into_inner(self) -> Vec<String> {
        self.0
    }
}
