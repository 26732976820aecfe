SELECT count(*) FROM kinds.person WHERE stay && daterange('2021-01-01', '2021-01-10');
