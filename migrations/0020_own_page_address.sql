-- The e-mail address that let a session in, folded: when the person's is another, it was not theirs or is not any more.
ALTER TABLE own_page_session ADD COLUMN email_key TEXT NOT NULL DEFAULT '';
