#![allow(clippy::all, clippy::pedantic, clippy::disallowed_methods)]
fn main() {
    for f in std::env::args().skip(1) {
        let b = std::fs::read(&f).unwrap();
        println!("=== {f}");
        match planparse::read(&b) {
            Err(e) => println!("  ERR {e}"),
            Ok(r) => {
                for p in &r.plans {
                    println!("  {:?} line {} ops {} dur {:?} exec {:?} q {:?}", p.format, p.line, p.plan.operators().count(), p.plan.duration_ms, p.plan.execution_ms, p.plan.query_text.as_deref().map(|q| q.chars().rev().take(60).collect::<String>().chars().rev().collect::<String>()));
                    let s = p.plan.shape(); println!("    {}", s.chars().take(200).collect::<String>());
                    for x in p.problems.iter().take(6) { println!("    ! {x}"); }
                }
                for n in &r.notes { println!("  note {n}"); }
            }
        }
    }
}
