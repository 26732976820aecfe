//! The four formats of one statement give the same plan, on plans that `scripts/capture-plans.sh` took from servers 14 to 18.

#![expect(clippy::disallowed_methods, reason = "the test reads files; the library does not")]

mod common;

use std::fs;
use std::path::Path;

use common::{comparable, difference};
use planparse::Format::{Json, Text, Xml, Yaml};
use planparse::OperatorKind;

#[test]
fn the_formats_of_each_captured_statement_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut read = 0;
    for entry in fs::read_dir(folder).expect("the plans are committed") {
        let path = entry.expect("the folder can be listed").path();
        let text = fs::read_to_string(&path).expect("the file can be read");
        let name = path.display();
        let reading = planparse::read(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let formats: Vec<_> = reading.plans.iter().map(|parsed| parsed.format).collect();
        assert_eq!(formats, [Json, Text, Yaml, Xml], "{name}");
        assert_eq!(reading.notes, [], "{name}");
        let first = comparable(&reading.plans[0].plan);
        for parsed in &reading.plans {
            assert_eq!(parsed.problems, [], "{name}");
            let other = comparable(&parsed.plan);
            let differ = difference(&first, &other);
            assert!(other == first, "{name}, {:?}:\n{differ}", parsed.format);
            let unknown =
                |(_, operator): (_, &planparse::Operator)| operator.kind == OperatorKind::Unknown;
            assert!(!parsed.plan.operators().any(unknown), "{name}");
        }
        read += 1;
    }
    assert!(read >= 5 * 20, "{read} files");
}
