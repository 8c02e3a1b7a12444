-- Situations: what an alert is about, as a pattern with slots that must be filled in. Versions are kept: an alert's text was
-- made from one of them, and the log says which.
CREATE TABLE situation (
    id         TEXT NOT NULL,
    version    BIGINT NOT NULL,
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('observation', 'information')),
    minutes    BIGINT NOT NULL,
    pattern    TEXT NOT NULL,
    is_current BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id, version)
);
CREATE UNIQUE INDEX situation_current ON situation (id) WHERE is_current = 1;

INSERT INTO situation (id, version, name, kind, minutes, pattern, is_current, created_by, created_at) VALUES
('burglary', 1, 'Inbrott', 'observation', 240,
'Inbrott har nyss skett vid {Plats}.
Håll utkik efter {Vad man ska titta efter}.
{Gör så här=Håll avstånd och ingrip inte.}', 1, 'grannpost', 0),
('vehicle', 1, 'Misstänkt fordon', 'observation', 240,
'Vi söker {Fordon: typ, färg, märke} vid {Plats}.
Kännetecken: {Kännetecken?}.
{Gör så här=Notera tid, plats och färdriktning. Följ inte efter.}', 1, 'grannpost', 0),
('missing', 1, 'Försvunnen person', 'observation', 240,
'En person är försvunnen från {Plats}.
Signalement: {Signalement}.
Sågs senast {När och var}.
{Gör så här=Titta i uthus, i bilar och längs stigar nära dig.}', 1, 'grannpost', 0),
('fraud', 1, 'Bedrägerier i området', 'information', 240,
'Bedragare är i farten i {Plats}.
De {Vad de gör och säger}.
{Gör så här=Lämna inte ut koder och släpp inte in någon du inte känner.}', 1, 'grannpost', 0),
('vandalism', 1, 'Skadegörelse', 'observation', 240,
'Skadegörelse har skett vid {Plats}, {När}.
Håll utkik efter {Vad man ska titta efter}.
{Gör så här=Rör ingenting på platsen.}', 1, 'grannpost', 0);
