//! Rows that the messy register does not hold, each under the general rule it belongs to.

use super::acceptance::Register;

/// One good row, changed in the columns named; then action, codes and message.
type Case = (&'static [(&'static str, &'static str)], &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    // Names.
    (&[("Namn", "LUNDQVIST, Eva-Lena")], "warn", "name_order", "Namnet vändes: Eva-Lena Lundqvist"),
    (&[("Namn", "Eva LUNDQVIST")], "warn", "name_case", "Namnet skrevs om: Eva Lundqvist"),
    (&[("Namn", "Per/Lisa Ek")], "ask", "two_people", "Två personer i samma rad?"),
    (&[("Namn", "Åsa Ã–berg")], "warn", "mojibake", "Teckenkodning rättad: Åsa Öberg"),
    (&[("Namn", "#NAMN?")], "reject", "no_name", "Namn saknas"),
    (&[("Namn", "=A1")], "ask", "formula", "Cellen innehåller en formel. Skriv in värdet i stället."),
    (
        &[("Namn", "G\u{fffd}ran Ek")],
        "ask",
        "lost_letter",
        "Bokstäver har gått förlorade: G\u{fffd}ran Ek. Skriv in texten igen.",
    ),
    // Numbers and addresses.
    (&[("Mobil", "okänt"), ("E-post", "")], "warn", "placeholder;unreachable", "Nås bara per brev"),
    (&[("Mobil", "+45 20 12 34 56")], "warn", "foreign_number", "Utländskt nummer (Danmark)"),
    (&[("Mobil", "="), ("E-post", "eva@example.org")], "warn", "placeholder", "”=” tolkat som tomt"),
    (&[("Mobil", "=\"0701745001\"")], "ask", "formula", "Cellen innehåller en formel. Menade du 0701745001?"),
    (&[("Mobil", "077-112 34 56")], "warn", "landline", "Numret är inget mobilnummer: kan inte få sms"),
    (
        &[("Mobil", "0701745001"), ("Telefon 2", "fråga Olle")],
        "ask",
        "letter_in_number",
        "Telefon 2: Numret innehåller annat än siffror. Skriv in det igen.",
    ),
    (&[("E-post", "eva@räksmörgås.example.org")], "new", "", ""),
    (
        &[("Adress", "=HYPERLINK(\"http://x\";\"Storgatan 1\")")],
        "ask",
        "formula",
        "Cellen innehåller en formel. Menade du Storgatan 1?",
    ),
    // Whom a row is about.
    (&[("Anteckning", "Personnr 19811218-9876")], "ask", "personal_number", "Personnummer får inte sparas i registret"),
    (
        &[("Anteckning", "sekretessmarkerad")],
        "ask",
        "protected_identity",
        "Skyddade personuppgifter: bara administratör kan gå vidare",
    ),
    (&[("Brev", "nej tack"), ("SMS", "nej tack")], "ask", "opted_out", "Har tackat nej. Ska personen spärras?"),
    (&[("Brev", "nej"), ("SMS", "nej")], "new", "", ""),
    (
        &[("Namn", "Anna Hedin"), ("Mobil", "070-174 50 99"), ("Adress", "Fäbodvägen 30")],
        "ask",
        "possible_duplicate:register",
        "Troligen samma person som Anna Hedin i registret. Slå ihop?",
    ),
    (
        &[("Namn", "Olle Hedin"), ("Mobil", "070-174 31 68")],
        "warn",
        "shared_number:register",
        "Delar mobil med Anna Hedin: får ett sms tillsammans",
    ),
    (
        &[("Namn", "Olle Hedin"), ("E-post", "ANNA.HEDIN@example.org")],
        "warn",
        "shared_email:register",
        "Delar e-post med Anna Hedin",
    ),
    // Where.
    (&[("Postnr", "831")], "warn", "postcode", "Postnumret har tre siffror och utelämnas"),
    (&[("Postnr", "831411")], "warn", "postcode", "Postnumret har sex siffror och utelämnas"),
    (&[("Postnr", "SE-83141"), ("Ort", "OSTERSUND"), ("Kommun", "ostersund")], "new", "", ""),
    (&[("Ort", "Östersnd")], "warn", "place_spelling", "Ort rättad till Östersund"),
    (&[("Ort", "Lillbyn")], "new", "", ""),
    (
        &[("Ort", "Brunflo"), ("Kommun", "Bräcke"), ("Område", "Gällö")],
        "ask",
        "place_municipality",
        "Brunflo ligger i Östersunds kommun. Vilken kommun gäller?",
    ),
    (
        &[("Ort", ""), ("Kommun", "Krokom"), ("Område", "Järpen Centrum")],
        "ask",
        "place_municipality",
        "Järpen Centrum ligger i Åre kommun. Vilken kommun gäller?",
    ),
    (
        &[("Ort", "Brunflo"), ("Kommun", ""), ("Område", "Brunflo Centrum")],
        "warn",
        "municipality_derived",
        "Kommun ifylld från ort: Östersund",
    ),
    (
        &[("Ort", ""), ("Kommun", ""), ("Område", "Brunflo Centrum")],
        "warn",
        "municipality_derived",
        "Kommun ifylld från område: Östersund",
    ),
    (
        &[("Ort", ""), ("Kommun", ""), ("Område", ""), ("Postnr", "")],
        "ask",
        "municipality_missing",
        "Kommun saknas. Vilken kommun gäller?",
    ),
    (
        &[("Ort", "Gävle"), ("Kommun", "Gävle"), ("Postnr", "803 20"), ("Område", "")],
        "ask",
        "outside_area",
        "Utanför polisområdet",
    ),
    (
        &[("Ort", "Gävle"), ("Kommun", ""), ("Postnr", "803 20"), ("Område", "")],
        "ask",
        "outside_area",
        "Utanför polisområdet",
    ),
    (
        &[("Ort", "Svenstavik"), ("Kommun", "Bergs kommun"), ("Område", "svenstavik")],
        "warn",
        "municipality_form",
        "Kommun tolkad som Berg",
    ),
    (
        &[("Ort", "Meråker"), ("Postnr", "N-7530"), ("Kommun", ""), ("Område", "Storlien")],
        "ask",
        "foreign_address",
        "Adress utanför Sverige: välj kommun för området",
    ),
    (
        &[("Område", "Torvalla Ny")],
        "ask",
        "new_area",
        "Området finns inte. Torvalla Centrum, Torvalla Fagervallen, Torvalla Karlslund eller skapa nytt?",
    ),
    (&[("Område", "Helt nytt")], "ask", "new_area", "Området finns inte. Skapa nytt?"),
    (&[("Område", "")], "ask", "area_missing", "Område saknas. Vilket område gäller?"),
    // The small columns.
    (&[("Antal hushåll", "maj-12")], "ask", "households_date", "Antal hushåll har blivit ett datum"),
    (&[("Antal hushåll", "350")], "ask", "households_range", "350 hushåll är ovanligt mycket. Stämmer det?"),
    (&[("Antal hushåll", "")], "warn", "households_default", "Antal hushåll saknas: räknas som 1"),
    (&[("Språk", "klingonska")], "warn", "language_default", "Okänt språk, svenska används"),
    (&[("SMS", "FALSKT")], "warn", "yes_no", "”FALSKT” tolkat som nej"),
    (&[("Brev", "kanske")], "ask", "yes_no_unclear", "Ska vara ja eller nej, brev: kanske"),
    (&[("Anteckning", "a\u{7}b")], "warn", "control_character", "Styrtecken borttagna"),
    // Several at once: every code, the question first.
    (
        &[("Mobil", "701745001"), ("Antal hushåll", "ca 12"), ("Språk", "xx"), ("Postnr", "1")],
        "warn",
        "leading_zero;postcode;households_text;language_default",
        "Inledande nolla tillagd: 070-174 50 01",
    ),
    (
        &[("Mobil", "701745001"), ("E-post", "eva@@example.org"), ("Ort", "Östersnd")],
        "ask",
        "leading_zero;email_invalid;place_spelling",
        "Ogiltig e-postadress",
    ),
];

const COLUMNS: [(&str, &str); 14] = [
    ("Namn", "Eva Testlund"),
    ("Mobil", "070-174 50 01"),
    ("Telefon 2", ""),
    ("E-post", ""),
    ("Adress", "Skolvägen 1"),
    ("Postnr", "831 41"),
    ("Ort", "Östersund"),
    ("Kommun", "Östersund"),
    ("Område", "Odensala Norra"),
    ("Antal hushåll", "9"),
    ("Språk", "svenska"),
    ("Brev", "Ja"),
    ("SMS", "Ja"),
    ("Anteckning", ""),
];

#[test]
fn rows_never_seen_before_get_the_general_rule() {
    let register = Register::with_sample();
    for (changes, action, codes, message) in CASES {
        let cells = COLUMNS
            .map(|(name, text)| changes.iter().find(|(changed, _)| *changed == name).map_or(text, |(_, text)| text));
        let mut writer = csv::WriterBuilder::new().delimiter(b';').from_writer(Vec::new());
        writer.write_record(COLUMNS.map(|(name, _)| name)).unwrap();
        writer.write_record(cells).unwrap();
        let row = &register.plan(&writer.into_inner().unwrap())[0];
        assert_eq!(
            (row.action.code(), row.codes.join(";").as_str(), row.message.as_str()),
            (*action, *codes, *message),
            "{changes:?}"
        );
    }
}
