SELECT city, zip FROM kinds.address WHERE zip BETWEEN 3000 AND 3030;
