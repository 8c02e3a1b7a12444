//! Copying and restoring, by the built binary.

use crate::support::child;
use crate::support::{TestApp, on_both_databases};

on_both_databases! {
    async fn a_copy_taken_in_use_is_restored_paused_with_everything_in_it(kind: Kind) {
        let mut app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let folder = app.database.folder.path().to_owned();
        let (config, copy) = (folder.join("grannpost.toml"), folder.join("copy"));
        std::fs::write(&config, app.settings()).unwrap();
        let file = copy.to_str().unwrap();
        let backed_up = child::run(&config, &["backup", file]);
        assert!(backed_up.status.success(), "{}", String::from_utf8_lossy(&backed_up.stderr));
        let again = child::run(&config, &["backup", file]);
        assert_eq!(again.status.code(), Some(2), "an existing file is not overwritten");
        app.stop().await;
        let restored = child::run(&config, &["restore", file]);
        let words = String::from_utf8_lossy(&restored.stdout);
        assert!(restored.status.success(), "{words}{}", String::from_utf8_lossy(&restored.stderr));
        assert!(words.contains("1100 kontaktombud"), "{words}");
        assert!(words.contains("i paus"), "{words}");
        let daemon = child::ServeProcess::start(&config);
        let ready = reqwest::Client::new().get(format!("{}/readyz", daemon.base)).send().await.unwrap();
        assert_eq!(ready.status(), 503);
        assert!(ready.text().await.unwrap().contains("restored"));
    }
}
