-- Rows about a delivery are written by the transaction that holds it, thousands at a time. PostgreSQL looks the delivery up and locks it
-- once more for each of them, three times for every SMS, and the message for every person who is frozen. `grannpost verify` looks for
-- rows without a delivery or a message. SQLite looks without a lock, and keeps looking.
{on postgres}ALTER TABLE attempt DROP CONSTRAINT attempt_new_delivery_id_fkey;
{on postgres}ALTER TABLE delivery_event DROP CONSTRAINT delivery_event_new_delivery_id_fkey;
{on postgres}ALTER TABLE message_recipient DROP CONSTRAINT message_recipient_new_delivery_id_fkey;
{on postgres}ALTER TABLE message_recipient DROP CONSTRAINT message_recipient_new_message_id_fkey;
{on postgres}ALTER TABLE delivery DROP CONSTRAINT delivery_new_message_id_fkey;
