SELECT upper(country), count(*) FROM kinds.address GROUP BY upper(country);
