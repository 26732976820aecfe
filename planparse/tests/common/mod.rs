//! What the tests of several formats share.

/// Leaves of a plan what every format prints and every run gives again.
pub(crate) fn comparable(plan: &planparse::Plan) -> serde_json::Value {
    let mut value = serde_json::to_value(plan).expect("a plan can be written");
    for key in
        ["planning_ms", "execution_ms", "planning_buffers", "jit", "serialization", "query_text"]
    {
        value[key].take();
    }
    for key in ["planning_memory_used_kb", "planning_memory_allocated_kb"] {
        value[key].take();
    }
    for trigger in value["triggers"].as_array_mut().into_iter().flatten() {
        trigger["total_ms"].take();
        // Text names the table only where triggers of several have fired.
        trigger["relation"].take();
    }
    for entry in value["operators"].as_array_mut().into_iter().flatten() {
        let operator = &mut entry["operator"];
        for key in ["buffers", "wal", "workers", "peak_memory_kb", "sort_space_kb", "disk_usage_kb"]
        {
            operator[key].take();
        }
        for key in ["startup_ms", "total_ms"] {
            if operator["actual"].is_object() {
                operator["actual"][key].take();
            }
        }
        // How far the workers of a parallel merge join read differs from run to run.
        if operator["actual"]["loops"].as_f64() > Some(1.0) {
            operator["actual"].take();
        }
        // What is 0 or false, text leaves out.
        let is_nothing = |value: &serde_json::Value| {
            value.as_f64() == Some(0.0) || value.as_bool() == Some(false) || value.is_null()
        };
        if let Some(other) = operator["other"].as_object_mut() {
            other.retain(|key, value| !is_nothing(value) && key != "Maximum Storage");
        }
        let object = operator.as_object_mut().expect("an operator is an object");
        object.retain(|_, value| !is_nothing(value));
    }
    value
}

/// Names the places at which two values differ.
pub(crate) fn difference(one: &serde_json::Value, other: &serde_json::Value) -> String {
    let mut found = String::new();
    let mut open = vec![(String::new(), one, other)];
    while let Some((path, one, other)) = open.pop() {
        match (one, other) {
            (serde_json::Value::Object(a), serde_json::Value::Object(b)) => {
                let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
                for key in keys {
                    let null = &serde_json::Value::Null;
                    let (a, b) = (a.get(key).unwrap_or(null), b.get(key).unwrap_or(null));
                    open.push((format!("{path}.{key}"), a, b));
                }
            }
            (serde_json::Value::Array(a), serde_json::Value::Array(b)) if a.len() == b.len() => {
                open.extend(a.iter().zip(b).map(|(a, b)| (format!("{path}[]"), a, b)));
            }
            (a, b) if a != b => found.push_str(&format!("  {path}: {a} / {b}\n")),
            _ => {}
        }
    }
    found
}
