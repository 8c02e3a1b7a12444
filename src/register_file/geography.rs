//! Owns where a person belongs: postcode, place, municipality and watch area of a row against the area tree.
//!
//! It does not know addresses on the map. Invariant: where place, municipality and watch area contradict each other an
//! operator is asked, because an alert to the wrong municipality is the error that matters.

use std::collections::{BTreeMap, HashMap};

use super::finding::Code;
use super::name_cell::capitalised_parts;
use super::row::Draft;
use super::survey::Survey;
use super::{spelling, wording};
use crate::domain::area::{AreaKind, AreaTree, Place, slug};
use crate::domain::contact_person::Field;
use crate::domain::plain_text::{fold, fold_plain};

/// A watch area that is in the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchArea {
    /// Name.
    pub name: String,
    /// Code of its municipality.
    pub municipality: String,
}

/// What is known of the region: tree, places, watch areas and postcodes.
#[derive(Debug, Clone, Default)]
pub struct Geography {
    /// Names of municipalities by code.
    municipalities: BTreeMap<String, String>,
    /// Places by folded name.
    places: HashMap<String, Vec<Place>>,
    /// Names of watch areas by municipality, in the register before the import.
    watch_areas: BTreeMap<String, BTreeMap<String, String>>,
    /// Watch areas that rows of this import make, by municipality.
    made: BTreeMap<String, BTreeMap<String, String>>,
    /// Folded places by five-digit postcode, as the register has them.
    postcodes: HashMap<String, Vec<String>>,
}

impl Geography {
    /// Gathers what is known. `postcodes` are pairs of postcode and place that stand in the register.
    #[must_use]
    pub fn new(
        tree: &AreaTree,
        places: &[Place],
        watch_areas: impl IntoIterator<Item = WatchArea>,
        postcodes: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut geography = Self::default();
        for area in tree.iter().filter(|area| area.kind == AreaKind::Municipality) {
            geography.municipalities.insert(area.code.clone(), area.name.clone());
        }
        for place in places {
            geography.places.entry(fold_plain(&place.name)).or_default().push(place.clone());
        }
        for area in watch_areas {
            let key = fold(&area.name);
            geography.watch_areas.entry(area.municipality).or_default().insert(key, area.name);
        }
        for (postcode, place) in postcodes {
            geography.postcodes.entry(digits(&postcode)).or_default().push(fold_plain(&place));
        }
        geography
    }

    fn name(&self, municipality: &str) -> &str {
        self.municipalities.get(municipality).map_or("", String::as_str)
    }

    fn place(&self, text: &str) -> &[Place] {
        self.places.get(&fold_plain(text)).map_or(&[], Vec::as_slice)
    }

    /// The one known place that `text` is one slip away from.
    fn place_near(&self, text: &str) -> Option<&Place> {
        let folded = fold_plain(text);
        let near = self.places.iter().filter(|(name, _)| spelling::is_one_slip_folded(&folded, name));
        let mut near = near.flat_map(|(_, places)| places);
        let first = near.next()?;
        near.next().is_none().then_some(first)
    }

    /// Whether `place` goes with `postcode` in the file or in the register.
    fn place_has_postcode(&self, place: &str, postcode: &str, survey: &Survey) -> bool {
        let (place, postcode) = (fold_plain(place), digits(postcode));
        survey.has_place(&postcode, &place)
            || self.postcodes.get(&postcode).is_some_and(|places| places.contains(&place))
    }

    /// Whether any postcode that begins with the same two digits stands in the register.
    fn knows_postcodes_like(&self, postcode: &str) -> Option<bool> {
        let postcode = digits(postcode);
        if postcode.len() != 5 || self.postcodes.is_empty() {
            return None;
        }
        Some(self.postcodes.keys().any(|known| known.starts_with(&postcode[..2])))
    }

    /// The municipality that `text` names, and whether in another form than code or name.
    fn municipality(&self, text: &str) -> Option<(String, Form)> {
        let find = |name: &str| {
            let mut all = self.municipalities.iter();
            let is_it = |known: &str| fold(known) == name || (name.is_ascii() && fold_plain(known) == name);
            all.find(|(code, known)| *code == name || is_it(known)).map(|(code, _)| code.clone())
        };
        let name = fold(text);
        if let Some(code) = find(&name) {
            return Some((code, Form::Plain));
        }
        let words: Vec<&str> = name.split(' ').filter(|word| !matches!(*word, "kommun" | "kommuns" | "kn")).collect();
        let bare = words.join(" ");
        let stripped = bare.strip_suffix('s').and_then(&find);
        let by_code = words.iter().find_map(|word| find(word).filter(|code| code == word));
        if let Some(code) = find(&bare).or(stripped).or(by_code) {
            return Some((code, Form::Other));
        }
        let mut near = self.municipalities.iter().filter(|(_, known)| spelling::is_one_slip(&bare, known));
        let first = near.next().filter(|_| near.next().is_none())?;
        Some((first.0.clone(), Form::Slip))
    }

    /// The municipalities that have a watch area of this name.
    fn municipalities_with_area(&self, area: &str) -> Vec<&str> {
        let key = fold(area);
        let with = self.watch_areas.iter().filter(|(_, areas)| areas.contains_key(&key));
        with.map(|(municipality, _)| municipality.as_str()).collect()
    }

    /// The watch area of this name in the municipality: in the register, or made by an earlier row.
    fn watch_area(&self, municipality: &str, name: &str) -> Option<&str> {
        let key = fold(name);
        let in_register = self.watch_areas.get(municipality).and_then(|areas| find_area(areas, &key));
        in_register.or_else(|| self.made.get(municipality).and_then(|areas| find_area(areas, &key)))
    }

    /// Names like `name` in the municipality: the three most like it, by name.
    fn watch_areas_near(&self, municipality: &str, name: &str) -> Vec<String> {
        let bare = name.split('(').next().unwrap_or(name).trim();
        let first_word = |text: &str| fold_plain(text).split(' ').next().unwrap_or_default().to_owned();
        let known = self.watch_areas.get(municipality).into_iter().flat_map(BTreeMap::values);
        let mut near: Vec<(f64, &String)> = known
            .map(|area| {
                let shares_word = first_word(area) == first_word(bare);
                (spelling::likeness(bare, area) + if shares_word { 1.0 } else { 0.0 }, area)
            })
            .filter(|(likeness, _)| *likeness >= 0.7)
            .collect();
        near.sort_by(|(a, a_name), (b, b_name)| b.total_cmp(a).then_with(|| a_name.cmp(b_name)));
        let mut names: Vec<String> = near.into_iter().take(3).map(|(_, name)| name.clone()).collect();
        names.sort();
        names
    }

    /// Notes that a row to be stored makes a watch area.
    pub(super) fn make_area(&mut self, municipality_name: &str, name: &str) {
        let code = self.municipalities.iter().find(|(_, known)| *known == municipality_name);
        let Some(code) = code.map(|(code, _)| code.clone()) else { return };
        if self.watch_area(&code, name).is_none() {
            self.made.entry(code).or_default().insert(fold(name), name.to_owned());
        }
    }
}

/// By name, or by a name that was written without its diacritics.
fn find_area<'a>(areas: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    if let Some(name) = areas.get(key) {
        return Some(name);
    }
    if !key.is_ascii() {
        return None;
    }
    let slug_of_key = slug(key);
    let mut alike = areas.values().filter(|name| slug(name) == slug_of_key);
    let first = alike.next()?;
    alike.next().is_none().then_some(first)
}

/// How a municipality was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// By code or name.
    Plain,
    /// `Östersunds kommun`, `2380 Östersund`.
    Other,
    /// One slip away from the name.
    Slip,
}

/// Reads postcode, place and municipality.
pub(super) fn read(draft: &mut Draft, geography: &Geography, survey: &Survey) {
    let is_foreign = is_foreign(draft, geography);
    read_postcode(draft, is_foreign);
    read_place(draft, geography, survey);
    read_municipality(draft, geography, is_foreign);
    if let (Some(country), false) = (draft.foreign_country.clone(), is_foreign) {
        let country = if country.starts_with('+') { format!("landsnummer {country}") } else { country };
        draft.warn(Code::ForeignNumber, format!("Utländskt nummer ({country})"));
    }
}

/// Reads the watch area; the municipality must have been settled.
pub(super) fn read_area(draft: &mut Draft, geography: &Geography) {
    let text = draft.text(Field::WatchArea).to_owned();
    let municipality = draft.values[Field::Municipality].clone();
    let code = geography.municipalities.iter().find(|(_, name)| **name == municipality).map(|(code, _)| code.as_str());
    if text.is_empty() {
        if code.is_some() {
            draft.ask_for(Code::AreaMissing, "Område saknas. Vilket område gäller?");
        }
        return;
    }
    draft.settle(Field::WatchArea, text.as_str());
    let Some(code) = code else { return };
    if let Some(known) = geography.watch_area(code, &text) {
        return draft.settle(Field::WatchArea, known);
    }
    if geography.watch_areas.get(code).is_none_or(BTreeMap::is_empty) {
        return;
    }
    let near = geography.watch_areas_near(code, &text);
    let message = if near.is_empty() {
        "Området finns inte. Skapa nytt?".to_owned()
    } else {
        format!("Området finns inte. {} eller skapa nytt?", near.join(", "))
    };
    draft.ask(Code::NewArea, message);
    if !draft.confirms(Code::NewArea) {
        draft.offers.extend(near.into_iter().map(|name| (Field::WatchArea, name)));
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Whether the address lies abroad: a foreign prefix to the postcode, or a postcode that is not Swedish beside a place
/// we do not know and a foreign number or no municipality.
fn is_foreign(draft: &Draft, geography: &Geography) -> bool {
    let text = draft.text(Field::Postcode);
    let prefix: String = text.chars().take_while(|c| c.is_alphabetic()).collect();
    if matches!(prefix.to_uppercase().as_str(), "N" | "NO" | "FI" | "FIN" | "DK" | "D" | "DE" | "AX" | "IS") {
        return true;
    }
    let place = draft.text(Field::Place);
    let is_unknown = geography.place(place).is_empty() && geography.place_near(place).is_none() && !place.is_empty();
    let digits = digits(text);
    let is_not_swedish = digits.len() == 4 || (digits.len() == 5 && digits.starts_with('0'));
    let has_reason = draft.foreign_country.is_some() || draft.text(Field::Municipality).is_empty();
    is_unknown && is_not_swedish && has_reason
}

fn read_postcode(draft: &mut Draft, is_foreign: bool) {
    let text = draft.text(Field::Postcode).to_owned();
    if text.is_empty() || is_foreign {
        return draft.settle(Field::Postcode, text);
    }
    let whole = text.strip_suffix(".0").unwrap_or(&text);
    let bare = whole.trim_start_matches(['S', 's', 'E', 'e', '-', '–', ' ']);
    let digits = digits(bare);
    let has_words = bare.chars().any(|c| !c.is_ascii_digit() && !matches!(c, ' ' | '-' | '\u{a0}' | '.'));
    if digits.len() == 5 && !digits.starts_with('0') && !has_words {
        return draft.settle(Field::Postcode, format!("{} {}", &digits[..3], &digits[3..]));
    }
    let message = if has_words || digits.len() == 5 {
        "Postnumret är inte svenskt och utelämnas".to_owned()
    } else {
        let siffror = if digits.len() == 1 { "siffra" } else { "siffror" };
        format!("Postnumret har {} {siffror} och utelämnas", wording::count_word(digits.len()))
    };
    draft.change(Field::Postcode, text, "");
    draft.given.remove(Field::Postcode);
    draft.warn(Code::Postcode, message);
}

fn read_place(draft: &mut Draft, geography: &Geography, survey: &Survey) {
    let text = draft.text(Field::Place).to_owned();
    if let [known, ..] = geography.place(&text) {
        return draft.settle(Field::Place, known.name.as_str());
    }
    if let Some(near) = geography.place_near(&text) {
        let stated = geography.municipality(draft.text(Field::Municipality)).map(|(code, _)| code);
        let agrees = stated.as_ref() == Some(&near.municipality);
        let contradicts = stated.is_some() && !agrees;
        let same_postcode = geography.place_has_postcode(&near.name, draft.text(Field::Postcode), survey);
        if agrees || (same_postcode && !contradicts) {
            draft.change(Field::Place, text, near.name.as_str());
            draft.settle(Field::Place, near.name.as_str());
            return draft.warn(Code::PlaceSpelling, format!("Ort rättad till {}", near.name));
        }
    }
    let is_one_case = !text.chars().any(char::is_uppercase) || !text.chars().any(char::is_lowercase);
    let place = if is_one_case {
        text.to_lowercase().split(' ').map(capitalised_parts).collect::<Vec<_>>().join(" ")
    } else {
        text
    };
    draft.settle(Field::Place, place);
}

fn read_municipality(draft: &mut Draft, geography: &Geography, is_foreign: bool) {
    let text = draft.text(Field::Municipality).to_owned();
    if text.is_empty() {
        return derive(draft, geography, is_foreign);
    }
    let places = geography.place(&draft.values[Field::Place]);
    let lies_in = |code: &str| places.is_empty() || places.iter().any(|place| place.municipality == code);
    let named_after_place = || match geography.place(&text) {
        [place] if lies_in(&place.municipality) => Some((place.municipality.clone(), Form::Other)),
        _ => None,
    };
    let Some((code, form)) = geography.municipality(&text).or_else(named_after_place) else {
        return match places {
            [place, ..] => ask_which(draft, geography, &place.name, &place.municipality),
            [] if is_foreign => ask_foreign(draft),
            [] => draft.ask_for(Code::OutsideArea, "Utanför polisområdet"),
        };
    };
    let name = geography.name(&code).to_owned();
    let is_answered = draft.answered.has(Field::Municipality);
    if !lies_in(&code) && !is_answered {
        let place = &places[0];
        return ask_which(draft, geography, &place.name, &place.municipality);
    }
    let area = draft.text(Field::WatchArea).to_owned();
    if let ([other], true, false) =
        (geography.municipalities_with_area(&area).as_slice(), places.is_empty(), is_answered)
        && *other != code
        && geography.watch_areas.contains_key(&code)
    {
        return ask_which(draft, geography, &area, other);
    }
    if form == Form::Slip && places.is_empty() && !is_answered {
        return draft.ask_for(Code::OutsideArea, format!("Kommunen finns inte. Menade du {name}?"));
    }
    if form != Form::Plain {
        draft.change(Field::Municipality, text, name.as_str());
        draft.warn(Code::MunicipalityForm, format!("Kommun tolkad som {name}"));
    }
    draft.settle(Field::Municipality, name);
}

fn derive(draft: &mut Draft, geography: &Geography, is_foreign: bool) {
    let places = geography.place(&draft.values[Field::Place]);
    let area = draft.text(Field::WatchArea).to_owned();
    let by_area = geography.municipalities_with_area(&area);
    match (places, by_area.as_slice()) {
        ([place], _) => fill_in(draft, geography, &place.municipality, "ort"),
        ([_, ..], _) => draft.ask_for(Code::MunicipalityMissing, "Orten finns i flera kommuner. Vilken gäller?"),
        _ if is_foreign => ask_foreign(draft),
        _ if geography.knows_postcodes_like(&draft.values[Field::Postcode]) == Some(false) => {
            draft.ask_for(Code::OutsideArea, "Utanför polisområdet");
        }
        ([], [one]) => fill_in(draft, geography, one, "område"),
        _ => draft.ask_for(Code::MunicipalityMissing, "Kommun saknas. Vilken kommun gäller?"),
    }
}

fn fill_in(draft: &mut Draft, geography: &Geography, code: &str, from: &str) {
    let name = geography.name(code).to_owned();
    draft.change(Field::Municipality, "", name.as_str());
    draft.settle(Field::Municipality, name.as_str());
    draft.given.insert(Field::Municipality);
    draft.warn(Code::MunicipalityDerived, format!("Kommun ifylld från {from}: {name}"));
}

fn ask_foreign(draft: &mut Draft) {
    draft.ask_for(Code::ForeignAddress, "Adress utanför Sverige: välj kommun för området");
}

fn ask_which(draft: &mut Draft, geography: &Geography, what: &str, municipality: &str) {
    let name = wording::municipality_in_genitive(geography.name(municipality));
    draft.ask_for(Code::PlaceMunicipality, format!("{what} ligger i {name}. Vilken kommun gäller?"));
    draft.offers.push((Field::Municipality, geography.name(municipality).to_owned()));
}
