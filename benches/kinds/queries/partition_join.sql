SELECT p.name, count(*) FROM kinds.reading r JOIN kinds.person p ON p.id = r.device WHERE r.at >= timestamptz '2026-06-01+00' AND r.at < timestamptz '2026-06-03+00' GROUP BY p.name;
