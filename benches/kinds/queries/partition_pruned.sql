SELECT avg(value) FROM kinds.reading WHERE at BETWEEN timestamptz '2026-02-01+00' AND timestamptz '2026-02-02+00';
