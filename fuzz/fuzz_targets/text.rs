//! Any bytes, in whichever format they look like; and everything that a plan offers.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(reading) = planparse::read(bytes) else { return };
    for parsed in &reading.plans {
        let plan = &parsed.plan;
        let metrics = plan.metrics();
        assert_eq!(metrics.len(), plan.operators().count());
        assert!(metrics.values().all(|metric| metric.exclusive_ms.is_none_or(|ms| ms >= 0.0)));
        // An operator whose type is printed as nothing has an empty shape.
        let _ = (plan.to_string(), plan.shape());
        planparse::summary(plan);
    }
});
