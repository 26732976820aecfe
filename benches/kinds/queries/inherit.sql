SELECT at, count(*) FROM kinds.event WHERE at BETWEEN date '2026-03-01' AND date '2026-03-03' GROUP BY at;
