//! The sample register of 1,100 contact persons.

use grannpost::actions::Desk;
use grannpost::actions::contact_person::{fill, place_in_tree};
use grannpost::domain::contact_person::{CONFIRMED_HOUSEHOLDS, Field, Values, validate};
use grannpost::store;
use grannpost::store::contact_person::ContactPerson;

use super::TestApp;

impl TestApp {
    /// Loads the sample register in one transaction.
    pub async fn load_sample(&self) {
        load_sample(&self.desk).await;
    }
}

/// Loads the sample register in one transaction.
pub async fn load_sample(desk: &Desk) {
    let mut reader = csv::Reader::from_path("data/register-sample.csv").unwrap();
    let headings = reader.headers().unwrap().clone();
    let mut session = desk.store.begin().await.unwrap();
    let mut tree = store::area::tree(&mut session).await.unwrap();
    for record in reader.records() {
        let mut values = Values::default();
        for (name, value) in headings.iter().zip(&record.unwrap()) {
            if let Some(field) = Field::from_name(name) {
                value.clone_into(&mut values[field]);
            }
        }
        let person = validate(&values, &tree, &CONFIRMED_HOUSEHOLDS).unwrap();
        let place = (person.municipality.as_str(), person.watch_area.as_str());
        let area = place_in_tree(desk, &mut session, &tree, place).await.unwrap();
        if tree.get(&area).is_none() {
            tree = store::area::tree(&mut session).await.unwrap();
        }
        let mut row = ContactPerson { id: desk.id(), created_at: desk.now(), ..ContactPerson::default() };
        fill(&mut row, &person, &area, desk.now());
        store::contact_person::put(&mut session, &row).await.unwrap();
    }
    session.commit().await.unwrap();
}
