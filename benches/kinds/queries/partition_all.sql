SELECT kind, avg(value) FROM kinds.reading GROUP BY kind;
