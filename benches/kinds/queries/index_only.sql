SELECT country, city, zip FROM kinds.address WHERE country = 'country 3';
