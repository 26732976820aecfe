-- One row: what tells this cluster from every other.
SELECT s.system_identifier::text AS system_identifier FROM pg_catalog.pg_control_system() AS s
