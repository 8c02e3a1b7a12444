-- The median time to an answer is over what came lately, not over all there is.
CREATE INDEX observation_answered ON observation (received_at) WHERE answered_at IS NOT NULL;
