//! JSON as a server or client prints it; both entries.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // `parse` also passes over other values before the plans; to `read` they are some other text.
    let plain = text.trim_start().starts_with(['[', '{']);
    if let Some(plans) = planparse::parse(text).ok().filter(|_| plain) {
        let again = planparse::read(text).expect("what is all JSON is read by either entry");
        assert!(again.plans.len() >= plans.len());
    }
});
