//! The analysis of a large workload stays quick.
use super::shop;
use crate::statement::{analyze, classify};
#[test]
fn five_thousand() {
    let t = std::time::Instant::now();
    for n in 0..5000 {
        let text = format!("SELECT o.id, o.status, u.email, sum(i.quantity * i.price) AS total{n} FROM orders o JOIN users u ON u.id = o.user_id LEFT JOIN items i ON i.order_id = o.id WHERE o.status = $1 AND o.created_at > now() - $2::interval AND u.settings->>'theme' = $3 GROUP BY 1, 2, 3 ORDER BY total{n} DESC LIMIT $4");
        classify(&text);
    }
    println!("classify {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let shop = shop();
    for n in 0..5000 {
        let text = format!("SELECT o.id, o.status, u.email, sum(i.quantity * i.price) AS total{n} FROM orders o JOIN users u ON u.id = o.user_id LEFT JOIN items i ON i.order_id = o.id WHERE o.status = $1 AND o.created_at > now() - $2::interval AND u.settings->>'theme' = $3 GROUP BY 1, 2, 3 ORDER BY total{n} DESC LIMIT $4");
        analyze(&text, &shop, &["public".to_owned()]).unwrap();
    }
    println!("analyze {:?}", t.elapsed());
}
