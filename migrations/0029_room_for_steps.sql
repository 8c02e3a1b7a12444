-- What the gate writes (`gateway`, `stamped_at`) stands in no index of a row that is not in doubt, and pages have room for the next version
-- of a row. PostgreSQL then writes a row that is stamped, or an attempt that ends, beside the one it replaces and touches no index (HOT),
-- and what it logs is the difference.
DROP INDEX delivery_doubt;
CREATE INDEX delivery_doubt ON delivery (id) WHERE state = 'in_doubt';
DROP INDEX delivery_ref;
CREATE INDEX delivery_ref ON delivery (gateway_ref) WHERE gateway_ref IS NOT NULL;
{on postgres}ALTER TABLE delivery SET (fillfactor = 50);
{on postgres}ALTER TABLE attempt SET (fillfactor = 40);

-- Three rows of history for each SMS were entered by their batch, which only `grannpost verify` asked for. It reads the history once instead.
DROP INDEX delivery_event_batch;
