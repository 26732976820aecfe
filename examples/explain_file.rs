//! Reads a file of EXPLAIN output in any format and prints its plans with what makes them slow, using
//! `planparse` as a library: `cargo run --example explain_file -- plan.json`.

use std::io::Write as _;

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("give the file to read"))?;
    let mut out = std::io::stdout().lock();
    for parsed in planparse::read(std::fs::read(path)?)?.plans {
        writeln!(out, "{}", parsed.plan)?;
        for finding in planparse::findings(&parsed.plan) {
            writeln!(out, "- {} {}", finding.what, finding.advice)?;
        }
        let metrics = parsed.plan.metrics();
        let dearest =
            metrics.iter().max_by(|a, b| a.1.exclusive_cost.total_cmp(&b.1.exclusive_cost));
        if let Some((id, metrics)) = dearest {
            let operator = parsed.plan.operator(*id);
            writeln!(
                out,
                "dearest by itself: {}, cost {:.1}",
                operator.node_type, metrics.exclusive_cost
            )?;
        }
    }
    Ok(())
}
