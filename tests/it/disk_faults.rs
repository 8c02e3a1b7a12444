//! Faults below the database and around the process: a full or broken disk, a locked or damaged file, a kill between two writes,
//! a clock that lies, logs that cannot be written (`docs/faults.md`, A3, A7, D1 to D4, D8, D9, E1, G10).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use grannpost::ambient::Clock;
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::crash::Scene;
use crate::support::child::{self, BINARY, ServeProcess};
use crate::support::faults::{Draw, not_here, seeds, tell};
use crate::support::{Api, Database, Kind, TestApp, on_both_databases, settings};

const SHORT: &str = "dispatch.lease_seconds = 1\ndispatch.in_doubt_grace_seconds = 1\n";

fn alert(areas: &[&str]) -> Value {
    json!({ "text": "Röd skåpbil söks", "areas": areas, "decided_by": "Vakthavande befäl", "undo_seconds": 0 })
}

/// One that goes tomorrow.
fn waiting_alert() -> Value {
    let mut wanted = alert(&["2326"]);
    let at = Clock::System.now().checked_add(jiff::SignedDuration::from_hours(20)).unwrap();
    wanted["send_at"] = json!(at.to_string());
    wanted
}

/// Whether strace may be used here; the row says so when not.
fn has_strace(row: &str, kind: Kind) -> bool {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|out| out.status.success());
    if !works {
        not_here(row, &format!("{kind:?}"), "strace is missing or may not trace; make setup-test-faults installs it");
    }
    works
}

/// strace as a child of the program, so that the program keeps its number.
fn injecting(what: &str) -> [String; 8] {
    let calls = what.split(':').next().unwrap();
    ["strace", "-D", "-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), &format!("--inject={what}")]
        .map(str::to_owned)
}

fn words(of: &[String]) -> Vec<&str> {
    of.iter().map(String::as_str).collect()
}

/// The alert, once nothing of it is open but what is in doubt for good.
async fn settled(api: &Api, id: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut last = Value::Null;
    while Instant::now() < deadline && last["state"] != "done" {
        tokio::time::sleep(Duration::from_millis(200)).await;
        last = api.get(&format!("/alerts/{id}")).await.json;
    }
    last
}

fn integrity(file: &Path) -> String {
    let output = Command::new("sh")
        .args(["-c", "command -v sqlite3 >/dev/null && sqlite3 \"$1\" 'PRAGMA integrity_check' || echo ok", "sh"])
        .arg(file)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A daemon that is killed at its n-th write to the database, whatever it was about to do.
async fn kill_at_the_nth_write(kind: Kind) {
    if !has_strace("A3", kind) {
        return;
    }
    let seeds = seeds(1, 8);
    let (mut kills, calls) = (0, if kind == Kind::Sqlite { "pwrite64,fsync,fdatasync" } else { "sendto" });
    for seed in seeds.clone() {
        let scene = Scene::set(kind, seed, SHORT).await;
        let mut draw = Draw::new(seed);
        let daemon = ServeProcess::start(&scene.config);
        let made = scene.api(&daemon).post("/alerts", alert(&["2321", "2309"])).await;
        let (id, by_sms) = (made.json["id"].clone(), made.json["audience"]["by_sms"].as_i64().unwrap());
        daemon.kill();
        for _ in 0..6 {
            let nth = 1 + draw.below(400);
            let by = injecting(&format!("{calls}:signal=KILL:when={nth}"));
            if let Some(mut daemon) = ServeProcess::start_under(&words(&by), &scene.config, &[]) {
                let deadline = Instant::now() + Duration::from_secs(4);
                while !daemon.has_ended() && Instant::now() < deadline {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                kills += u32::from(daemon.has_ended());
                daemon.kill();
            } else {
                kills += 1;
            }
        }
        let daemon = ServeProcess::start(&scene.config);
        let done = settled(&scene.api(&daemon), id.as_str().unwrap()).await;
        let known = done["counts"]["delivered"].as_i64().unwrap() + done["counts"]["in_doubt"].as_i64().unwrap();
        assert_eq!(known, by_sms, "seed {seed}: {}", done["counts"]);
        assert_eq!(scene.gateway.journal().duplicates(), [], "seed {seed}");
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        let verified = child::run(&scene.config, &["verify"]);
        assert!(verified.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&verified.stdout));
    }
    tell("A3", &format!("{kind:?}"), &seeds, &format!("{kills} kills at the n-th of {calls}, 0 lost, 0 twice"));
}

/// `migrate` is killed at its n-th write, and the next one goes on.
async fn kill_a_migration(kind: Kind) {
    if !has_strace("D9", kind) {
        return;
    }
    let seeds = seeds(3, 12);
    let calls = if kind == Kind::Sqlite { "pwrite64,fsync,fdatasync" } else { "sendto" };
    for seed in seeds.clone() {
        let database = Database::new(kind);
        let config = database.folder.path().join("grannpost.toml");
        std::fs::write(&config, settings(&database.url, "http://127.0.0.1:1", "")).unwrap();
        let nth = 1 + Draw::new(seed).below(if kind == Kind::Sqlite { 60 } else { 200 });
        let by = injecting(&format!("{calls}:signal=KILL:when={nth}"));
        let mut command = Command::new(&by[0]);
        command.args(&by[1..]).args([BINARY, "migrate", "--config"]).arg(&config);
        let _ = command.output().unwrap();
        let again = child::run(&config, &["migrate"]);
        assert!(again.status.success(), "write {nth}: {}", String::from_utf8_lossy(&again.stderr));
        let shown = child::run(&config, &["migrate", "--show"]);
        assert!(shown.status.success(), "write {nth}: {}", String::from_utf8_lossy(&shown.stderr));
        let verified = child::run(&config, &["verify"]);
        assert!(verified.status.success(), "write {nth}: {}", String::from_utf8_lossy(&verified.stdout));
    }
    tell("D9", &format!("{kind:?}"), &seeds, "the next start finishes");
}

/// The clock of one daemon lies by `shift` from its start.
async fn start_with_a_wrong_clock(kind: Kind, library: &str, shift: &str) -> String {
    let scene = Scene::set(kind, 0, SHORT).await;
    let daemon = ServeProcess::start(&scene.config);
    let made = scene.api(&daemon).post("/alerts", waiting_alert()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    // The newest time there is gets written down at the next look at the clock.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    let (preload, time) = (format!("LD_PRELOAD={library}"), format!("FAKETIME={shift}"));
    let by = ["env", &preload, &time, "FAKETIME_DONT_FAKE_MONOTONIC=1"];
    let daemon = ServeProcess::start_under(&by, &scene.config, &[]).expect("it starts, whatever the clock says");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready: Value = client.get(format!("{}/readyz", daemon.base)).send().await.unwrap().json().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(scene.gateway.journal().len(), 0, "{shift}: nothing is sent before its time");
    daemon.kill();
    ready["causes"]["paused"]["reason"].as_str().unwrap_or("none").to_owned()
}

fn faketime() -> Option<String> {
    let found =
        Command::new("sh").args(["-c", "ls /usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null | head -1"]).output();
    let found = String::from_utf8(found.ok()?.stdout).ok()?.trim().to_owned();
    (!found.is_empty()).then_some(found)
}

on_both_databases! {
    async fn a_daemon_killed_between_any_two_writes_loses_nobody_and_sends_nothing_twice(kind: Kind) {
        kill_at_the_nth_write(kind).await;
    }

    async fn a_migration_that_was_killed_is_finished_by_the_next(kind: Kind) {
        kill_a_migration(kind).await;
    }

    async fn a_clock_that_is_set_back_pauses_and_one_that_is_ahead_sends_nothing_early(kind: Kind) {
        let Some(library) = faketime() else {
            not_here("E1", &format!("{kind:?}"), "libfaketime is missing; make setup-test-faults installs it");
            return;
        };
        for (shift, paused) in [("-1h", "clock_jumped"), ("@1970-01-02 00:00:00", "clock_jumped"), ("+1h", "none")] {
            assert_eq!(start_with_a_wrong_clock(kind, &library, shift).await, paused, "{shift}");
        }
        tell("E1", &format!("{kind:?}"), &(0..3), "-1 h and 1970 pause, +1 h goes on, nothing early");
    }

    async fn a_database_of_a_newer_program_is_refused_and_left_as_it_is(kind: Kind) {
        let mut app = TestApp::spawn(kind).await;
        app.stop().await;
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     SELECT 9999, 'newer', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
        app.database.execute(newer).await;
        let config = app.config_file();
        for verb in ["serve", "migrate", "verify"] {
            let refused = child::run(&config, &[verb]);
            let said = String::from_utf8_lossy(&refused.stderr);
            assert_eq!(refused.status.code(), Some(1), "{verb}: {said}");
            assert!(said.contains("newer version"), "{verb}: {said}");
        }
        let left = app.database.texts("SELECT description FROM _sqlx_migrations WHERE version = 9999").await;
        assert_eq!(left, ["newer"]);
        tell("D8 newer", &format!("{kind:?}"), &(0..1), "refused with a clear line, left as it is");
    }

    async fn logs_that_cannot_be_written_stop_nothing(kind: Kind) {
        for redirection in ["2>/dev/full", "2>&-"] {
            let scene = Scene::set(kind, 0, SHORT).await;
            let script = format!("exec \"$@\" {redirection}");
            let daemon = ServeProcess::start_under(&["sh", "-c", &script, "sh"], &scene.config, &[]).unwrap();
            let made = scene.api(&daemon).post("/alerts", alert(&["2326"])).await;
            let done = settled(&scene.api(&daemon), made.json["id"].as_str().unwrap()).await;
            assert_eq!(done["counts"]["delivered"], made.json["audience"]["by_sms"], "{redirection}: {done}");
            assert_eq!(daemon.signal_and_wait("TERM"), Some(0), "{redirection}");
        }
        tell("G10", &format!("{kind:?}"), &(0..2), "stderr full and closed: the service goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_the_disk_at_any_moment_is_whole_and_has_every_alert_that_was_acknowledged() {
    let seeds = seeds(2, 12);
    for seed in seeds.clone() {
        let scene = Scene::set(Kind::Sqlite, seed, SHORT).await;
        let daemon = ServeProcess::start(&scene.config);
        let api = scene.api(&daemon);
        let mut acknowledged = Vec::new();
        for areas in [["2326"], ["2303"], ["2321"]] {
            acknowledged.push(api.post("/alerts", alert(&areas)).await.json["id"].as_str().unwrap().to_owned());
        }
        scene.gateway.journal().wait_for(1 + Draw::new(seed).below(150)).await;
        // What a loss of power leaves at best and at worst is what was written: nothing is written while we copy.
        daemon.signal("STOP");
        let folder = scene.database.folder.path().join("image");
        std::fs::create_dir(&folder).unwrap();
        for file in ["test.db", "test.db-wal"] {
            let _ = std::fs::copy(scene.database.folder.path().join(file), folder.join(file));
        }
        daemon.signal("CONT");
        daemon.kill();
        let text = std::fs::read_to_string(&scene.config).unwrap();
        let config = folder.join("grannpost.toml");
        std::fs::write(&config, text.replace("/test.db\"", "/image/test.db\"")).unwrap();
        let verified = child::run(&config, &["verify"]);
        assert!(verified.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&verified.stdout));
        // It shows what it has and sends nothing: the other copy already did.
        let image = ServeProcess::start_with(&config, &["--roles", "web"]);
        for id in acknowledged {
            let found = scene.api(&image).get(&format!("/alerts/{id}")).await;
            assert_eq!(found.status, 200, "seed {seed}: {id}");
        }
        image.kill();
        assert_eq!(integrity(&folder.join("test.db")), "ok", "seed {seed}");
    }
    tell("A7", "Sqlite", &seeds, "whole, every acknowledged alert is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_locked_by_somebody_else_is_503_for_writers_and_readable_for_readers() {
    let app = TestApp::spawn(Kind::Sqlite).await;
    let options: sqlx::sqlite::SqliteConnectOptions = app.database.url.parse().unwrap();
    let mut other = options.connect().await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    let decision = || json!({ "areas": ["2326"], "decided_by": "Befäl", "reason": "För osäkert" });
    let (begun, api) = (Instant::now(), app.api.clone());
    let writing = tokio::spawn(async move { api.post("/decisions", decision()).await });
    while !writing.is_finished() {
        let read = Instant::now();
        assert_eq!(app.api.get("/alerts").await.status, 200);
        assert!(read.elapsed() < Duration::from_secs(2), "readers do not wait: {:?}", read.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let refused = writing.await.unwrap();
    let took = begun.elapsed();
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"));
    assert!(took < Duration::from_secs(12), "{took:?}");
    other.execute("ROLLBACK").await.unwrap();
    other.close().await.unwrap();
    assert_eq!(app.api.post("/decisions", decision()).await.status, 201);
    tell("D1", "Sqlite", &(0..1), &format!("503 after {took:.1?}, readers served meanwhile"));
}

/// A daemon whose database lies on a disk of its own of 24 MiB; `None` where that may not be made. The second is the folder as
/// seen from here.
fn on_a_small_disk(scene: &Scene) -> Option<(ServeProcess, PathBuf)> {
    let made = Command::new("unshare").args(["-rm", "sh", "-c", "mount -t tmpfs none /mnt"]).output();
    if !made.is_ok_and(|made| made.status.success()) {
        return None;
    }
    let folder = scene.database.folder.path();
    let disk = folder.join("disk");
    std::fs::create_dir(&disk).unwrap();
    let text = std::fs::read_to_string(&scene.config).unwrap();
    let config = folder.join("small.toml");
    std::fs::write(&config, text.replace("/test.db\"", "/disk/test.db\"")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=24m none '{disk}' && cp '{from}'/test.db* '{disk}' && exec \"$@\"",
        disk = disk.display(),
        from = folder.display()
    );
    let daemon = ServeProcess::start_under(&["unshare", "-rm", "sh", "-c", &script, "sh"], &config, &[])?;
    let seen = PathBuf::from(format!("/proc/{}/root{}", daemon.pid(), disk.display()));
    Some((daemon, seen))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_new_alerts_says_so_and_recovers_by_itself() {
    let scene = Scene::set(Kind::Sqlite, 0, SHORT).await;
    let Some((mut daemon, disk)) = on_a_small_disk(&scene) else {
        return not_here("D2", "Sqlite", "no disk of one's own may be mounted in a user namespace");
    };
    let api = scene.api(&daemon);
    assert_eq!(api.post("/alerts", waiting_alert()).await.status, 201);
    let filler = disk.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|written| written > 0) {}
    let mut codes = Vec::new();
    for _ in 0..40 {
        codes.push(api.post("/alerts", waiting_alert()).await.status.as_u16());
    }
    assert!(codes.iter().any(|code| [503, 507].contains(code)), "{codes:?}");
    assert!(codes.iter().all(|code| [201, 503, 507].contains(code)), "{codes:?}");
    let made = 1 + codes.iter().filter(|code| **code == 201).count();
    assert_eq!(
        api.get("/alerts?limit=1000").await.json["items"].as_array().unwrap().len(),
        made,
        "nothing half-written"
    );
    let ready = reqwest::Client::new().get(format!("{}/readyz", daemon.base)).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.unwrap().contains("\"disk\""));
    // A file that is still open keeps its room.
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    let sent = api.post("/alerts", alert(&["2303"])).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    let done = settled(&api, sent.json["id"].as_str().unwrap()).await;
    assert_eq!(done["counts"]["delivered"], sent.json["audience"]["by_sms"], "{done}");
    assert!(!daemon.has_ended());
    daemon.kill();
    tell("D2", "Sqlite", &(0..1), &format!("{} refused, recovered by itself", codes.len() + 1 - made));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_has_become_read_only_is_told_and_reading_goes_on() {
    if !has_strace("D3", Kind::Sqlite) {
        return;
    }
    let scene = Scene::set(Kind::Sqlite, 0, SHORT).await;
    let by = injecting("pwrite64,ftruncate,fallocate:error=EROFS:when=400+");
    let mut daemon = ServeProcess::start_under(&words(&by), &scene.config, &[]).unwrap();
    let api = scene.api(&daemon);
    let mut codes = Vec::new();
    while codes.last().is_none_or(|code| *code == 201) && codes.len() < 400 {
        codes.push(api.post("/alerts", waiting_alert()).await.status.as_u16());
    }
    assert!([503, 507].contains(codes.last().unwrap()), "{codes:?}");
    let made = codes.iter().filter(|code| **code == 201).count();
    assert_eq!(api.get("/alerts?limit=1000").await.json["items"].as_array().unwrap().len(), made, "reading goes on");
    assert!(!daemon.has_ended());
    daemon.kill();
    let daemon = ServeProcess::start(&scene.config);
    let found = scene.api(&daemon).get("/alerts?limit=1000").await.json["items"].as_array().unwrap().len();
    assert!(found >= made, "every acknowledged one is there: {found} of {made}");
    tell("D3", "Sqlite", &(0..1), "507 and the process stays; reading goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_synced_is_not_acknowledged() {
    if !has_strace("D4", Kind::Sqlite) {
        return;
    }
    let seeds = seeds(2, 10);
    let (mut refused, mut acknowledged) = (0, 0);
    for seed in seeds.clone() {
        let scene = Scene::set(Kind::Sqlite, seed, SHORT).await;
        let mut draw = Draw::new(seed);
        let error = ["EIO", "ENOSPC"][draw.below(2)];
        let call = ["fsync,fdatasync", "pwrite64"][usize::try_from(seed % 2).unwrap()];
        // Late enough for the start, of which a write has many and a sync few.
        let (first, step) = if call == "pwrite64" { (150, 15) } else { (10, 2) };
        let (first, step) = (first + draw.below(10), step + draw.below(4));
        let by = injecting(&format!("{call}:error={error}:when={first}+{step}"));
        let Some(mut daemon) = ServeProcess::start_under(&words(&by), &scene.config, &[]) else { continue };
        let api = scene.api(&daemon);
        let mut made = Vec::new();
        for _ in 0..25 {
            let answer = api.post("/alerts", waiting_alert()).await;
            match answer.status.as_u16() {
                201 => made.push(answer.json["id"].as_str().unwrap().to_owned()),
                503 | 507 => refused += 1,
                code => panic!("seed {seed}: {code} {}", answer.text),
            }
        }
        assert!(!daemon.has_ended(), "seed {seed}");
        daemon.kill();
        let daemon = ServeProcess::start(&scene.config);
        let api = scene.api(&daemon);
        for id in &made {
            assert_eq!(api.get(&format!("/alerts/{id}")).await.status, 200, "seed {seed}: {call} {error}");
        }
        acknowledged += made.len();
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        assert_eq!(integrity(&scene.database.folder.path().join("test.db")), "ok", "seed {seed}");
    }
    assert!(refused > 0, "no write was broken");
    tell("D4", "Sqlite", &seeds, &format!("{refused} refused, {acknowledged} acknowledged and all there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_refused_with_a_line_that_says_so_and_a_copy_puts_it_right() {
    let mut app = TestApp::spawn(Kind::Sqlite).await;
    app.load_sample().await;
    app.stop().await;
    app.desk.store.close().await;
    let (config, folder) = (app.config_file(), app.database.folder.path().to_owned());
    let (file, copy) = (folder.join("test.db"), folder.join("copy"));
    assert!(child::run(&config, &["backup", copy.to_str().unwrap()]).status.success());
    let whole = std::fs::read(&file).unwrap();
    for (at, length) in [(0, 100), (100, 4_000)] {
        let mut damaged = whole.clone();
        damaged[at..at + length].fill(0x5a);
        for rest in ["test.db-wal", "test.db-shm"] {
            let _ = std::fs::remove_file(folder.join(rest));
        }
        std::fs::write(&file, damaged).unwrap();
        let refused = child::run(&config, &["serve"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{at}: {said}");
        assert!(said.lines().any(|line| line.starts_with("grannpost: ")), "{at}: {said}");
    }
    let restored = child::run(&config, &["restore", copy.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    assert!(child::run(&config, &["verify"]).status.success());
    tell("D8 damaged", "Sqlite", &(0..2), "refused with a line, restored from a copy");
}
