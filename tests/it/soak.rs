//! What only shows after a while or under load: leaks, and an alert among many requests (`docs/faults.md`, G7 and G8).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::crash::Scene;
use crate::support::child::ServeProcess;
use crate::support::faults::{sized, tell};
use crate::support::{Api, on_both_databases};

/// Alerts after which no more connections may open.
const LONGEST_WARM_UP: usize = 40;

/// Sends an alert and waits until all of it is done; gives how long the hand-overs took.
async fn alert(api: &Api, scene: &Scene, text: &str, areas: &[&str]) -> Duration {
    let wanted = json!({ "text": text, "areas": areas, "decided_by": "Vakthavande befäl", "undo_seconds": 0 });
    let before = scene.gateway.journal().len();
    let begun = Instant::now();
    let made = api.post("/alerts", wanted).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let by_sms = usize::try_from(made.json["audience"]["by_sms"].as_i64().unwrap()).unwrap();
    scene.gateway.journal().wait_for(before + by_sms).await;
    let took = begun.elapsed();
    let path = format!("/alerts/{}", made.json["id"].as_str().unwrap());
    while api.get(&path).await.json["state"] != "done" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    took
}

/// Resident memory in KiB and open files of a daemon, without the connections that others hold open to it: how many receipts a gateway
/// brings at once, and how long it keeps its connections, is the gateway's to decide. One that only the daemon still holds counts.
fn weight(daemon: &ServeProcess) -> (usize, usize) {
    let folder = PathBuf::from(format!("/proc/{}", daemon.pid()));
    let status = std::fs::read_to_string(folder.join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident = line.trim().trim_end_matches(" kB").trim().parse().unwrap();
    let files = std::fs::read_dir(folder.join("fd")).unwrap().count();
    let port: u16 = daemon.base.rsplit_once(':').unwrap().1.parse().unwrap();
    (resident, files - established(&std::fs::read_to_string(folder.join("net/tcp")).unwrap(), port))
}

/// How many rows of Linux' `/proc/net/tcp` are established connections of this local port.
fn established(table: &str, port: u16) -> usize {
    let local = format!(":{port:04X}");
    let is_one = |row: &&str| {
        let mut columns = row.split_whitespace().skip(1);
        columns.next().is_some_and(|address| address.ends_with(&local)) && columns.nth(1) == Some("01")
    };
    table.lines().skip(1).filter(is_one).count()
}

/// Sends alerts until the next three open nothing more: connections to the gateway and the database are kept, as many as were ever
/// needed at once. Gives the weight then.
async fn warm_up(api: &Api, scene: &Scene, daemon: &ServeProcess) -> (usize, usize) {
    let (mut most, mut still) = (0, 0);
    for round in 0..LONGEST_WARM_UP {
        alert(api, scene, &format!("Först {round}"), &["2321"]).await;
        let (resident, files) = weight(daemon);
        (most, still) = if files > most { (files, 0) } else { (most, still + 1) };
        if still == 3 {
            return (resident, most);
        }
    }
    panic!("{most} files are open after {LONGEST_WARM_UP} alerts, and they get more");
}

on_both_databases! {
    async fn memory_and_open_files_stay_where_they_are(kind: Kind) {
        let scene = Scene::set(kind, 0, "").await;
        scene.gateway.change(|gateway| gateway.latency_ms = 0);
        let daemon = ServeProcess::start(&scene.config);
        let api = scene.api(&daemon);
        let (resident, files) = warm_up(&api, &scene, &daemon).await;
        let rounds = sized(4, 40);
        for round in 0..rounds {
            alert(&api, &scene, &format!("Sedan {round}"), &["2321"]).await;
        }
        let (resident_after, files_after) = weight(&daemon);
        assert!(files_after <= files + 12, "open files: {files} and then {files_after}");
        // A page cache and pools fill up to their limit; a leak goes on.
        assert!(resident_after < resident + 24 * 1024, "memory: {resident} KiB and then {resident_after} KiB");
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        let grown = i64::try_from(resident_after).unwrap() - i64::try_from(resident).unwrap();
        tell("G8", &format!("{kind:?}"), &(0..rounds), &format!("{grown} KiB and {} files more", files_after as i64 - files as i64));
    }

    async fn requests_without_end_slow_an_alert_down_by_little(kind: Kind) {
        let scene = Scene::set(kind, 0, "sms.gateways.elks.burst = 1\nserver.calls_per_second = 1000\nserver.call_burst = 1000\n").await;
        let daemon = ServeProcess::start(&scene.config);
        let api = scene.api(&daemon);
        let alone = alert(&api, &scene, "Ensamt", &["jamtland"]).await;
        let (until, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let callers: Vec<_> = (0..4)
            .map(|caller| {
                let (api, until, calls) = (api.clone(), Arc::clone(&until), Arc::clone(&calls));
                tokio::spawn(async move {
                    while !until.load(Ordering::Relaxed) {
                        let path = ["/alerts", "/contact-persons?limit=20", "/areas", "/observations"][caller];
                        assert_eq!(api.get(path).await.status, 200);
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let begun = Instant::now();
        let loaded = alert(&api, &scene, "Under last", &["jamtland"]).await;
        until.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!(scene.gateway.journal().duplicates(), []);
        let each_second = calls.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
        let ratio = loaded.as_secs_f64() / alone.as_secs_f64();
        // No figure of speed is asserted where daemon, callers and gateway share two cores; that it goes through is.
        assert!(ratio < 20.0, "{loaded:?} instead of {alone:?}");
        tell("G7", &format!("{kind:?}"), &(0..1), &format!("{each_second:.0} requests/s beside: {ratio:.2} times as long"));
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    }
}
