//! The store on both databases: imports and the files they come from.

use super::*;

on_both_databases! {
    async fn imports_are_written_published_matched_and_undone(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        contact_person::put(&mut session, &person("p0", Some("+46701740609"), Some("o@example.org"), 2)).await.unwrap();
        let mut new = Import { id: "i1".into(), state: "running".into(), rows_read: 2, file: "{}".into(), created_by: "test".into(), created_at: NOW, seen_at: NOW, undone_at: None };
        import::put(&mut session, &new).await.unwrap();
        assert_eq!(import::running(&mut session).await.unwrap(), [new.clone()]);
        new.state = "stored".into();
        import::put(&mut session, &new).await.unwrap();
        assert_eq!(import::get(&mut session, "i1").await.unwrap(), Some(new.clone()));
        import::add_area(&mut session, ("2380-ny", "Ny", "2380"), "i1", NOW).await.unwrap();
        let made = ContactPerson { import_id: Some("i1".into()), erased_at: Some(import::UNPUBLISHED), area_code: "2380-ny".into(), ..person("p1", Some("+46701740601"), Some("a@example.org"), 3) };
        import::add_persons(&mut session, &[made]).await.unwrap();
        assert_eq!(import::persons(&mut session).await.unwrap(), 1, "what is not published is not seen");
        assert_eq!(import::publish(&mut session, "i1").await.unwrap(), 1);
        assert_eq!(import::persons(&mut session).await.unwrap(), 2);
        let row = |number: i64, action: &str, who: Option<&str>| ImportRow {
            number, line: number + 1, action: action.into(), item: r#"{"name":"x"}"#.into(), cells: Some("[]".into()), updates: None, contact_person_id: who.map(str::to_owned),
        };
        import::add_rows(&mut session, "i1", &[row(1, "new", Some("p1")), row(2, "ask", None)]).await.unwrap();
        import::put_row(&mut session, "i1", &row(2, "skip", None)).await.unwrap();
        assert_eq!(import::row(&mut session, "i1", 2).await.unwrap(), Some(row(2, "skip", None)));
        assert_eq!(import::rows(&mut session, "i1", "", (0, 10)).await.unwrap().len(), 2);
        assert_eq!(import::rows(&mut session, "i1", "new", (0, 10)).await.unwrap(), [row(1, "new", Some("p1"))]);
        assert_eq!(import::counts(&mut session, "i1").await.unwrap().len(), 2);
        for (keys, hits) in [
            (LookUp { numbers: vec!["+46701740601".into()], ..LookUp::default() }, 1),
            (LookUp { emails: vec!["a@example.org".into()], ..LookUp::default() }, 1),
            (LookUp { names: vec![("namn p1".into(), String::new())], ..LookUp::default() }, 1),
            (LookUp { numbers: vec!["+46".into()], ..LookUp::default() }, 0),
        ] {
            assert_eq!(import::matching(&mut session, &keys).await.unwrap().len(), hits, "{keys:?}");
        }
        contact_person::suppress(&mut session, ("fp".into(), "sms"), "opted_out", NOW).await.unwrap();
        assert_eq!(import::suppressed(&mut session, &["fp".into(), "other".into()]).await.unwrap().len(), 1);
        assert_eq!(import::postcodes(&mut session).await.unwrap(), [("837 71".to_owned(), "Duved".to_owned())]);
        let missing: Vec<String> = import::missing(&mut session, &new, ("", 10)).await.unwrap().into_iter().map(|p| p.id).collect();
        assert_eq!(missing, ["p0"]);
        assert_eq!(import::page(&mut session, "p0", 10).await.unwrap().len(), 1);
        assert_eq!(import::sent(&mut session, &new).await.unwrap(), 0);
        import::forget_person(&mut session, "p1").await.unwrap();
        assert_eq!(import::row(&mut session, "i1", 1).await.unwrap().unwrap().item, "{}");
        import::forget_rows(&mut session, "i1").await.unwrap();
        assert_eq!(import::row(&mut session, "i1", 2).await.unwrap().unwrap().cells, None);
        assert_eq!(import::remove_made(&mut session, "i1").await.unwrap(), 1);
        assert!(area::tree(&mut session).await.unwrap().get("2380-ny").is_none());
        assert_eq!(import::latest(&mut session, 10).await.unwrap(), [new.clone()]);
        import::remove(&mut session, "i1").await.unwrap();
        assert_eq!(import::get(&mut session, "i1").await.unwrap(), None);
    }

    async fn a_file_on_its_way_is_kept_in_pieces_until_it_is_forgotten(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let mut draft = ImportDraft { id: "f1".into(), created_by: "operator:1".into(), overrides: "{}".into(), created_at: NOW, ..ImportDraft::default() };
        import_draft::put(&mut session, &draft).await.unwrap();
        import_draft::add_part(&mut session, "f1", (0, "bmFt".into())).await.unwrap();
        assert_eq!(import_draft::get(&mut session, "f1").await.unwrap(), None, "not before all of it has come");
        draft.parts = 1;
        draft.import_id = Some("i1".into());
        import_draft::put(&mut session, &draft).await.unwrap();
        assert_eq!(import_draft::get(&mut session, "f1").await.unwrap(), Some(draft.clone()));
        assert_eq!(import_draft::of_import(&mut session, "i1").await.unwrap(), Some(draft.clone()));
        assert_eq!(import_draft::part(&mut session, "f1", 0).await.unwrap().as_deref(), Some("bmFt"));
        assert_eq!(import_draft::part(&mut session, "f1", 1).await.unwrap(), None);
        assert_eq!(import_draft::forget(&mut session, NOW).await.unwrap(), 0);
        assert_eq!(import_draft::forget(&mut session, NOW + 1).await.unwrap(), 1);
        import_draft::put(&mut session, &draft).await.unwrap();
        import_draft::add_part(&mut session, "f1", (0, "bmFt".into())).await.unwrap();
        import_draft::remove(&mut session, "f1").await.unwrap();
        assert_eq!(import_draft::part(&mut session, "f1", 0).await.unwrap(), None);
    }
}
