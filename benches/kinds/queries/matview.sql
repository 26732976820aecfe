SELECT * FROM kinds.city_count ORDER BY people DESC LIMIT 20;
