-- Encoding and collation of the database; where the locale stands has changed with versions 15 and 17.
SELECT
    pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
    d.datcollate AS collate,
    d.datctype AS ctype,
    coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') AS provider,
    coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale') AS locale
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
