SELECT * FROM kinds.address WHERE country = 'country 7' AND region = 'region 107' AND city = 'city 1107';
