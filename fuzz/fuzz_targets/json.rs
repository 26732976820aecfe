//! JSON as a server or client prints it; both entries.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(plans) = planparse::parse(text) {
        let again = planparse::read(text).expect("what is all JSON is read by either entry");
        assert!(again.plans.len() >= plans.len());
    }
});
