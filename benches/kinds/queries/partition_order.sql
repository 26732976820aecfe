SELECT * FROM kinds.reading WHERE device = 17 ORDER BY at DESC LIMIT 10;
