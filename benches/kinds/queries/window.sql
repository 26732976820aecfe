SELECT * FROM (SELECT device, at, row_number() OVER (PARTITION BY device ORDER BY at DESC) AS n FROM kinds.reading_q1) x WHERE n <= 2;
