//! The sample register of 1,100 contact persons.

use grannpost::actions::contact_person::{self, Edit};
use grannpost::domain::contact_person::Field;

use super::{TestApp, root};

impl TestApp {
    /// Loads the sample register in one transaction.
    pub async fn load_sample(&self) {
        let mut reader = csv::Reader::from_path("data/register-sample.csv").unwrap();
        let headings = reader.headers().unwrap().clone();
        let mut session = self.desk.store.begin().await.unwrap();
        for record in reader.records() {
            let record = record.unwrap();
            let fields = headings
                .iter()
                .zip(&record)
                .filter_map(|(name, value)| Some((Field::from_name(name)?, value.to_owned())))
                .collect();
            let edit = Edit { fields, ..Edit::default() };
            contact_person::create(&self.desk, &mut session, &root(), &edit).await.unwrap();
        }
        session.commit().await.unwrap();
    }
}
