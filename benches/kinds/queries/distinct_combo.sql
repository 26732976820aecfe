SELECT country, region, count(*) FROM kinds.address GROUP BY country, region;
