//! Stories of signing in and out, and of those who should not get in.

use crate::support::{TestApp, on_both_databases};

on_both_databases! {
    async fn a_link_is_used_up_by_the_button_and_not_by_looking(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let (_, link) = app.invite("Kim Ek", "operator", "").await;
        let mut browser = app.browser();
        for _ in 0..3 {
            let page = browser.get(&link).await;
            assert_eq!(page.status, 200);
            assert!(page.says("Välkommen, Kim Ek"), "{}", page.html);
        }
    }

    async fn whoever_is_not_signed_in_is_led_to_sign_in_and_back(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut browser = app.browser();
        let page = browser.get("/").await;
        assert_eq!((page.status.as_u16(), page.path.as_str(), page.title().as_str()), (200, "/sign-in", "Logga in – grannpost"));
        let mut browser = app.signed_in("admin", "").await;
        let page = browser.get("/").await;
        assert_eq!(page.status, 200);
        assert!(page.says("Kim admin") && page.says("Administratör"), "{}", page.html);
    }
}
