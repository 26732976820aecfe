//! Names and texts that are hard to quote.

use super::random::Random;

/// What names are made of; a number follows, so that no two are equal.
const STEMS: [&str; 12] = [
    "orders",
    "OrderLines",
    "it's \"so\"",
    "größe 表",
    "select",
    "a.b",
    "tab\tand\nline",
    "back\\slash $1 %s",
    " leading and trailing ",
    "--comment /* */",
    "Ωmega",
    "x; DROP TABLE y",
];
/// The longest name that the server keeps whole, in bytes.
const LONGEST: usize = 63;

/// Names, each another one.
#[derive(Debug, Default)]
pub(super) struct Names(usize);

impl Names {
    /// One that was not given out before.
    pub(super) fn next(&mut self, random: &mut Random) -> String {
        self.0 += 1;
        let name = format!("{}{}", random.pick(&STEMS), self.0);
        if !random.chance(20) {
            return name;
        }
        let filler = *random.pick(&["x", "é", "Z "]);
        let mut long = name;
        while long.len() + filler.len() <= LONGEST {
            long.push_str(filler);
        }
        while long.len() < LONGEST {
            long.push('_');
        }
        long
    }
}

/// Text for a comment.
pub(super) fn text(random: &mut Random) -> String {
    let texts = [
        "plain",
        "it's \"quoted\"",
        "back\\slash and $$dollars$$",
        "two\nlines -- and /* more */",
        "größe 表 %s",
        " ",
    ];
    (*random.pick(&texts)).to_owned()
}
