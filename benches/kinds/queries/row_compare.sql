SELECT * FROM kinds.address WHERE (country, city) > ('country 9', 'city 999') ORDER BY country, city LIMIT 100;
