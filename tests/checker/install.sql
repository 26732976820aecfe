-- What the checker needs: every move of every row of the journal, written down by a trigger. The journal is
-- made by the program under test, so an event trigger hangs the trigger on it.
CREATE SCHEMA checker;
CREATE TABLE checker.moves (n bigint GENERATED ALWAYS AS IDENTITY, id bigint, old text, new text);
CREATE FUNCTION checker.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO checker.moves (id, old, new)
  VALUES (NEW.id, CASE TG_OP WHEN 'UPDATE' THEN OLD."state" END, NEW."state");
  RETURN NULL;
END $$;
CREATE FUNCTION checker.hang() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_event_trigger_ddl_commands() c
             WHERE c.object_type = 'table' AND c.object_identity = 'pgwright."OptimizationLog"') THEN
    CREATE TRIGGER note AFTER INSERT OR UPDATE ON pgwright."OptimizationLog"
      FOR EACH ROW EXECUTE FUNCTION checker.note();
  END IF;
END $$;
CREATE EVENT TRIGGER checker_hang ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION checker.hang();

-- The moves that the diagram allows, written down a second time on purpose.
CREATE TABLE checker.allowed (old text, new text);
INSERT INTO checker.allowed VALUES
  (NULL, 'intent'),
  ('intent', 'applying'), ('intent', 'aborted'), ('intent', 'conflict'),
  ('applying', 'verifying'), ('applying', 'aborted'), ('applying', 'cleanup_pending'), ('applying', 'conflict'),
  ('verifying', 'observing'), ('verifying', 'kept'), ('verifying', 'aborted'), ('verifying', 'cleanup_pending'),
  ('verifying', 'conflict'),
  ('cleanup_pending', 'verifying'), ('cleanup_pending', 'aborted'), ('cleanup_pending', 'conflict'),
  ('observing', 'kept'), ('observing', 'reverting'), ('kept', 'reverting'),
  ('reverting', 'reverted'), ('reverting', 'revert_pending'), ('reverting', 'conflict'),
  ('revert_pending', 'reverting'), ('conflict', 'reverting');
