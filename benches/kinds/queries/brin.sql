SELECT count(*) FROM kinds.person WHERE seen > timestamptz '2025-12-30';
