-- The schema of pageinspect, where it is installed and the role may use it: its functions ask for a superuser.
SELECT n.nspname AS schema
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'pageinspect' AND pg_catalog.current_setting('is_superuser') = 'on'
